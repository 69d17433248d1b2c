//! Joining: a whole snapshot or nothing, from a ready member, and what a joining node may announce.

use std::time::Duration;

use opensecureconf_node::cluster::{AckLevel, AdminOrder, Rules, State};

use crate::{
    scenarios::scenarios,
    script::{LONG, Outcome, ensure, put},
    world::{NodeId, World},
};

scenarios! {
    e19_acknowledgement_of_a_joiner
    e32_half_a_snapshot
    e33_each_waits_for_the_other
    a_snapshot_is_fed_to_those_behind_its_source
    a_node_is_ready_once_it_holds_what_was_acknowledged
    a_node_is_ready_in_time_although_the_others_are_written_to_without_pause
    a_node_is_ready_once_others_can_call_it
    a_node_is_ready_once_the_writes_of_others_wait_for_it
    a_late_request_for_a_snapshot_ends_no_later_life
    a_node_that_nobody_can_call_serves_all_the_same_after_a_while
    a_joining_node_that_may_lack_deletes_becomes_no_member
    a_joining_node_that_may_lack_deletes_remembers_that
}

/// A joining node acknowledges nothing until it is a member: it may leave at once, and then takes no row with it.
pub(crate) fn e19_acknowledgement_of_a_joiner(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    let joiner = world.join("node-2");
    // Node 0 learns of the joining node from its list, and node 1 passes nothing on.
    let list = world.addresses(&world.present());
    world.list(0, list);
    let joining =
        |world: &World| world.nodes[joiner].disk.durable().state(rules) == Some(State::Joining);
    let takes_page = |world: &World| world.page_is_under_way(joiner);
    ensure(world.until(LONG, takes_page), "it takes no snapshot")?;
    // Node 1 stands still in the middle of a write, and the joining node waits until it is sure of that.
    world.nodes[1].commit_time = Duration::from_hours(1);
    let first = world.change(0, "first", put("value"), AckLevel::Local, None);
    world.stands(first)?;
    ensure(world.until(LONG, joining), "it never joins")?;
    let id = world.change(0, "w", put("value"), AckLevel::All, None);
    let written = world.stands(id)?;
    ensure(joining(&world), "it does not wait for node 1")?;
    ensure(
        world.value(joiner, "w").is_some(),
        "it does not get the write",
    )?;
    world.told(joiner, AdminOrder::Leave);
    world.whole()?;
    ensure(
        written.held_by == 1,
        format!(
            "held by {} although only a joining node has it",
            written.held_by
        ),
    )?;
    world.crash(1);
    world.retire(joiner);
    world.removed(0, joiner)?;
    world.ends_well()
}

/// A node crashes in the middle of its snapshot: it is as blank as before.
pub(crate) fn e32_half_a_snapshot(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    for number in 0..30 {
        world.put(0, &format!("k{number}"), "value")?;
    }
    world.profile.page = 1;
    for node in 0..2 {
        world.nodes[node].disk.page = 1;
    }
    let joiner = world.join("node-2");
    let stages = |world: &World| world.nodes[joiner].disk.durable().staged_rows() > 5;
    ensure(world.until(LONG, stages), "no snapshot begins")?;
    world.crash(joiner);
    let standing = world.nodes[joiner].disk.durable().state(rules);
    ensure(
        standing.is_none(),
        format!("it is {standing:?} with part of a snapshot"),
    )?;
    world.crash(0);
    world.wipe(0);
    world.ends_well()
}

/// Of two nodes one lost its volume while the other was down: the node that has the data serves.
pub(crate) fn e33_each_waits_for_the_other(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    world.put(0, "k", "value")?;
    world.crash(1);
    world.wipe(0);
    world.start(0);
    world.pass(Duration::from_secs(5));
    world.start(1);
    ensure(
        world.until(LONG, |world| world.is_ready(1)),
        "nobody serves",
    )?;
    world.ends_well()?;
    ensure(world.value(0, "k").is_some(), "the value is gone")
}

/// The source of a snapshot is lost: nodes that lacked its rows get them from the node that loaded the snapshot.
pub(crate) fn a_snapshot_is_fed_to_those_behind_its_source(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.isolate(2);
    // One row fits in a message, and after it the newcomer reports where its snapshot ends.
    world.profile.page = 1;
    for key in ["first", "k"] {
        world.put(0, key, "value")?;
    }
    world.wipe(1);
    world.start(1);
    ensure(
        world.until(LONG, |world| world.is_ready(1)),
        "the wiped node does not join",
    )?;
    world.put(1, "other", "value")?;
    world.wipe(0);
    world.reconnect(2);
    world.ends_well()?;
    ensure(
        world.value(2, "k").is_some(),
        "what only the snapshot has is missing",
    )
}

