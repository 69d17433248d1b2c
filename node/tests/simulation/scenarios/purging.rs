//! Purging: a tombstone is forgotten only when no node can bring its entry back.

use std::time::Duration;

use opensecureconf_node::cluster::{AckLevel, Change, Expected, Rules, Write};

use crate::{
    chaos::Profile,
    scenarios::scenarios,
    script::{LONG, Outcome, ensure, entry, put},
    world::World,
};

scenarios! {
    e04_future_stamp
    e21_removed_source
    a_purge_waits_for_who_is_down
    a_purge_waits_for_what_is_under_way
    a_purge_comes_although_all_are_written_to_without_pause
    an_unknown_tombstone_is_kept
    a_snapshot_from_before_a_purge_is_taken_again
    a_purge_is_known_to_whoever_took_a_snapshot_after_it
    a_snapshot_is_written_over_by_a_slower_clock
    greetings_stay_short_however_many_lives_a_cluster_has
}

/// A clock that was days ahead deleted an entry: an entry that is created after that purge beats the tombstone.
pub(crate) fn e04_future_stamp(rules: Rules) -> Outcome {
    let mut world = World::with_forgetful_cluster(rules, 2)?;
    world.put(0, "k", "old")?;
    world.nodes[1].skew = 3 * 86_400_000_000;
    world.delete(1, "k")?;
    world.nodes[1].skew = 0;
    // Node 0 purges as soon as the delete is acknowledged; node 1 waits until its clock is there again.
    let purged = |world: &World| world.nodes[0].disk.durable().rows.is_empty();
    world.nodes[0].skew = 4 * 86_400_000_000;
    ensure(world.until(LONG, purged), "node 0 does not purge")?;
    world.nodes[0].skew = 0;
    world.crash(0);
    world.start(0);
    ensure(
        world.until(LONG, |world| world.is_ready(0)),
        "node 0 does not come back",
    )?;
    ensure(
        world.holds_tombstone(1, "k") && world.nodes[0].disk.durable().rows.is_empty(),
        "node 1 purges as early, or gives its tombstone back",
    )?;
    world.put(0, "k", "new")?;
    world.ends_well()?;
    ensure(
        world.value(1, "k").as_deref() == Some("new"),
        "an acknowledged create is gone",
    )
}

/// A removed node that has not heard of its removal gives a new node its old rows: neither brings a deleted entry back.
pub(crate) fn e21_removed_source(rules: Rules) -> Outcome {
    let mut world = World::with_forgetful_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    world.crash(2);
    world.delete(0, "k")?;
    world.removed(0, 2)?;
    let purged =
        |world: &World| (0..2).all(|node| world.nodes[node].disk.durable().rows.is_empty());
    ensure(world.until(LONG, purged), "the tombstone is not purged")?;
    world.isolate(2);
    world.start(2);
    let new = world.add_node("node-3");
    let list = world.addresses(&[2, new]);
    for other in 0..2 {
        world.network.part(new, other);
    }
    world.list(new, list);
    world.network.join(2, new);
    world.start(new);
    ensure(
        world.until(LONG, |world| world.is_ready(new)),
        "it does not join the removed node",
    )?;
    ensure(
        world.value(new, "k").as_deref() == Some("value"),
        "it does not get the old rows",
    )?;
    let lost = world.incarnation(new);
    world.history.void(lost, "its source was removed");
    let id = world.change(new, "k", put("again"), AckLevel::Local, None);
    world.stands(id)?;
    world.ends_well()?;
    ensure(
        world.incarnation(new) != lost,
        "a node that joined a removed one belongs to the cluster",
    )?;
    ensure(
        world.value(0, "k").is_none(),
        "a deleted entry is back everywhere",
    )
}

/// A node is down for long: entries that were deleted meanwhile stay deleted, and the node's earlier writes are kept.
pub(crate) fn a_purge_waits_for_who_is_down(rules: Rules) -> Outcome {
    let mut world = World::with_forgetful_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    world.isolate(2);
    let own = world.change(2, "own", put("value"), AckLevel::Local, None);
    world.stands(own)?;
    world.crash(2);
    world.delete(0, "k")?;
    world.pass(Duration::from_secs(40));
    ensure(
        (0..2).all(|node| world.holds_tombstone(node, "k")),
        "purged although node 2 does not know of it",
    )?;
    world.reconnect(2);
    world.start(2);
    world.ends_well()?;
    ensure(world.value(0, "k").is_none(), "a deleted entry is back")?;
    ensure(
        world.value(0, "own").is_some(),
        "what it wrote before it went down is gone",
    )
}

