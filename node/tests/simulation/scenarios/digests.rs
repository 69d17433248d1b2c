//! Digests: nodes find and restore the rows that a fault removed from one table, and restore no others.

use std::time::Duration;

use opensecureconf_node::{
    cluster::{AckLevel, Rules},
    domain::Row,
};

use crate::{
    disk::Contents,
    scenarios::scenarios,
    script::{LONG, Outcome, ensure, entry, put},
    world::{NodeId, World},
};

scenarios! {
    a_row_that_a_fault_took_away_comes_back
    a_row_that_a_fault_set_back_is_what_it_was
    a_deleted_row_that_a_fault_brought_back_is_deleted_again
    what_one_member_has_alone_may_be_deleted
    what_two_members_have_is_taken_although_it_may_be_deleted
    two_members_alone_revive_nothing_and_say_so
    who_was_away_for_long_is_fed_and_not_repaired
    clocks_that_differ_by_hours_hide_no_fault
    a_member_of_the_release_before_is_not_asked
}

/// Longer than rows must be old, and three rounds.
const ROUNDS: Duration = Duration::from_mins(28);

fn row(world: &World, node: NodeId, key: &str) -> Row {
    world.nodes[node].disk.durable().rows[&entry(key)]
        .row
        .clone()
}

fn set_back(world: &mut World, node: NodeId, older: &Row) {
    damage(world, node, |contents| contents.set_back(older));
}

fn lose(world: &mut World, node: NodeId, key: &str) {
    damage(world, node, |contents| contents.lose(&entry(key)));
}

fn damage(world: &mut World, node: NodeId, how: impl FnOnce(&mut Contents)) {
    world.nodes[node].disk.edit(how);
    let contents = world.nodes[node].disk.durable().clone();
    world.history.forget(&contents);
}

fn mismatches(world: &World, node: NodeId) -> usize {
    let view = world.view(node);
    let digests = view.iter().flat_map(|view| &view.members);
    digests
        .filter_map(|member| member.digest)
        .map(|digest| digest.mismatches)
        .sum()
}

/// Rows vanish from one table: the others have them.
pub(crate) fn a_row_that_a_fault_took_away_comes_back(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    for number in 0..40 {
        world.put(0, &format!("k{number}"), "value")?;
    }
    lose(&mut world, 1, "k7");
    lose(&mut world, 0, "k8");
    world.pass(ROUNDS);
    ensure(
        world.history.repaired == 2,
        format!("{} rows were repaired", world.history.repaired),
    )?;
    world.ends_well()?;
    world.pass(ROUNDS);
    ensure(world.history.repaired == 2, "rows are repaired again")?;
    ensure(
        (0..3).all(|node| mismatches(&world, node) == 0),
        "they still differ",
    )?;
    let views: Vec<_> = (0..3).filter_map(|node| world.view(node)).collect();
    let roots = views.iter().filter_map(|view| view.digest);
    let roots: std::collections::BTreeSet<_> = roots.map(|digest| digest.root).collect();
    ensure(roots.len() == 1, "their digests differ")
}

/// One table has an older version again.
pub(crate) fn a_row_that_a_fault_set_back_is_what_it_was(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    world.put(0, "k", "old")?;
    let old = row(&world, 1, "k");
    world.put(0, "k", "new")?;
    set_back(&mut world, 1, &old);
    world.pass(ROUNDS);
    world.ends_well()?;
    ensure(world.history.repaired == 1, "nothing was repaired")?;
    ensure(
        world.nodes[1].disk.durable().conflicts.is_empty(),
        "the version that was replaced long ago passes for a conflict",
    )
}

/// One table has a deleted entry again, whose tombstone other tables still have.
pub(crate) fn a_deleted_row_that_a_fault_brought_back_is_deleted_again(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    let old = row(&world, 1, "k");
    world.delete(0, "k")?;
    set_back(&mut world, 1, &old);
    world.pass(ROUNDS);
    world.ends_well()?;
    ensure(world.value(1, "k").is_none(), "a deleted entry is back")
}

