//! The promises of tables, one function each.

use opensecureconf_node::{
    cluster::{
        Cursor, LocalStatus, MemberName, Membership, Mode, Phase, ProcessEpoch, Roster,
        RosterEntry, Seq, Takeover,
    },
    crypto::Salt,
    domain::{Clock, Incarnation, RowHash, Seal, Timestamp},
};

use super::{
    End, OWN, Subject,
    rows::{deleted, listed, live, of_another, places, put, seq, value_at, version},
};
use crate::entry::{named, token};

const ALL: usize = usize::MAX;
const LATER: Incarnation = Incarnation::from_raw(2);

fn takeover(last: i64) -> Takeover {
    Takeover {
        incarnation: LATER,
        last: seq(last),
        seen_at: Timestamp::from_micros(9),
        reissue: false,
    }
}

pub(super) fn counters_are_those_written_last(subject: &mut impl Subject) {
    assert_eq!(
        subject.read(|tables| tables.counters().unwrap()),
        (OWN, Clock::default(), Seq::START)
    );
    for clock in [7, 8] {
        subject.write(|tables| {
            tables
                .put_counters(Clock::from_raw(clock), seq(clock + 1))
                .unwrap();
            let seen = tables.counters().unwrap();
            assert_eq!(seen, (OWN, Clock::from_raw(clock), seq(clock + 1)));
        });
    }
    let kept = subject.read(|tables| tables.counters().unwrap());
    assert_eq!(kept, (OWN, Clock::from_raw(8), seq(9)));
}

/// Damage that came from another node must be seen as such, so no hash is computed anew.
pub(super) fn a_row_stands_with_the_hash_that_came_with_it(subject: &mut impl Subject) {
    let (row, other) = (live("a", 3), RowHash([9; 32]));
    assert!(!subject.read(|tables| tables.has_rows().unwrap()));
    subject.write(|tables| {
        tables.put_row(&row, other, seq(1)).unwrap();
        assert_eq!(tables.row(&row.identity).unwrap().as_ref(), Some(&row));
    });
    subject.write(|tables| {
        assert_eq!(tables.row_hash(&row.identity).unwrap(), Some(other));
        assert_eq!(tables.row(&row.identity).unwrap().as_ref(), Some(&row));
        assert_eq!(tables.row(&named("b")).unwrap(), None);
        assert_eq!(tables.row_hash(&named("b")).unwrap(), None);
        assert!(tables.has_rows().unwrap());
    });
}

pub(super) fn a_change_moves_its_row_to_the_end_of_the_feed(subject: &mut impl Subject) {
    subject.write(|tables| put(tables, &[(live("a", 1), 1), (live("b", 2), 2)]));
    subject.write(|tables| put(tables, &[(deleted("a", 3), 3)]));
    for (number, expected) in [
        (0, vec![("b", 2), ("a", 3)]),
        (2, vec![("a", 3)]),
        (3, Vec::new()),
    ] {
        let rows = subject.read(|tables| tables.changes(seq(number), 9, ALL).unwrap());
        assert_eq!(places(&rows), expected);
    }
    let first = subject.read(|tables| tables.changes(Seq::START, 1, ALL).unwrap());
    assert_eq!(places(&first), [("b", 2)]);
}

pub(super) fn pages_have_each_row_once_in_order_of_names(subject: &mut impl Subject) {
    let names = ["b", "a", "\u{e9}", "B", "a/b", "aa"];
    subject.write(|tables| {
        for (name, number) in names.into_iter().zip(1..) {
            put(tables, &[(live(name, number), number)]);
        }
        put(tables, &[(deleted("c", 7), 7)]);
    });
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = subject.read(|tables| tables.page(after.as_ref(), 2, ALL).unwrap());
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.row.identity.clone());
        seen.extend(
            page.iter()
                .map(|row| row.row.identity.key.as_str().to_owned()),
        );
    }
    assert_eq!(seen, ["B", "a", "a/b", "aa", "b", "c", "\u{e9}"]);
}

pub(super) fn one_row_at_least_is_given_then_as_many_as_fit(subject: &mut impl Subject) {
    subject.write(|tables| put(tables, &[(live("a", 1), 1), (live("b", 2), 2)]));
    for (bytes, rows) in [(0, 1), (ALL, 2)] {
        let changes = subject.read(|tables| tables.changes(Seq::START, 9, bytes).unwrap());
        assert_eq!(changes.len(), rows);
        let page = subject.read(|tables| tables.page(None, 9, bytes).unwrap());
        assert_eq!(page.len(), rows);
    }
}

