//! The checker itself: histories that are right, and some that are known to be wrong.

use super::{
    checker::{Operation, Refutation, check},
    model::{Call, Number, Outcome},
};

const READ: Call = Call::Read;
const DELETE: Call = Call::Delete;
const DONE: Outcome = Outcome::Done;
const UNKNOWN: Outcome = Outcome::Unknown;
const PROMOTION: (Call, Outcome) = (Call::Promotion, DONE);
const CREATE: (Call, Outcome) = (Call::Create(1), DONE);

fn shows(number: Number) -> (Call, Outcome) {
    (READ, Outcome::Shown(Some(number)))
}

fn shows_none() -> (Call, Outcome) {
    (READ, Outcome::Shown(None))
}

fn over(seen: Number, number: Number) -> Call {
    Call::PutOver { seen, number }
}

/// An operation that began and ended at these times.
fn during(began: u64, ended: u64, (call, outcome): (Call, Outcome)) -> Operation {
    Operation {
        call,
        outcome,
        began,
        ended,
    }
}

/// Operations that follow one another.
fn in_turn(operations: &[(Call, Outcome)]) -> Vec<Operation> {
    let times = (0..).step_by(2);
    let timed = operations.iter().zip(times);
    timed
        .map(|(operation, time)| during(time, time + 1, *operation))
        .collect()
}

#[track_caller]
fn is_right(operations: &[Operation]) {
    assert_eq!(check(operations), Ok(()));
}

#[track_caller]
fn is_wrong(operations: &[Operation]) {
    let refuted = check(operations).unwrap_err();
    assert!(
        matches!(refuted, Refutation::NoOrder { .. }),
        "{refuted}: {operations:?}"
    );
}

#[test]
fn a_read_shows_the_last_write_that_ended_before_it() {
    let put = (Call::Put(2), DONE);
    is_right(&in_turn(&[shows_none(), CREATE, shows(1), put, shows(2)]));
    for stale in [shows(1), shows_none(), shows(3)] {
        is_wrong(&in_turn(&[CREATE, put, stale]));
    }
    // Beside the write it may show either, and then not go back.
    let beside = |first, second| {
        [
            during(0, 1, CREATE),
            during(2, 9, put),
            during(3, 4, first),
            during(5, 6, second),
        ]
    };
    is_right(&beside(shows(1), shows(2)));
    is_right(&beside(shows(2), shows(2)));
    is_wrong(&beside(shows(2), shows(1)));
}

#[test]
fn of_two_changes_of_one_version_one_is_made() {
    let refused = (over(1, 3), Outcome::OtherVersion);
    is_right(&in_turn(&[CREATE, (over(1, 2), DONE), refused, shows(2)]));
    is_wrong(&in_turn(&[CREATE, (over(1, 2), DONE), (over(1, 3), DONE)]));
    let both = |second| {
        [
            during(0, 1, CREATE),
            during(2, 5, (over(1, 2), DONE)),
            during(3, 4, second),
        ]
    };
    is_right(&both(refused));
    is_wrong(&both((over(1, 3), DONE)));
    is_wrong(&in_turn(&[CREATE, refused]));
    is_wrong(&in_turn(&[CREATE, (Call::Create(2), DONE)]));
    is_right(&in_turn(&[CREATE, (Call::Create(2), Outcome::Exists)]));
}

#[test]
fn a_deleted_entry_does_not_come_back() {
    let deleted = (DELETE, DONE);
    let missing = (Call::Put(2), Outcome::Missing);
    is_right(&in_turn(&[CREATE, deleted, shows_none(), missing]));
    is_wrong(&in_turn(&[CREATE, deleted, shows(1)]));
    is_wrong(&in_turn(&[CREATE, deleted, (over(1, 2), DONE)]));
    is_wrong(&in_turn(&[CREATE, deleted, deleted]));
    is_wrong(&in_turn(&[CREATE, missing]));
}

#[test]
fn a_write_of_unknown_outcome_is_made_once_at_any_later_time_or_never() {
    let put = (Call::Put(2), UNKNOWN);
    is_right(&in_turn(&[CREATE, put, shows(1), shows(1), shows(2)]));
    is_right(&in_turn(&[CREATE, put, shows(1)]));
    is_right(&in_turn(&[
        CREATE,
        put,
        (over(1, 3), Outcome::OtherVersion),
    ]));
    is_right(&in_turn(&[
        (Call::Create(2), UNKNOWN),
        (Call::Put(3), UNKNOWN),
        shows(3),
    ]));
    is_right(&in_turn(&[
        CREATE,
        (DELETE, UNKNOWN),
        (Call::Create(2), DONE),
    ]));
    is_wrong(&in_turn(&[CREATE, put, shows(2), shows(1)]));
    is_wrong(&in_turn(&[
        CREATE,
        put,
        shows(2),
        (Call::Put(3), DONE),
        shows(2),
    ]));
    // A read does not show a write before its request either.
    is_wrong(&in_turn(&[CREATE, shows(2), put]));
}

#[test]
fn a_promotion_undoes_what_was_not_acknowledged_and_nothing_else() {
    let unknown = (Call::Put(2), UNKNOWN);
    let seen = [CREATE, unknown, shows(2), PROMOTION];
    let then = |more: &[(Call, Outcome)]| in_turn(&[seen.as_slice(), more].concat());
    is_right(&then(&[shows(1)]));
    is_right(&then(&[shows(2)]));
    is_wrong(&then(&[shows_none()]));
    is_wrong(&then(&[shows(1), shows(2)]));
    is_wrong(&in_turn(&[
        CREATE,
        (Call::Put(2), DONE),
        PROMOTION,
        shows(1),
    ]));
    is_wrong(&in_turn(&[CREATE, PROMOTION, shows_none()]));
    // The last of two alone, too.
    let two = |shown| {
        in_turn(&[
            CREATE,
            unknown,
            shows(2),
            (Call::Put(3), UNKNOWN),
            shows(3),
            PROMOTION,
            shown,
        ])
    };
    for kept in [1, 2, 3] {
        is_right(&two(shows(kept)));
    }
}

#[test]
fn what_was_answered_over_an_unconfirmed_write_confirms_it() {
    let seen = [CREATE, (Call::Put(2), UNKNOWN), shows(2)];
    for (answered, left) in [
        ((over(2, 3), DONE), 3),
        ((Call::Create(3), Outcome::Exists), 2),
        ((over(1, 3), Outcome::OtherVersion), 2),
    ] {
        let then = |shown| in_turn(&[&seen[..], &[answered, PROMOTION, shown]].concat());
        is_right(&then(shows(left)));
        is_wrong(&then(shows(1)));
    }
    let gone = [CREATE, (DELETE, UNKNOWN)];
    let then = |told| in_turn(&[&gone[..], &[told, PROMOTION, shows(1)]].concat());
    is_right(&then(shows_none()));
    is_wrong(&then((DELETE, Outcome::Missing)));
}

#[test]
fn many_writes_of_unknown_outcome_do_not_keep_it_from_deciding() {
    let unknown = (100..200).map(|number| match number % 4 {
        0 => (Call::Create(number), UNKNOWN),
        1 => (Call::Put(number), UNKNOWN),
        2 => (DELETE, UNKNOWN),
        _ => (over(1, number), UNKNOWN),
    });
    let known = (200..400).flat_map(|number| [(Call::Put(number), DONE), shows(number)]);
    let mut operations = vec![CREATE];
    operations.extend(unknown);
    operations.extend(known);
    is_right(&in_turn(&operations));
    operations.push(shows(399 - 1));
    is_wrong(&in_turn(&operations));
}
