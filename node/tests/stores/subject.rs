//! A store under test, and the events that it goes through besides reads and writes.

use opensecureconf_node::{domain::Row, store::EntryStore};

pub(crate) trait Subject: Sized {
    type Store: EntryStore;

    /// The store.
    fn store(&self) -> &Self::Store;
    /// Another store of the same kind, new and empty.
    async fn another(&self) -> Self;
    /// The process ends, and another one goes on with the durable content.
    async fn restart(&mut self);
    /// All deletes are old enough to be forgotten, and are.
    async fn forget_deletes(&mut self);
    /// These versions lost against others, in this order.
    async fn set_aside(&mut self, losers: Vec<Row>);
}