/// A node that was away serves only once it holds the writes that it missed.
pub(crate) fn a_node_is_ready_once_it_holds_what_was_acknowledged(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.profile.is_calm = true;
    world.crash(2);
    for number in 0..20 {
        world.put(0, &format!("k{number}"), "value")?;
    }
    world.start(2);
    world.until(LONG, |world| world.is_ready(2));
    world.check_what_ready_nodes_hold();
    world.whole()?;
    world.ends_well()
}

/// Heads that move do not delay a node's readiness for ever.
pub(crate) fn a_node_is_ready_in_time_although_the_others_are_written_to_without_pause(
    rules: Rules,
) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    for node in 0..3 {
        world.nodes[node].commit_time = Duration::from_millis(10);
    }
    for round in 0..12 {
        world.crash(2);
        let never = |_: &World| false;
        world.written_to_without_pause(&[0, 1], Duration::from_millis(800), never);
        world.start(2);
        let ready = |world: &World| world.is_ready(2);
        let in_time = world.written_to_without_pause(&[0, 1], Duration::from_secs(8), ready);
        world.whole()?;
        let why = world.view(2).and_then(|view| view.not_ready);
        ensure(in_time, format!("not ready after start {round}: {why:?}"))?;
    }
    world.ends_well()
}

/// A returning pod has no DNS name for a moment: no node can send it writes, so no write waits for it.
pub(crate) fn a_node_is_ready_once_others_can_call_it(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.profile.is_calm = true;
    world.crash(2);
    world.pass(Duration::from_secs(3));
    world.network.unnamed.insert(2);
    world.start(2);
    for number in 0..20 {
        world.pass(Duration::from_millis(100));
        world.put(0, &format!("k{number}"), "value")?;
        world.check_what_ready_nodes_hold();
    }
    world.network.unnamed.clear();
    let in_time = Duration::from_secs(2);
    ensure(
        world.until(in_time, |world| world.is_ready(2)),
        "it is not ready soon after it can be called",
    )?;
    world.check_what_ready_nodes_hold();
    for number in 20..40 {
        world.put(1, &format!("k{number}"), "value")?;
        world.check_what_ready_nodes_hold();
    }
    world.whole()?;
    world.ends_well()
}

/// Where a node's own address never leads to it, it is of more use stale than silent.
pub(crate) fn a_node_that_nobody_can_call_serves_all_the_same_after_a_while(
    rules: Rules,
) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.crash(2);
    world.put(0, "k", "value")?;
    world.network.unnamed.insert(2);
    world.start(2);
    ensure(
        world.until(Duration::from_secs(15), |world| world.is_ready(2)),
        "it never serves",
    )?;
    ensure(
        world.value(2, "k").is_some(),
        "it does not hold what was there",
    )?;
    world.ends_well()
}

/// No node can call a starting one for a moment, so a write waits for it in vain. Once it serves, the next write waits again.
pub(crate) fn a_node_is_ready_once_the_writes_of_others_wait_for_it(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    world.crash(1);
    world.pass(Duration::from_secs(3));
    world.network.unnamed.insert(1);
    world.start(1);
    world.pass(Duration::from_millis(500));
    let written = world.put(0, "k", "value")?;
    ensure(
        (written.held_by, written.wanted) == (1, 2),
        "the write does not wait for the node in vain",
    )?;
    world.pass(Duration::from_secs(1));
    world.network.unnamed.clear();
    let in_time = Duration::from_secs(2);
    ensure(
        world.until(in_time, |world| world.is_ready(1)),
        "it is not ready soon after it can be called",
    )?;
    let written = world.put(0, "k", "later")?;
    ensure(
        written.held_by == 2,
        "it serves, and the writes of the other do not wait for it",
    )?;
    world.ends_well()
}