pub(super) fn old_tombstones_are_found_and_purged_and_live_rows_are_neither(
    subject: &mut impl Subject,
) {
    subject.write(|tables| {
        put(tables, &[(deleted("old", 1), 1), (live("live", 2), 2)]);
        put(tables, &[(deleted("older", 1), 3), (deleted("new", 5), 4)]);
        put(tables, &[(deleted("last", 1), 5)]);
    });
    let before = Timestamp::from_micros(5);
    let all = subject.read(|tables| tables.tombstones(seq(4), before, 9).unwrap());
    assert_eq!(all, [(seq(1), named("old")), (seq(3), named("older"))]);
    let one = subject.read(|tables| tables.tombstones(seq(4), before, 1).unwrap());
    assert_eq!(one, [(seq(1), named("old"))]);
    subject.write(|tables| {
        tables.purge(&named("old")).unwrap();
        tables.purge(&named("live")).unwrap();
    });
    let left = subject.read(|tables| tables.changes(Seq::START, 9, ALL).unwrap());
    assert_eq!(
        places(&left),
        [("live", 2), ("older", 3), ("new", 4), ("last", 5)]
    );
    assert_eq!(
        subject.read(|tables| tables.row(&named("old")).unwrap()),
        None
    );
}

pub(super) fn a_value_is_held_with_its_seal_beside_the_row(subject: &mut impl Subject) {
    let name = named("a");
    assert!(!subject.read(|tables| tables.has_values().unwrap()));
    for (clock, seal) in [
        (1, Some(Seal([1; 16]))),
        (2, None),
        (3, Some(Seal([3; 16]))),
    ] {
        let held = token(value_at(clock));
        subject.write(|tables| {
            tables
                .put_value(&name, version(clock, OWN), &held, seal)
                .unwrap();
        });
        let kept = subject.read(|tables| {
            let value = tables.value(&name).unwrap();
            (value, tables.value_seal(&name).unwrap())
        });
        assert_eq!(kept, (Some((version(clock, OWN), held)), seal));
    }
    assert!(subject.read(|tables| tables.has_values().unwrap()));
    assert!(!subject.read(|tables| tables.has_rows().unwrap()));
}

pub(super) fn a_dropped_value_is_gone(subject: &mut impl Subject) {
    let name = named("a");
    subject.write(|tables| {
        let seal = Some(Seal([1; 16]));
        tables
            .put_value(&name, version(1, OWN), &token(1), seal)
            .unwrap();
    });
    subject.write(|tables| tables.drop_value(&name).unwrap());
    subject.write(|tables| {
        assert_eq!(tables.value(&name).unwrap(), None);
        assert_eq!(tables.value_seal(&name).unwrap(), None);
        assert!(!tables.has_values().unwrap());
        tables.drop_value(&name).unwrap();
    });
}

pub(super) fn values_of_earlier_lives_are_told_from_those_of_this_one(subject: &mut impl Subject) {
    subject.write(|tables| {
        for (key, life) in [("c", OWN), ("a", LATER), ("b", OWN)] {
            tables
                .put_value(&named(key), version(1, life), &token(1), None)
                .unwrap();
        }
    });
    let mut earlier = subject.read(|tables| tables.earlier_values(LATER, 9).unwrap());
    earlier.sort();
    assert_eq!(earlier, [named("b"), named("c")]);
    let one = subject.read(|tables| tables.earlier_values(LATER, 1).unwrap());
    assert_eq!(one.len(), 1);
    let own = subject.read(|tables| tables.earlier_values(OWN, 9).unwrap());
    assert_eq!(own, [named("a")]);
}

pub(super) fn a_losing_version_is_kept_once_and_taken_once(subject: &mut impl Subject) {
    let loser = of_another(live("a", 1));
    let seen = Timestamp::from_micros(9);
    for _ in 0..2 {
        // A message may arrive twice.
        subject.write(|tables| tables.put_conflict(&loser, loser.hash(), seen).unwrap());
    }
    let mut taken = Vec::new();
    for row in [
        listed("a", 2),
        listed("b", 1),
        listed("a", 1),
        listed("a", 1),
    ] {
        subject.write(|tables| taken.push(tables.take_conflict(&row).unwrap()));
    }
    assert_eq!(taken, [None, None, Some(token(1)), None]);
}

