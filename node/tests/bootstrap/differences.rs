//! What makes two states two: every field that is held, and no random name.

use std::{fmt::Debug, time::Duration};

use opensecureconf_node::{
    cluster::{
        Accusation, Address, ClusterUid, Cursor, ExchangeId, FenceReason, LocalStatus, MemberName,
        Membership, Mode, PeerInfo, Phase, ProcessEpoch, Protocol, Refusal, Request, Roster,
        RosterEntry, Rule, Rules, Seq, Setup, SnapshotHead, SnapshotOrigin, WireSalt,
    },
    crypto::Salt,
    domain::{
        Category, Clock, ConfigKey, Content, Environment, Identity, Incarnation, Row, RowHash,
        Timestamp, Version,
    },
};
use serde::Serialize;

use crate::{
    fingerprint::count,
    parts::{Keeper, read},
    world::World,
};

/// The fingerprint of a state by itself. Names show only where they stand a second time, so the state has a witness beside it.
fn print(state: impl Serialize) -> u64 {
    let keeper = Keeper {
        node: 0,
        process_epoch: process(1),
    };
    let witness = (life(1), cluster(1), salt(1), process(1), clock(15));
    let parts = read(&(witness, state), keeper);
    count(|| parts.iter(), 100)
}

fn life(number: i64) -> Incarnation {
    Incarnation::from_raw(number)
}

fn process(number: i64) -> ProcessEpoch {
    ProcessEpoch::from_raw(100 + number)
}

fn cluster(number: u64) -> ClusterUid {
    ClusterUid::from_random((200 + number) << 1)
}

fn salt(byte: u8) -> WireSalt {
    WireSalt::new(&Salt::new([byte; 64]))
}

fn clock(number: i64) -> Clock {
    Clock::from_raw(number)
}

fn seq(number: i64) -> Seq {
    Seq::from_raw(number)
}

fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn version(number: i64) -> Version {
    Version {
        clock: clock(10 * number),
        incarnation: life(number),
    }
}

/// Changes one field after the other. A field of the type that is named nowhere does not compile.
macro_rules! each_field {
    ($base:ident: $type:ident { $($field:ident: $other:expr),+ $(,)? } $(except { $($out:ident: $any:expr),+ })?) => {{
        let $type { $($field: _,)+ $($($out: _),+)? } = &$base;
        $({
            let mut other = Clone::clone(&$base);
            other.$field = $other;
            assert_ne!(print(&$base), print(&other), "{}.{}", stringify!($type), stringify!($field));
        })+
        $($({
            let mut other = Clone::clone(&$base);
            other.$out = $any;
            assert_eq!(print(&$base), print(&other), "{}.{}", stringify!($type), stringify!($out));
        })+)?
    }};
}

fn hello() -> PeerInfo {
    PeerInfo {
        protocol: Protocol::CURRENT,
        release: "1".to_owned(),
        cluster: "c".to_owned(),
        mode: Mode::Replica,
        name: MemberName::new("a"),
        incarnation: life(1),
        process_epoch: process(1),
        turn: 5,
        heard: Some((process(1), 4)),
        epoch_began: seq(1),
        address: Some(World::address(0)),
        cluster_uid: Some(cluster(1)),
        salt: None,
        ready: true,
        source: true,
        acknowledges: true,
        fenced: false,
        yields: false,
        waits_no_longer: false,
        takes_back: false,
        has_rows: true,
        head: seq(2),
        purged: seq(1),
        inherited: vec![(life(1), seq(1))],
        origin: Some((life(1), seq(1), seq(1))),
        received: Some((life(1), seq(1))),
        roster: 7,
        entries: 1,
        time: time(1),
    }
}

#[test]
fn every_field_of_a_greeting_counts() {
    let base = hello();
    each_field!(base: PeerInfo {
        protocol: Protocol { major: 1, minor: 0 },
        release: "2".to_owned(),
        cluster: "d".to_owned(),
        mode: Mode::Federated,
        name: MemberName::new("b"),
        incarnation: life(2),
        process_epoch: process(2),
        turn: 4,
        heard: Some((process(1), 5)),
        epoch_began: seq(2),
        address: Some(World::address(1)),
        cluster_uid: Some(cluster(2)),
        salt: Some(Salt::new([1; 64]).fingerprint().to_string()),
        ready: false,
        source: false,
        acknowledges: false,
        fenced: true,
        yields: true,
        waits_no_longer: true,
        takes_back: true,
        has_rows: false,
        head: seq(3),
        purged: seq(2),
        inherited: vec![(life(2), seq(1))],
        origin: None,
        received: Some((life(1), seq(2))),
        roster: 1,
        entries: 2,
    } except { time: time(2) });
}