/// A node asks for a snapshot and crashes. Its next process joins and serves before that request arrives.
pub(crate) fn a_late_request_for_a_snapshot_ends_no_later_life(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    let joiner = world.join("node-2");
    let asks = |world: &World| world.snapshot_is_asked_for(joiner);
    ensure(world.until(LONG, asks), "it asks for no snapshot")?;
    world.hold_up_snapshot_request(joiner, Duration::from_secs(20));
    world.crash(joiner);
    world.start(joiner);
    ensure(
        world.until(LONG, |world| world.is_ready(joiner)),
        "it does not join",
    )?;
    let life = world.incarnation(joiner);
    // No other node hears it when the request arrives.
    world.isolate(joiner);
    let id = world.change(joiner, "own", put("value"), AckLevel::Local, None);
    world.stands(id)?;
    world.pass(Duration::from_secs(25));
    world.ends_well()?;
    ensure(world.incarnation(joiner) == life, "its life has ended")?;
    ensure(
        world.value(0, "own").is_some(),
        "a write that it acknowledged is gone",
    )
}

/// A member purges a delete that is later than the first page of a snapshot, and is gone once the joining node has heard of that:
/// the joining node would stand by writes, and lose them when that member confirms that it must join anew.
pub(crate) fn a_joining_node_that_may_lack_deletes_becomes_no_member(rules: Rules) -> Outcome {
    let (mut world, joiner) = joining_below_a_mark(rules)?;
    world.crash(1);
    world.pass(Duration::from_secs(30));
    ends_as_no_member(&mut world, joiner)
}

/// Such a node restarts meanwhile: its next process has heard of no purge.
pub(crate) fn a_joining_node_that_may_lack_deletes_remembers_that(rules: Rules) -> Outcome {
    let (mut world, joiner) = joining_below_a_mark(rules)?;
    world.crash(1);
    world.pass(Duration::from_secs(15));
    world.crash(joiner);
    world.start(joiner);
    world.pass(Duration::from_secs(30));
    ends_as_no_member(&mut world, joiner)
}

/// A node that joins from node 0, which hears of a delete between two pages of its snapshot; node 1, out of the joining node's
/// reach, purges that delete meanwhile.
pub(crate) fn joining_beside_a_purge(rules: Rules) -> Result<(World, NodeId), String> {
    let mut world = World::with_forgetful_cluster(rules, 2)?;
    world.nodes[0].disk.page = 1;
    for number in 0..9 {
        world.put(0, &format!("k{number}"), "value")?;
    }
    world.profile.page = 1;
    let joiner = world.join("node-2");
    world.network.part(1, joiner);
    let list = world.addresses(&world.present());
    for node in 0..2 {
        world.list(node, list.clone());
    }
    world.nodes[joiner].commit_time = Duration::from_secs(3);
    let stages = |world: &World| world.nodes[joiner].disk.durable().staged_rows() > 2;
    ensure(world.until(LONG, stages), "no snapshot begins")?;
    // Its clock is ahead, so node 0 keeps the tombstone for longer.
    world.nodes[1].skew = 3_600_000_000;
    world.delete(1, "k0")?;
    let purged = |world: &World| world.nodes[1].disk.durable().rows.len() == 8;
    ensure(world.until(LONG, purged), "the tombstone is not purged")?;
    ensure(world.holds_tombstone(0, "k0"), "node 0 purges as early")?;
    ensure(stages(&world), "the snapshot came to its end before")?;
    world.nodes[joiner].commit_time = Duration::ZERO;
    Ok((world, joiner))
}

/// A node that joins from node 0, and that node 1 accuses: it purged a delete of which node 0 heard between two pages. Node 0 is out of
/// reach after the last page, so its feed tells of no delete.
fn joining_below_a_mark(rules: Rules) -> Result<(World, NodeId), String> {
    let (mut world, joiner) = joining_beside_a_purge(rules)?;
    let joined = |world: &World| world.nodes[joiner].disk.durable().state(rules).is_some();
    ensure(world.until(LONG, joined), "it does not join")?;
    world.network.part(0, joiner);
    world.network.join(1, joiner);
    let suspects = |world: &World| world.nodes[joiner].suspicions > 0;
    ensure(world.until(LONG, suspects), "no greeting accuses it")?;
    Ok((world, joiner))
}

fn ends_as_no_member(world: &mut World, joiner: NodeId) -> Outcome {
    ensure(
        world.nodes[joiner].disk.durable().state(world.rules) == Some(State::Joining),
        "it becomes a member that may lack deletes",
    )?;
    world.start(1);
    world.ends_well()?;
    ensure(
        world.value(joiner, "k0").is_none(),
        "a deleted entry is back",
    )
}
