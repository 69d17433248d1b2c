//! The entries that the cases write, and short reads of them.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use base64::{Engine, engine::general_purpose::URL_SAFE};
use opensecureconf_node::{
    cluster::{AckLevel, Change, Expected, Write, Written},
    domain::{Category, Content, Identity, Row},
    store::{EntryStore, WriteError},
};

/// An entry of the default environment.
pub(crate) fn named(key: &str) -> Identity {
    Identity::of("", key).unwrap()
}

/// A value that looks like a Fernet token.
pub(crate) fn token(value: u8) -> String {
    let mut bytes = [value; 73];
    bytes[0] = 0x80;
    bytes[1..9].fill(0);
    URL_SAFE.encode(bytes)
}

/// A token of about 800 kB.
pub(crate) fn large_token() -> String {
    let mut bytes = vec![0x80];
    bytes.resize(9, 0);
    bytes.resize(25 + 16 * 37_497 + 32, 1);
    URL_SAFE.encode(bytes)
}

/// The value that a row has.
pub(crate) fn token_of(row: &Row) -> Option<&str> {
    row.content.as_ref().and_then(Content::token)
}

pub(crate) fn put(value: u8) -> Change {
    Change::Put {
        category: None,
        token: token(value),
        seal: None,
    }
}

pub(crate) fn put_in(category: &str, value: u8) -> Change {
    Change::Put {
        category: Category::new(category.to_owned()),
        token: token(value),
        seal: None,
    }
}

pub(crate) async fn commit(
    store: &impl EntryStore,
    identity: &Identity,
    seen: Expected,
    change: Change,
) -> Result<Written, WriteError> {
    let write = Write {
        identity: identity.clone(),
        seen,
        named: None,
        change,
    };
    store.commit(write, AckLevel::Local).await
}

/// Creates an entry of the default environment.
pub(crate) async fn create(store: &impl EntryStore, key: &str, value: u8) -> Written {
    let name = named(key);
    let created = commit(store, &name, Expected::NothingLive, put(value));
    created.await.unwrap()
}

/// Changes an entry, whatever its version.
pub(crate) async fn change(store: &impl EntryStore, key: &str, change: Change) -> Written {
    let name = named(key);
    let row = store.find(&name).await.unwrap();
    let changed = commit(store, &name, Expected::of(row.as_deref()), change);
    changed.await.unwrap()
}

/// Runs a future to its end where blocking is allowed.
pub(crate) fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::yield_now();
    }
}