pub(super) fn of_each_member_the_latest_cursor_counts(subject: &mut impl Subject) {
    let cursor = |received| Cursor {
        received: seq(received),
        process_epoch: ProcessEpoch::from_random(5),
        acknowledged: seq(received - 1),
    };
    for received in [4, 3] {
        subject.write(|tables| {
            tables.put_cursor(LATER, cursor(received)).unwrap();
            tables.put_cursor(OWN, cursor(9)).unwrap();
        });
    }
    let mut cursors = subject.read(|tables| tables.cursors().unwrap());
    cursors.sort_by_key(|(member, _)| *member);
    assert_eq!(cursors, [(OWN, cursor(9)), (LATER, cursor(3))]);
}

pub(super) fn roster_membership_and_salt_are_those_written_last(subject: &mut impl Subject) {
    let empty = subject.read(|tables| {
        let roster = tables.roster().unwrap();
        (
            roster,
            tables.membership().unwrap(),
            tables.salt().unwrap().is_some(),
        )
    });
    assert_eq!(empty, (Roster::default(), None, false));
    for round in [1, 2] {
        let mut roster = Roster::default();
        let entry = RosterEntry {
            name: MemberName::new("a"),
            admitted: version(round, OWN),
            phase: Phase::Joining,
        };
        roster.admit(OWN, entry);
        let membership = membership(round);
        let salt = Salt::from_bytes(&[value_at(round); 64]).unwrap();
        subject.write(|tables| {
            tables.put_roster(&roster).unwrap();
            tables.put_membership(&membership).unwrap();
            tables.put_salt(&salt).unwrap();
        });
        let kept = subject.read(|tables| {
            let salt = tables
                .salt()
                .unwrap()
                .map(|salt| salt.fingerprint().to_string());
            (tables.roster().unwrap(), tables.membership().unwrap(), salt)
        });
        let salt = Some(salt.fingerprint().to_string());
        assert_eq!(kept, (roster, Some(membership), salt));
    }
}

fn membership(purged: i64) -> Membership {
    Membership {
        name: MemberName::new("a"),
        mode: Mode::Federated,
        cluster_uid: None,
        status: LocalStatus::Blank,
        purged: seq(purged),
        purged_clock: Clock::from_raw(purged),
        inherited: vec![(LATER, seq(purged))],
        forgiven: Vec::new(),
        joined_without: Vec::new(),
        source_received: Vec::new(),
        accusations: Vec::new(),
        origin: None,
        process_epoch: (ProcessEpoch::from_random(1), Seq::START),
    }
}

pub(super) fn a_snapshot_takes_the_place_of_all_rows(subject: &mut impl Subject) {
    let new = |key, clock| {
        let row = of_another(live(key, clock));
        let hash = row.hash();
        (row, hash)
    };
    subject.write(|tables| {
        put(tables, &[(live("a", 1), 1), (live("gone", 2), 2)]);
        tables
            .put_value(&named("a"), version(1, OWN), &token(1), None)
            .unwrap();
        tables.put_cursor(LATER, Cursor::default()).unwrap();
    });
    // A part may come twice.
    for part in [vec![new("b", 5), new("a", 6)], vec![new("a", 6)]] {
        subject.write(|tables| tables.stage(&part).unwrap());
    }
    let before = subject.read(|tables| tables.changes(Seq::START, 9, ALL).unwrap());
    assert_eq!(places(&before), [("a", 1), ("gone", 2)]);
    subject.write(|tables| assert_eq!(tables.take_over(takeover(2)).unwrap(), seq(4)));
    let page = subject.read(|tables| tables.page(None, 9, ALL).unwrap());
    assert_eq!(places(&page), [("a", 3), ("b", 4)]);
    assert_eq!(page.first().unwrap().row, new("a", 6).0);
    subject.write(|tables| {
        let (incarnation, ..) = tables.counters().unwrap();
        assert_eq!(incarnation, LATER);
        assert!(tables.cursors().unwrap().is_empty());
        assert!(tables.has_values().unwrap(), "values stay");
        // Both old rows lost; the one that the snapshot has in a newer version is no conflict.
        assert_eq!(
            tables.take_conflict(&listed("gone", 2)).unwrap(),
            Some(token(2))
        );
        assert_eq!(tables.take_conflict(&listed("a", 1)).unwrap(), None);
    });
}