/// An entry spreads to all nodes while a message with it is still on its way to one of them. That node deletes the entry, and
/// the message comes last.
pub(crate) fn a_purge_waits_for_what_is_under_way(rules: Rules) -> Outcome {
    let mut profile = Profile::calm();
    profile.grace = Duration::ZERO;
    profile.sync_interval = Duration::from_mins(1);
    let mut world = World::with_cluster_like(rules, 3, profile)?;
    world.pass(Duration::from_secs(2));
    let id = world.write_after(
        Duration::ZERO,
        1,
        Write {
            identity: entry("k"),
            seen: Expected::Nothing,
            named: None,
            change: put("value"),
        },
        AckLevel::Local,
    );
    world.until(LONG, |world| world.history.writes[id].outcome.is_some());
    world.hold_up_requests(0, Duration::from_secs(25));
    ensure(
        world.until(LONG, |world| world.value(0, "k").is_some()),
        "it does not come by way of node 2",
    )?;
    world.delete(0, "k")?;
    ensure(
        world.until(Duration::from_secs(5), |world| {
            (1..3).all(|node| world.holds_tombstone(node, "k"))
        }),
        "the others do not know of the delete",
    )?;
    world.pass(Duration::from_secs(40));
    world.whole()?;
    ensure(world.value(0, "k").is_none(), "a deleted entry is back")?;
    world.ends_well()?;
    let purged =
        |world: &World| (0..3).all(|node| world.nodes[node].disk.durable().rows.is_empty());
    ensure(world.until(LONG, purged), "it is never purged")
}

/// Writes that never end put no purge off for ever.
pub(crate) fn a_purge_comes_although_all_are_written_to_without_pause(rules: Rules) -> Outcome {
    let mut world = World::with_forgetful_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    for node in 0..3 {
        world.nodes[node].commit_time = Duration::from_millis(10);
        world.nodes[node].disk.page = 1;
    }
    let never = |_: &World| false;
    world.written_to_without_pause(&[0, 1, 2], Duration::from_secs(2), never);
    let id = world.change(0, "k", Change::Delete, AckLevel::Local, None);
    world.stands(id)?;
    let purged = |world: &World| {
        let purged = |node: usize| {
            !world.nodes[node]
                .disk
                .durable()
                .rows
                .contains_key(&entry("k"))
        };
        (0..3).all(purged)
    };
    let in_time = world.written_to_without_pause(&[0, 1, 2], Duration::from_secs(40), purged);
    world.whole()?;
    ensure(in_time, "nothing is purged under load")?;
    world.ends_well()
}

/// A tombstone arrives where its entry never was, and the entry after it.
pub(crate) fn an_unknown_tombstone_is_kept(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.isolate(2);
    // Node 0 has the entry and sends it only to node 1, which deletes it and sends the delete only to node 2.
    world.put(0, "k", "value")?;
    world.network.part(0, 1);
    world.network.join(1, 2);
    let id = world.change(1, "k", Change::Delete, AckLevel::Local, None);
    world.stands(id)?;
    world.pass(Duration::from_secs(30));
    world.network.part(1, 2);
    world.network.join(0, 2);
    world.pass(Duration::from_secs(30));
    let back = "an entry is back where its delete was known";
    ensure(world.value(2, "k").is_none(), back)?;
    world.wipe(0);
    world.ends_well()?;
    ensure(world.value(2, "k").is_none(), back)
}

/// Between two pages of a snapshot an entry is deleted and purged: the snapshot is of no use any more.
pub(crate) fn a_snapshot_from_before_a_purge_is_taken_again(rules: Rules) -> Outcome {
    let mut world = World::with_forgetful_cluster(rules, 2)?;
    for node in 0..2 {
        world.nodes[node].disk.page = 1;
    }
    for number in 0..9 {
        world.put(0, &format!("k{number}"), "value")?;
    }
    world.profile.page = 1;
    let joiner = world.join("node-2");
    world.nodes[joiner].commit_time = Duration::from_secs(3);
    let stages = |world: &World| world.nodes[joiner].disk.durable().staged_rows() > 2;
    ensure(world.until(LONG, stages), "no snapshot begins")?;
    world.delete(0, "k0")?;
    let purged =
        |world: &World| (0..2).all(|node| world.nodes[node].disk.durable().rows.len() == 8);
    ensure(world.until(LONG, purged), "the tombstone is not purged")?;
    ensure(
        world.nodes[joiner].disk.durable().staged_rows() > 0,
        "the snapshot came to its end before",
    )?;
    world.ends_well()?;
    ensure(
        world.value(joiner, "k0").is_none(),
        "a deleted entry is back",
    )
}

