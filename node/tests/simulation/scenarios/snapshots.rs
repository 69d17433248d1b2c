//! Snapshots that are taken while their sources purge.

use std::{collections::BTreeSet, time::Duration};

use opensecureconf_node::cluster::{AckLevel, Rules};

use crate::{
    chaos::Profile,
    scenarios::{joining::joining_beside_a_purge, scenarios},
    script::{LONG, Outcome, ensure, put},
    world::World,
};

scenarios! {
    a_snapshot_that_lacks_purged_deletes_is_not_put_in_force
    a_snapshot_of_many_pages_is_taken_beside_purges
    a_delete_that_a_source_learned_between_two_pages_fences_nobody
}

/// The source of a snapshot purges between two pages, and is gone as soon as a snapshot is in force.
pub(crate) fn a_snapshot_that_lacks_purged_deletes_is_not_put_in_force(rules: Rules) -> Outcome {
    let mut world = World::with_forgetful_cluster(rules, 1)?;
    world.nodes[0].disk.page = 1;
    for number in 0..9 {
        world.put(0, &format!("k{number}"), "value")?;
    }
    world.profile.page = 1;
    let joiner = world.join("node-1");
    let list = world.addresses(&world.present());
    world.list(0, list);
    world.nodes[joiner].commit_time = Duration::from_secs(3);
    let stages = |world: &World| world.nodes[joiner].disk.durable().staged_rows() > 2;
    ensure(world.until(LONG, stages), "no snapshot begins")?;
    world.delete(0, "k0")?;
    let purged = |world: &World| world.nodes[0].disk.durable().rows.len() == 8;
    ensure(world.until(LONG, purged), "the tombstone is not purged")?;
    ensure(stages(&world), "the snapshot came to its end before")?;
    world.nodes[joiner].commit_time = Duration::ZERO;
    let joins = |world: &World| world.nodes[joiner].disk.durable().state(rules).is_some();
    ensure(world.until(LONG, joins), "it never joins")?;
    world.crash(0);
    let is_ready = |world: &World| world.is_ready(joiner);
    ensure(world.until(LONG, is_ready), "it does not serve alone")?;
    let life = world.incarnation(joiner);
    let id = world.change(joiner, "own", put("value"), AckLevel::Local, None);
    world.stands(id)?;
    world.start(0);
    world.ends_well()?;
    ensure(world.incarnation(joiner) == life, "it joins anew")?;
    ensure(
        world.value(0, "own").is_some(),
        "an acknowledged write is gone",
    )?;
    ensure(
        world.value(joiner, "k0").is_none(),
        "a deleted entry is back",
    )
}

/// The source of a snapshot hears of a delete between two pages, and node 1 purges it before it knows of the joining node. That
/// node reaches node 1 only as a member: the source's feed told it of the delete, so it lacks nothing.
pub(crate) fn a_delete_that_a_source_learned_between_two_pages_fences_nobody(
    rules: Rules,
) -> Outcome {
    let (mut world, joiner) = joining_beside_a_purge(rules)?;
    let is_ready = |world: &World| world.is_ready(joiner);
    ensure(world.until(LONG, is_ready), "it does not join")?;
    ensure(
        world.value(joiner, "k0").is_none(),
        "it does not hear of the delete",
    )?;
    let life = world.incarnation(joiner);
    let id = world.change(joiner, "own", put("value"), AckLevel::Local, None);
    world.stands(id)?;
    world.network.join(1, joiner);
    world.ends_well()?;
    ensure(world.incarnation(joiner) == life, "it joins anew")?;
    ensure(world.value(1, "own").is_some(), "its write is gone")
}

/// A snapshot has many pages. Clients write and delete all the while, and both members purge every ten seconds what was deleted
/// longer ago than the grace period: one snapshot is enough, and nothing is lost or back.
pub(crate) fn a_snapshot_of_many_pages_is_taken_beside_purges(rules: Rules) -> Outcome {
    let mut profile = Profile::calm();
    profile.grace = Duration::from_mins(1);
    profile.page = 1;
    let mut world = World::with_cluster_like(rules, 2, profile)?;
    for node in 0..2 {
        world.nodes[node].disk.page = 1;
    }
    for number in 0..60 {
        world.put(number % 2, &format!("kept-{number:02}"), "first")?;
    }
    let mut number = 0;
    while world.time < Duration::from_secs(90) {
        clients_come_by(&mut world, number)?;
        number += 1;
    }
    let joiner = world.join("node-2");
    let list = world.addresses(&world.present());
    for node in 0..2 {
        world.list(node, list.clone());
    }
    world.nodes[joiner].commit_time = Duration::from_millis(500);
    let joined = |world: &World| world.nodes[joiner].disk.durable().state(rules).is_some();
    let mut marks = BTreeSet::new();
    let began = world.time;
    while !joined(&world) {
        ensure(world.time < began + LONG, "the snapshot never ends")?;
        clients_come_by(&mut world, number)?;
        number += 1;
        for node in 0..2 {
            let membership = world.nodes[node].disk.durable().membership.as_ref();
            marks.extend(membership.map(|membership| (node, membership.purged)));
        }
    }
    ensure(
        world.time > began + Duration::from_secs(30) && marks.len() >= 8,
        format!("too few purges beside the snapshot: {marks:?}"),
    )?;
    let life = world.incarnation(joiner);
    world.nodes[joiner].commit_time = Duration::ZERO;
    let end = world.time + Duration::from_secs(90);
    while world.time < end {
        clients_come_by(&mut world, number)?;
        number += 1;
    }
    world.ends_well()?;
    ensure(
        world.incarnation(joiner) == life,
        "one snapshot is not enough",
    )?;
    let rows = world.nodes[joiner].disk.durable().rows.values();
    let live = rows.filter(|row| !row.row.is_tombstone()).count();
    ensure(live == 60, format!("{live} entries live on"))
}

/// Clients create an entry, write over another one and delete the first, each at one of the two members.
fn clients_come_by(world: &mut World, number: usize) -> Outcome {
    let gone = format!("{}-gone-{number}", ["a", "z"][number % 2]);
    world.put(number % 2, &gone, "value")?;
    let kept = format!("kept-{:02}", (number * 7) % 60);
    world.put((number + 1) % 2, &kept, &format!("of round {number}"))?;
    world.delete(number / 2 % 2, &gone)?;
    world.pass(Duration::from_secs(3));
    world.whole()
}
