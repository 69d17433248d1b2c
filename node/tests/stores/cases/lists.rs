//! Lists and their pages.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use opensecureconf_node::{
    cluster::{Change, Expected},
    domain::Identity,
    store::{EntrySnapshot, EntryStore, LIST_WAIT, Reach, Selection},
};

use crate::{
    entry::{change, commit, create, finish, large_token, put, put_in, token},
    subject::Subject,
};

/// Names as (environment, key).
type Names = Vec<(String, String)>;

fn names(of: &[(&str, &str)]) -> Names {
    let owned = |(environment, key): &(&str, &str)| ((*environment).to_owned(), (*key).to_owned());
    of.iter().map(owned).collect()
}

fn rows(most: usize) -> Reach {
    Reach {
        rows: most,
        until: Instant::now() + Duration::from_hours(1),
    }
}

fn read(
    snapshot: &dyn EntrySnapshot,
    selection: &Selection,
    most: usize,
) -> (Names, Option<(String, String)>) {
    let mut seen = Names::new();
    let scanned = snapshot.scan(selection, rows(most), &mut |entry| {
        seen.push((entry.environment.to_owned(), entry.key.to_owned()));
        ControlFlow::Continue(())
    });
    (seen, scanned.unwrap().stopped_at)
}

async fn list(store: &impl EntryStore, selection: Selection) -> Names {
    let listed = store.list(LIST_WAIT, move |snapshot| {
        Ok(read(snapshot, &selection, usize::MAX))
    });
    let (seen, stopped_at) = listed.await.unwrap();
    assert_eq!(stopped_at, None);
    seen
}

async fn put_at(store: &impl EntryStore, environment: &str, key: &str, change: Change) {
    let identity = Identity::of(environment, key).unwrap();
    commit(store, &identity, Expected::Nothing, change)
        .await
        .unwrap();
}

pub(crate) async fn a_list_has_the_live_entries_in_order_of_their_names<S: Subject>(subject: S) {
    let store = subject.store();
    for (environment, key) in [
        ("prod", "b"),
        ("", "z"),
        ("prod", "a"),
        ("", "é"),
        ("", "Z"),
    ] {
        put_at(store, environment, key, put(1)).await;
    }
    create(store, "gone", 1).await;
    change(store, "gone", Change::Delete).await;
    let all = [
        ("", "Z"),
        ("", "z"),
        ("", "é"),
        ("prod", "a"),
        ("prod", "b"),
    ];
    assert_eq!(list(store, Selection::default()).await, names(&all));
    let first = store.list(LIST_WAIT, |snapshot| {
        let mut first = None;
        let scanned = snapshot.scan(&Selection::default(), rows(9), &mut |entry| {
            first = Some((entry.key.to_owned(), entry.token.to_owned()));
            ControlFlow::Break(())
        });
        assert_eq!(scanned.unwrap().stopped_at, None, "who breaks knows where");
        let (rows, _) = snapshot.rows(&Selection::default(), rows(9)).unwrap();
        Ok((first.unwrap(), rows.len()))
    });
    assert_eq!(first.await.unwrap(), (("Z".to_owned(), token(1)), 5));
}

pub(crate) async fn pages_together_have_each_entry_once<S: Subject>(subject: S) {
    let store = subject.store();
    for key in ["a", "b", "c", "d", "e"] {
        create(store, key, 1).await;
    }
    let (mut seen, mut after) = (Names::new(), None);
    loop {
        let selection = Selection {
            after,
            ..Selection::default()
        };
        let page = store.list(LIST_WAIT, move |snapshot| Ok(read(snapshot, &selection, 2)));
        let (entries, stopped_at) = page.await.unwrap();
        assert!(entries.len() <= 2, "{entries:?}");
        seen.extend(entries);
        after = stopped_at;
        if after.is_none() || seen.len() > 5 {
            break;
        }
    }
    assert_eq!(seen, names(&["a", "b", "c", "d", "e"].map(|key| ("", key))));
}

pub(crate) async fn large_rows_come_about_a_megabyte_at_a_time<S: Subject>(subject: S) {
    let store = subject.store();
    let keys = ["a", "b", "c", "d", "e"];
    for key in keys {
        let large = Change::Put {
            category: None,
            token: large_token(),
            seal: None,
        };
        put_at(store, "", key, large).await;
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let selection = Selection {
            after,
            ..Selection::default()
        };
        let part = store.list(LIST_WAIT, move |snapshot| {
            snapshot.rows(&selection, rows(9))
        });
        let (found, scanned) = part.await.unwrap();
        assert!(found.len() <= 2, "{} rows", found.len());
        seen.extend(found.iter().map(|row| row.identity.key.as_str().to_owned()));
        after = scanned.stopped_at;
        if after.is_none() || seen.len() > 5 {
            break;
        }
    }
    assert_eq!(seen, keys);
}

pub(crate) async fn a_list_is_of_the_wanted_environment_and_category<S: Subject>(subject: S) {
    let store = subject.store();
    put_at(store, "", "a", put_in("db", 1)).await;
    put_at(store, "prod", "b", put_in("db", 1)).await;
    put_at(store, "prod", "c", put(1)).await;
    let selection = |environment: Option<&str>, category: Option<&str>| Selection {
        environment: environment.map(str::to_owned),
        category: category.map(str::to_owned),
        after: None,
    };
    for (wanted, expected) in [
        (
            selection(Some("prod"), None),
            &[("prod", "b"), ("prod", "c")][..],
        ),
        (selection(Some(""), None), &[("", "a")]),
        (selection(None, Some("db")), &[("", "a"), ("prod", "b")]),
        (selection(Some("prod"), Some("db")), &[("prod", "b")]),
        (selection(Some("test"), None), &[]),
    ] {
        assert_eq!(
            list(store, wanted.clone()).await,
            names(expected),
            "{wanted:?}"
        );
    }
}

pub(crate) async fn a_list_is_of_one_moment_whatever_is_written_meanwhile<S: Subject>(subject: S) {
    let store = subject.store();
    create(store, "a", 1).await;
    let writer = store.clone();
    let listed = store.list(LIST_WAIT, move |snapshot| {
        let (before, _) = read(snapshot, &Selection::default(), 9);
        finish(create(&writer, "b", 2));
        let (after, _) = read(snapshot, &Selection::default(), 9);
        Ok((before, after))
    });
    let (before, after) = listed.await.unwrap();
    assert_eq!(before, after);
    assert_eq!(
        list(store, Selection::default()).await,
        names(&[("", "a"), ("", "b")])
    );
}