/// A member that was removed while it was away has admitted a newcomer that the others do not know, and joins again from it.
/// The newcomer joins again from the others, and only then do the two meet.
pub(crate) fn a_purge_is_known_to_whoever_took_a_snapshot_after_it(rules: Rules) -> Outcome {
    let mut world = World::with_forgetful_cluster(rules, 2)?;
    world.put(0, "k", "value")?;
    world.network.part(0, 1);
    let newcomer = world.join("node-2");
    world.network.part(0, newcomer);
    let is_ready = |world: &World| world.is_ready(newcomer);
    ensure(world.until(LONG, is_ready), "it does not join")?;
    world.removed(0, 1)?;
    world.delete(0, "k")?;
    let purged = |world: &World| world.nodes[0].disk.durable().rows.is_empty();
    ensure(world.until(LONG, purged), "the tombstone is not purged")?;

    let removed = world.incarnation(1);
    let fenced = |world: &World| world.is_fenced(1);
    world.network.join(0, 1);
    ensure(world.until(LONG, fenced), "it is not told of its removal")?;
    world.network.part(0, 1);
    let joined = |world: &World| world.incarnation(1) != removed;
    ensure(world.until(LONG, joined), "it does not join again")?;

    let first = world.incarnation(newcomer);
    world.network.part(1, newcomer);
    world.network.join(0, newcomer);
    let joined = |world: &World| world.incarnation(newcomer) != first;
    ensure(
        world.until(LONG, joined),
        "the newcomer does not join again",
    )?;
    world.network.join(1, newcomer);
    world.pass(Duration::from_secs(10));
    ensure(
        world.value(newcomer, "k").is_none(),
        "a deleted entry is back",
    )?;
    world.ends_well()?;
    ensure(world.value(0, "k").is_none(), "a deleted entry is back")
}

/// The later pages of a snapshot have stamps of a clock that runs ahead, and their source is lost: writes over them beat them.
pub(crate) fn a_snapshot_is_written_over_by_a_slower_clock(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    // An admission by the source would bring its clock along.
    world.network.older_release = Some(0);
    for number in 0..6 {
        world.put(0, &format!("k{number}"), "value")?;
    }
    world.crash(1);
    world.nodes[0].disk.page = 1;
    let joiner = world.join("node-2");
    world.nodes[joiner].commit_time = Duration::from_secs(1);
    let stages = |world: &World| world.nodes[joiner].disk.durable().staged_rows() > 1;
    ensure(world.until(LONG, stages), "no snapshot begins")?;
    world.nodes[0].skew = 3_600_000_000;
    world.put(0, "k5", "from the future")?;
    let joined = |world: &World| world.nodes[joiner].disk.durable().state(rules).is_some();
    ensure(world.until(LONG, joined), "it does not join")?;
    world.wipe(0);
    ensure(
        world.until(LONG, |world| world.is_ready(joiner)),
        "it waits for a node that is gone",
    )?;
    let over = world.put(joiner, "k5", "of today");
    world.whole()?;
    over.map(drop)
}

/// Two nodes lose their disks in turn, again and again, and all of them purge: each greets the other with the marks which that
/// one may lack, not with those of all lives.
pub(crate) fn greetings_stay_short_however_many_lives_a_cluster_has(rules: Rules) -> Outcome {
    let mut world = World::with_forgetful_cluster(rules, 2)?;
    for generation in 0..8 {
        world.put(0, "k", "value")?;
        world.delete(0, "k")?;
        let purged =
            |world: &World| (0..2).all(|node| world.nodes[node].disk.durable().rows.is_empty());
        ensure(world.until(LONG, purged), "the tombstone is not purged")?;
        let lost = generation % 2;
        world.wipe(lost);
        world.start(lost);
        world.all_serve()?;
        world.pass(Duration::from_secs(5));
        for node in 0..2 {
            let marks = world.said[&world.incarnation(node)].inherited.len();
            ensure(
                marks <= 1,
                format!("generation {generation}: node {node} greets with {marks} marks"),
            )?;
        }
    }
    world.ends_well()
}