/// One table has a deleted entry again, whose tombstone is purged everywhere: no other node accepts it.
pub(crate) fn what_one_member_has_alone_may_be_deleted(rules: Rules) -> Outcome {
    let mut world = deleted_and_purged(rules, 3)?;
    let back = world.1.clone();
    let world = &mut world.0;
    set_back(world, 2, &back);
    world.pass(ROUNDS);
    ensure(
        (0..2).all(|node| world.value(node, "k").is_none()),
        "a deleted entry spreads",
    )?;
    ensure(world.history.held_by_one_only > 0, "nobody is told")?;
    ensure(mismatches(world, 0) > 0, "no mismatch is shown")?;
    // A client deletes the entry at the node that has it.
    world.delete(2, "k")?;
    world.pass(ROUNDS);
    world.ends_well()
}

/// A row vanishes from one table, and a later tombstone was purged: two other members have the row, so it is not a deleted one.
pub(crate) fn what_two_members_have_is_taken_although_it_may_be_deleted(rules: Rules) -> Outcome {
    let (mut world, _) = deleted_and_purged(rules, 3)?;
    lose(&mut world, 1, "before");
    world.pass(ROUNDS);
    world.ends_well()?;
    ensure(world.value(1, "before").is_some(), "it does not come back")
}

/// The same with two members: the one that has the row keeps it, and reports it.
pub(crate) fn two_members_alone_revive_nothing_and_say_so(rules: Rules) -> Outcome {
    let (mut world, _) = deleted_and_purged(rules, 2)?;
    lose(&mut world, 1, "before");
    world.pass(ROUNDS);
    ensure(world.value(1, "before").is_none(), "it comes back")?;
    ensure(world.value(0, "before").is_some(), "it is gone")?;
    ensure(world.history.held_by_one_only > 0, "nobody is told")?;
    world.put(0, "before", "value")?;
    world.ends_well()
}

/// An entry of the name `before`, and another one that is deleted and purged; gives the second.
fn deleted_and_purged(rules: Rules, count: usize) -> Result<(World, Row), String> {
    let mut world = World::with_forgetful_cluster(rules, count)?;
    world.put(0, "before", "value")?;
    world.put(0, "k", "value")?;
    let old = row(&world, 0, "k");
    world.delete(0, "k")?;
    let purged =
        |world: &World| (0..count).all(|node| world.nodes[node].disk.durable().rows.len() == 1);
    ensure(world.until(LONG, purged), "the tombstone is not purged")?;
    Ok((world, old))
}

/// A member misses many changes, and its feed takes long: no member counts any of them as lost.
pub(crate) fn who_was_away_for_long_is_fed_and_not_repaired(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    world.isolate(2);
    for number in 0..150 {
        let id = world.change(2, &format!("m{number}"), put("mine"), AckLevel::Local, None);
        world.stands(id)?;
        world.put(0, &format!("k{number}"), "value")?;
    }
    world.pass(ROUNDS);
    for node in 0..3 {
        world.nodes[node].disk.page = 1;
        world.nodes[node].commit_time = Duration::from_secs(4);
    }
    world.reconnect(2);
    for _ in 0..28 {
        world.pass(Duration::from_mins(1));
        let shown: usize = (0..3).map(|node| mismatches(&world, node)).sum();
        ensure(shown == 0, "what was on its way is shown as a mismatch")?;
    }
    for node in 0..3 {
        world.nodes[node].commit_time = Duration::ZERO;
    }
    world.pass(ROUNDS);
    world.ends_well()?;
    ensure(
        world.history.repaired == 0,
        "what was on its way was taken for lost",
    )
}

/// Wall clocks are hours apart.
pub(crate) fn clocks_that_differ_by_hours_hide_no_fault(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    world.put(0, "k", "value")?;
    world.put(0, "other", "value")?;
    world.nodes[1].skew = 3 * 3_600_000_000;
    world.clocks_agree = false;
    world.pass(LONG);
    lose(&mut world, 1, "k");
    world.pass(ROUNDS);
    world.nodes[1].skew = 0;
    world.ends_well()?;
    ensure(world.history.repaired == 1, "nothing was repaired")
}

/// A neighbour that does not know digests goes on being a healthy member.
pub(crate) fn a_member_of_the_release_before_is_not_asked(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    world.put(0, "k", "value")?;
    world.network.older_release = Some(1);
    world.pass(ROUNDS);
    world.whole()?;
    ensure(
        world.view(0).is_some_and(|view| view.members[0].healthy),
        "it passes for sick",
    )?;
    world.network.older_release = None;
    world.ends_well()
}