pub(super) fn a_snapshot_that_was_cleared_is_not_taken_over(subject: &mut impl Subject) {
    let row = live("a", 1);
    subject.write(|tables| tables.stage(&[(row.clone(), row.hash())]).unwrap());
    subject.write(|tables| tables.clear_staged().unwrap());
    subject.write(|tables| assert_eq!(tables.take_over(takeover(0)).unwrap(), Seq::START));
    assert!(!subject.read(|tables| tables.has_rows().unwrap()));
}

pub(super) fn newer_rows_than_those_of_a_snapshot_become_losing_versions(
    subject: &mut impl Subject,
) {
    subject.write(|tables| {
        put(tables, &[(live("newer", 8), 1), (live("older", 1), 2)]);
        put(
            tables,
            &[(live("deleted", 3), 3), (deleted("tombstone", 9), 4)],
        );
    });
    let snapshot = [
        live("newer", 5),
        live("older", 5),
        deleted("deleted", 5),
        live("tombstone", 5),
    ];
    let snapshot: Vec<_> = snapshot
        .map(|row| {
            let row = of_another(row);
            let hash = row.hash();
            (row, hash)
        })
        .into();
    subject.write(|tables| {
        tables.stage(&snapshot).unwrap();
        tables.take_over(takeover(4)).unwrap();
    });
    let mut taken = Vec::new();
    for (key, clock) in [("newer", 8), ("older", 1), ("deleted", 3)] {
        let named = listed(key, clock);
        subject.write(|tables| taken.push(tables.take_conflict(&named).unwrap()));
    }
    assert_eq!(taken, [Some(token(8)), None, None]);
    let rows = subject.read(|tables| tables.page(None, 9, ALL).unwrap());
    assert!(
        rows.iter()
            .all(|row| row.row.version.clock == Clock::from_raw(5)),
        "what stands is the snapshot's"
    );
}

/// Federated: a row names its value; the value is held beside it.
pub(super) fn values_that_a_directory_lacks_become_losing_versions(subject: &mut impl Subject) {
    let hold = ["lacked", "same", "not-held", "other-version"];
    subject.write(|tables| {
        for (key, number) in hold.into_iter().zip(1..) {
            put(tables, &[(listed(key, 8), number)]);
        }
        for (key, clock) in [("lacked", 8), ("same", 8), ("other-version", 7)] {
            tables
                .put_value(&named(key), version(clock, OWN), &token(8), None)
                .unwrap();
        }
    });
    let same = of_another(listed("same", 8));
    let staged = [(same.clone(), same.hash())];
    subject.write(|tables| {
        tables.stage(&staged).unwrap();
        tables.take_over(takeover(4)).unwrap();
    });
    let mut taken = Vec::new();
    for key in hold {
        let named = listed(key, 8);
        subject.write(|tables| taken.push(tables.take_conflict(&named).unwrap()));
    }
    assert_eq!(taken, [Some(token(8)), None, None, None]);
}

pub(super) fn nothing_is_left_of_a_dropped_transaction(subject: &mut impl Subject) {
    let row = live("a", 1);
    subject.transact(End::IsDropped, &mut |tables| {
        put(tables, &[(row.clone(), 1)]);
        tables.put_counters(Clock::from_raw(5), seq(5)).unwrap();
        let hash = row.hash();
        tables
            .put_value(&row.identity, version(1, OWN), &token(1), None)
            .unwrap();
        tables
            .put_conflict(&row, hash, Timestamp::from_micros(9))
            .unwrap();
        tables.put_membership(&membership(1)).unwrap();
        tables.put_cursor(LATER, Cursor::default()).unwrap();
        tables.stage(&[(live("b", 2), hash)]).unwrap();
    });
    subject.write(|tables| {
        assert!(!tables.has_rows().unwrap());
        assert_eq!(
            tables.counters().unwrap(),
            (OWN, Clock::default(), Seq::START)
        );
        assert!(!tables.has_values().unwrap());
        assert_eq!(tables.take_conflict(&listed("a", 1)).unwrap(), None);
        assert_eq!(tables.membership().unwrap(), None);
        assert!(tables.cursors().unwrap().is_empty());
        assert_eq!(tables.take_over(takeover(0)).unwrap(), Seq::START);
    });
}
