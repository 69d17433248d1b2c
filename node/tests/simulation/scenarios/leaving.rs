//! Leaving: a node hands all rows over, and stays out until it is removed.

use std::time::Duration;

use opensecureconf_node::cluster::{
    AdminOrder, AdminOutcome, AdminRefusal, MemberName, Rules, State,
};

use crate::{
    scenarios::scenarios,
    script::{LONG, Outcome, ensure, put},
    world::{NodeId, World},
};

scenarios! {
    e03_same_name_new_life
    e10_last_write
    e11_late_removal
    e30_left_too_early
    the_last_one_to_leave_gives_a_snapshot_to_whoever_needs_one
    a_node_that_went_back_goes_on_leaving
}

fn left(world: &mut World, node: NodeId) -> Outcome {
    let answer = world.told(node, AdminOrder::Leave);
    let left =
        |world: &World| world.nodes[node].disk.durable().state(world.rules) == Some(State::Left);
    ensure(
        world.until(LONG, left),
        format!("node {node} does not leave: {answer:?}"),
    )?;
    world.whole()
}

/// A node is removed and comes back as a new life: deletes wait for that life before they are purged.
pub(crate) fn e03_same_name_new_life(rules: Rules) -> Outcome {
    let mut world = World::with_forgetful_cluster(rules, 2)?;
    world.removed(1, 0)?;
    world.wipe(0);
    world.start(0);
    world.all_serve()?;
    world.put(1, "k", "value")?;
    world.isolate(0);
    world.delete(1, "k")?;
    world.pass(Duration::from_secs(25));
    ensure(world.value(0, "k").is_some(), "node 0 knows of the delete")?;
    ensure(
        world.holds_tombstone(1, "k"),
        "purged while the later life of node 0 is away",
    )?;
    world.ends_well()?;
    ensure(
        (0..2).all(|node| world.value(node, "k").is_none()),
        "a deleted entry is back",
    )
}

/// A leaving node accepts no writes, and leaves only when all others hold its rows.
pub(crate) fn e10_last_write(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.isolate(2);
    let held = world.put(2, "k", "value")?.held_by;
    ensure(held == 1, "others hold it")?;
    world.told(2, AdminOrder::Leave);
    let late = world.change(
        2,
        "late",
        put("value"),
        opensecureconf_node::cluster::AckLevel::Local,
        None,
    );
    ensure(world.is_refused(late), "a leaving node takes a write")?;
    world.pass(Duration::from_secs(5));
    ensure(
        world.nodes[2].disk.durable().state(rules) == Some(State::Leaving),
        "it has left although nobody else holds what it has",
    )?;
    world.reconnect(2);
    left(&mut world, 2)?;
    world.removed(0, 2)?;
    world.retire(2);
    world.ends_well()?;
    ensure(world.value(0, "k").is_some(), "the last write is gone")
}

/// A removal that was ordered for a life that is over does not touch the later life of that name.
pub(crate) fn e11_late_removal(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    let old = world.incarnation(2);
    left(&mut world, 2)?;
    world.retire(2);
    let list = world.addresses(&world.present());
    for node in 0..2 {
        world.list(node, list.clone());
    }
    world.pass(Duration::from_secs(5));
    let new = world.join("node-2");
    world.all_serve()?;
    for force in [false, true] {
        let order = AdminOrder::Remove {
            name: MemberName::new("node-2"),
            incarnation: old,
            force,
        };
        let answer = world.told(0, order);
        ensure(
            matches!(answer, Some(Err(AdminRefusal::NotCurrent { .. }))),
            format!("the removal of an earlier life: {answer:?}"),
        )?;
    }
    world.ends_well()?;
    ensure(world.is_ready(new), "the later life was removed")
}

/// A node that has left and starts again accepts no writes; once it is removed, it joins again.
pub(crate) fn e30_left_too_early(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    left(&mut world, 1)?;
    world.crash(1);
    world.start(1);
    world.pass(Duration::from_secs(20));
    ensure(!world.is_ready(1), "it serves although it has left")?;
    let write = world.change(
        1,
        "k",
        put("value"),
        opensecureconf_node::cluster::AckLevel::Local,
        None,
    );
    ensure(
        world.is_refused(write),
        "it takes a write although it has left",
    )?;
    world.removed(0, 1)?;
    world.ends_well()
}

/// Of two nodes one gets the order to leave while the other has lost its place: the leaving one still gives snapshots.
pub(crate) fn the_last_one_to_leave_gives_a_snapshot_to_whoever_needs_one(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    world.put(0, "k", "value")?;
    world.crash(1);
    let answer = world.told(0, AdminOrder::Leave);
    ensure(
        matches!(
            answer,
            Some(Ok(AdminOutcome::Leaving(Some(State::Leaving))))
        ),
        format!("{answer:?}"),
    )?;
    world.wipe(1);
    world.start(1);
    ensure(
        world.until(LONG, |world| world.is_ready(1)),
        "nobody serves any more",
    )?;
    ensure(world.value(1, "k").is_some(), "the value is gone")?;
    left(&mut world, 0)
}

/// A node goes back to before it was leaving, and learns from another member that it is.
pub(crate) fn a_node_that_went_back_goes_on_leaving(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    world.all_serve()?;
    world.pass(Duration::from_secs(7));
    let before = world.nodes[2].disk.durable().clone();
    // It cannot leave yet.
    world.network.part(1, 2);
    world.told(2, AdminOrder::Leave);
    let leaves = State::Leaving;
    let is = |world: &World, state| world.nodes[2].disk.durable().state(rules) == Some(state);
    let incarnation = world.incarnation(2);
    let is_told = |world: &World| {
        let states = world.nodes[0].disk.durable().roster.states(rules);
        states.get(&incarnation) == Some(&leaves)
    };
    ensure(world.until(LONG, is_told), "no member hears of it")?;
    world.roll_back(2, before);
    ensure(is(&world, State::Member), "it does not go back")?;
    world.start(2);
    ensure(
        world.until(LONG, |world| is(world, leaves)),
        "it does not learn that it is leaving",
    )?;
    world.network.heal();
    ensure(
        world.until(LONG, |world| is(world, State::Left)),
        "it is leaving for ever",
    )?;
    world.whole()
}