#[test]
fn every_field_of_what_a_node_stores_of_itself_counts() {
    let base = Membership {
        name: MemberName::new("a"),
        mode: Mode::Replica,
        cluster_uid: Some(cluster(1)),
        status: LocalStatus::Member,
        purged: seq(1),
        purged_clock: clock(10),
        inherited: Vec::new(),
        forgiven: Vec::new(),
        joined_without: Vec::new(),
        source_received: Vec::new(),
        accusations: Vec::new(),
        origin: None,
        process_epoch: (process(1), seq(1)),
    };
    let accusation = Accusation {
        by: life(1),
        reason: FenceReason::RolledBack,
        proven: false,
    };
    let origin = SnapshotOrigin {
        source: life(1),
        source_head: seq(1),
        last: seq(1),
    };
    each_field!(base: Membership {
        name: MemberName::new("b"),
        mode: Mode::Federated,
        cluster_uid: Some(cluster(2)),
        status: LocalStatus::Fenced(FenceReason::RolledBack),
        purged: seq(2),
        purged_clock: clock(20),
        inherited: vec![(life(1), seq(1))],
        forgiven: vec![(life(1), seq(1))],
        joined_without: vec![life(1)],
        source_received: vec![(life(1), seq(1), process(1))],
        accusations: vec![accusation],
        origin: Some(origin),
        process_epoch: (process(1), seq(2)),
    });
    each_field!(accusation: Accusation {
        by: life(2),
        reason: FenceReason::BelowPurgeMark,
        proven: true,
    });
    each_field!(origin: SnapshotOrigin {
        source: life(2),
        source_head: seq(2),
        last: seq(2),
    });
}

#[test]
fn every_field_of_what_a_node_stores_of_others_counts() {
    let cursor = Cursor {
        received: seq(1),
        process_epoch: process(1),
        acknowledged: seq(1),
    };
    each_field!(cursor: Cursor {
        received: seq(2),
        process_epoch: process(2),
        acknowledged: seq(2),
    });
    let entry = RosterEntry {
        name: MemberName::new("a"),
        admitted: version(1),
        phase: Phase::Joining,
    };
    each_field!(entry: RosterEntry {
        name: MemberName::new("b"),
        admitted: version(2),
        phase: Phase::Member,
    });
    let mut roster = Roster::default();
    roster.admit(life(1), entry);
    let mut removed = roster.clone();
    removed.remove(life(1), life(1), clock(10));
    let mut later = roster.clone();
    later.remove(life(1), life(1), clock(20));
    all_differ(&[Roster::default(), roster.clone(), removed, later]);
    let head = SnapshotHead {
        cluster_uid: cluster(1),
        salt: salt(1),
        roster,
        clock: clock(10),
        purged_clock: clock(10),
        purge_marks: Vec::new(),
        forgiven: Vec::new(),
        received: Vec::new(),
    };
    each_field!(head: SnapshotHead {
        cluster_uid: cluster(2),
        salt: salt(2),
        roster: Roster::default(),
        clock: clock(20),
        purged_clock: clock(20),
        purge_marks: vec![(life(1), seq(1))],
        forgiven: vec![(life(1), seq(1))],
        received: vec![(life(1), seq(1), process(1))],
    });
}

#[test]
fn every_field_of_a_row_counts_but_its_times() {
    let base = Row {
        identity: Identity::of("", "k").unwrap(),
        category: None,
        content: None,
        created_at: time(1),
        updated_at: time(1),
        version: version(1),
        clocks: [(life(1), clock(10))].into(),
        extra: None,
    };
    each_field!(base: Row {
        identity: Identity::of("", "l").unwrap(),
        category: Category::new("c".to_owned()),
        content: Some(Content::Token("t".to_owned())),
        version: version(2),
        clocks: [(life(1), clock(20))].into(),
        extra: Some("{}".to_owned()),
    } except { created_at: time(2), updated_at: time(2) });
    let identity = base.identity;
    each_field!(identity: Identity {
        environment: Environment::new("e".to_owned()).unwrap(),
        key: ConfigKey::new("l".to_owned()).unwrap(),
    });
    all_differ(&[RowHash([1; 32]), RowHash([2; 32])]);
}

