//! Promises of stores about several writes at once.

use opensecureconf_node::{
    cluster::{AckLevel, Change, Expected, Write, Written},
    store::{Atomicity, EntryStore, WriteError},
};

use crate::{
    entry::{change, create, named, put, token, token_of},
    subject::Subject,
};

fn write(key: &str, seen: Expected, change: Change) -> Write {
    Write {
        identity: named(key),
        seen,
        named: None,
        change,
    }
}

fn new(key: &str, value: u8) -> Write {
    write(key, Expected::NothingLive, put(value))
}

async fn commit(
    store: &impl EntryStore,
    writes: Vec<Write>,
    atomicity: Atomicity,
) -> Vec<Result<Written, WriteError>> {
    store.commit_batch(writes, AckLevel::Local, atomicity).await
}

/// The values of these entries.
async fn values(store: &impl EntryStore, keys: &[&str]) -> Vec<Option<String>> {
    let mut values = Vec::new();
    for key in keys {
        let row = store.find(&named(key)).await.unwrap();
        values.push(row.as_deref().and_then(token_of).map(str::to_owned));
    }
    values
}

pub(crate) async fn each_write_of_a_batch_stands_for_itself(subject: impl Subject) {
    let store = subject.store();
    let old = create(store, "old", 1).await;
    let replaced = create(store, "replaced", 1).await;
    change(store, "replaced", put(2)).await;
    create(store, "taken", 1).await;
    let writes = vec![
        new("taken", 9),
        new("new", 3),
        write("replaced", Expected::Version(replaced.version), put(9)),
        write("old", Expected::Version(old.version), Change::Delete),
    ];
    let outcomes = commit(store, writes, Atomicity::Each).await;
    let [taken, new, replaced, deleted] = outcomes.as_slice() else {
        panic!("{outcomes:?}");
    };
    for refused in [taken, replaced] {
        assert_eq!(*refused, Err(WriteError::Changed));
    }
    assert!(deleted.is_ok(), "{deleted:?}");
    let new = new.as_ref().unwrap();
    let stored = values(store, &["taken", "new", "replaced", "old"]).await;
    let expected = [Some(token(1)), Some(token(3)), Some(token(2)), None];
    assert_eq!(stored, expected);
    let row = store.find(&named("new")).await.unwrap().unwrap();
    assert_eq!(row.version, new.version);
}

pub(crate) async fn where_one_write_is_refused_none_is_made_of_those_that_belong_together(
    subject: impl Subject,
) {
    let store = subject.store();
    let old = create(store, "old", 1).await;
    create(store, "taken", 1).await;
    let writes = |last: &str| {
        vec![
            new("new", 3),
            write("old", Expected::Version(old.version), put(4)),
            new(last, 5),
        ]
    };
    let keys = ["new", "old", "taken", "free"];
    let outcomes = commit(store, writes("taken"), Atomicity::All).await;
    let others = || -> Result<Written, WriteError> { Err(WriteError::OthersRefused) };
    assert_eq!(outcomes, [others(), others(), Err(WriteError::Changed)]);
    let before = [None, Some(token(1)), Some(token(1)), None];
    assert_eq!(values(store, &keys).await, before);

    let outcomes = commit(store, writes("free"), Atomicity::All).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let after = [
        Some(token(3)),
        Some(token(4)),
        Some(token(1)),
        Some(token(5)),
    ];
    assert_eq!(values(store, &keys).await, after);
}

pub(crate) async fn what_a_batch_wrote_is_there_after_a_restart(mut subject: impl Subject) {
    let writes = |prefix: &str| -> Vec<Write> {
        let keys = (0..3).map(|n| (format!("{prefix}-{n}"), n));
        keys.map(|(key, n)| new(&key, n)).collect()
    };
    for (prefix, atomicity) in [("each", Atomicity::Each), ("all", Atomicity::All)] {
        let outcomes = commit(subject.store(), writes(prefix), atomicity).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        subject.restart().await;
        for n in 0..3 {
            let stored = values(subject.store(), &[&format!("{prefix}-{n}")]).await;
            assert_eq!(stored, [Some(token(n))]);
        }
    }
}

pub(crate) async fn a_batch_of_a_thousand_is_one_transaction(subject: impl Subject) {
    let store = subject.store();
    let begin = store.latest_change().await.unwrap();
    create(store, "entry-999", 1).await;
    let writes = || -> Vec<Write> {
        let keys = (0..1_000).map(|n| format!("entry-{n}"));
        keys.map(|key| new(&key, 2)).collect()
    };
    let outcomes = commit(store, writes(), Atomicity::All).await;
    assert_eq!(outcomes.last(), Some(&Err(WriteError::Changed)));
    assert_eq!(values(store, &["entry-0", "entry-998"]).await, [None, None]);
    change(store, "entry-999", Change::Delete).await;
    let outcomes = commit(store, writes(), Atomicity::All).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_ne!(store.latest_change().await.unwrap(), begin);
    let stored = values(store, &["entry-0", "entry-999"]).await;
    assert_eq!(stored, [Some(token(2)), Some(token(2))]);
}
