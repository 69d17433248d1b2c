//! The end of a connection whose client reads its answers too slowly. The code that makes answers decides it, and the code that
//! serves the connection carries it out.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// Ends one connection.
#[derive(Debug, Clone, Default)]
pub struct CutOff(Arc<(AtomicBool, Notify)>);

impl CutOff {
    /// Ends the connection; returns whether this was the first time.
    pub fn cut(&self) -> bool {
        let first = !self.0.0.swap(true, Ordering::SeqCst);
        self.0.1.notify_one();
        first
    }

    /// Whether the connection is to end.
    pub fn is_cut(&self) -> bool {
        self.0.0.load(Ordering::SeqCst)
    }

    /// Waits until the connection must end. One task may wait.
    pub async fn wait(&self) {
        while !self.is_cut() {
            self.0.1.notified().await;
        }
    }
}