#[test]
fn every_setting_of_a_node_counts_but_its_random_bytes() {
    let base = Setup {
        clustered: true,
        name: MemberName::new("a"),
        process_epoch: process(1),
        cluster: String::new(),
        mode: Mode::Replica,
        release: String::new(),
        salt: None,
        may_make_salt: true,
        grace: Duration::from_secs(7),
        sync_interval: Duration::from_secs(5),
        rules: Rules::ALL,
        entropy: [1; 32],
    };
    each_field!(base: Setup {
        clustered: false,
        name: MemberName::new("b"),
        process_epoch: process(2),
        cluster: "c".to_owned(),
        mode: Mode::Federated,
        release: "1".to_owned(),
        salt: Some(Salt::new([1; 64])),
        may_make_salt: false,
        grace: Duration::from_secs(8),
        sync_interval: Duration::from_secs(6),
        rules: Rules::without(Rule::OwnStamps),
    } except { entropy: [2; 32] });
}

#[test]
fn values_of_different_kinds_are_different() {
    all_differ(&[
        LocalStatus::Blank,
        LocalStatus::Member,
        LocalStatus::Fenced(FenceReason::RolledBack),
        LocalStatus::Fenced(FenceReason::BelowPurgeMark),
    ]);
    all_differ(&[
        Refusal::Protocol,
        Refusal::OtherCluster { mine: "c".into() },
        Refusal::OtherSalt { mine: "c".into() },
        Refusal::OtherSalt { mine: "d".into() },
        Refusal::Removed(Roster::default()),
        Refusal::RolledBack(Cursor::default()),
        Refusal::NameTaken,
    ]);
    all_differ(&[
        Request::Heartbeat,
        Request::Pull { after: seq(1) },
        Request::Pull { after: seq(2) },
        Request::Entries(Vec::new()),
        Request::Roster(Roster::default()),
    ]);
    all_differ(&[
        vec![None],
        vec![None, None],
        vec![Some("")],
        vec![Some("x")],
    ]);
    all_differ(&[("ab", "c"), ("a", "bc")]);
    // As two lives print that are named like numbers, moments or random names.
    all_differ(&["101s", "102s"]);
    all_differ(&["00000000000000aa", "00000000000000bb"]);
    all_differ(&[MemberName::new("Clock(1)"), MemberName::new("Clock(2)")]);
    all_differ(&[Address::new("7:1"), Address::new("8:1")]);
}

#[test]
fn random_names_count_only_where_they_stand_again() {
    let of = |number: i64| {
        let salt = Salt::new([u8::try_from(number % 251).unwrap(); 64]);
        let hello = PeerInfo {
            incarnation: life(number),
            process_epoch: process(number),
            heard: Some((process(number + 1), 4)),
            cluster_uid: Some(cluster(number.unsigned_abs())),
            salt: Some(salt.fingerprint().to_string()),
            inherited: vec![(life(number), seq(1))],
            origin: None,
            received: None,
            roster: number.unsigned_abs(),
            ..hello()
        };
        let exchange = ExchangeId(number.unsigned_abs());
        print((hello, WireSalt::new(&salt), exchange))
    };
    assert_eq!(of(1000), of(2000));
}

#[test]
fn clocks_and_turns_count_by_their_order_and_moments_by_their_age() {
    all_same(&[(clock(20), clock(30)), (clock(21), clock(39))]);
    all_differ(&[
        (clock(20), clock(30)),
        (clock(30), clock(20)),
        (clock(20), clock(20)),
        (clock(10), clock(20)),
    ]);
    let turns = |turns: &[u64]| -> Vec<_> {
        let hello = |turn: &u64| PeerInfo {
            turn: *turn,
            heard: None,
            ..hello()
        };
        turns.iter().map(hello).collect()
    };
    all_same(&[turns(&[1, 2]), turns(&[3, 9])]);
    all_differ(&[turns(&[1, 2]), turns(&[2, 1]), turns(&[1, 1])]);
    let (old, older) = (Duration::from_secs(80), Duration::from_secs(20));
    all_same(&[old, older]);
    all_same(&[Duration::from_millis(99_100), Duration::from_millis(99_900)]);
    let seconds = |seconds| Duration::from_secs(seconds);
    all_differ(&[Duration::ZERO, old, seconds(99), seconds(100), seconds(101)]);
}

fn all_differ<T: Serialize + Debug>(states: &[T]) {
    for (place, state) in states.iter().enumerate() {
        assert_eq!(print(state), print(state));
        for other in &states[place + 1..] {
            assert_ne!(print(state), print(other), "{state:?} and {other:?}");
        }
    }
}

fn all_same<T: Serialize + Debug>(states: &[T]) {
    let first = &states[0];
    for other in states {
        assert_eq!(print(first), print(other), "{first:?} and {other:?}");
    }
}
