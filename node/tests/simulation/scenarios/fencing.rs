//! Fencing: nodes that were removed, superseded or went back, and what happens to the rows that only they have.

use std::time::Duration;

use opensecureconf_node::cluster::{AckLevel, Change, Rules};

use crate::{
    scenarios::scenarios,
    script::{LONG, Outcome, ensure, put},
    world::{NodeId, World},
};

scenarios! {
    e09_mutual_removal
    a_removal_is_void_whose_issuer_is_gone
    a_node_whose_removal_is_void_goes_on_where_all_are_fenced
    e20_reissued_write
    e23_version_of_a_dead_life
    e29_chain_of_removals
    a_fenced_node_brings_back_no_deleted_entry
    a_database_that_went_back_is_fenced
    a_late_message_for_an_earlier_life_leaves_no_gap
    late_greetings_of_two_processes_fence_nobody
    an_engine_that_is_loaded_anew_takes_no_old_answers
    a_database_that_went_back_unnoticed_gets_what_it_wrote
    a_database_that_went_back_purges_before_it_knows_of_others
    a_node_that_joined_a_removed_one_joins_again
    a_removal_by_a_slow_clock_fences_no_node_that_its_target_admitted
    a_source_that_went_back_passes_over_no_snapshot
    a_member_that_went_back_accuses_no_other
}

/// Two halves of a cluster remove each other: the earlier removal stands, and one half serves.
pub(crate) fn e09_mutual_removal(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    let stays = world.incarnation(0);
    world.isolate(1);
    world.removed(0, 1)?;
    world.pass(Duration::from_secs(1));
    world.removed(1, 0)?;
    world.ends_well()?;
    ensure(
        world.incarnation(0) == stays,
        "a removal by a removed node counts",
    )?;
    world.put(0, "k", "value")?;
    world.pass(Duration::from_secs(10));
    ensure(
        world.value(1, "k").is_some(),
        "each goes on without the other",
    )
}

/// Two nodes remove each other. The issuer of the later removal is gone, and a third node has heard of that removal only.
pub(crate) fn a_removal_is_void_whose_issuer_is_gone(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    let stays = world.incarnation(0);
    world.isolate(0);
    world.removed(0, 1)?;
    world.pass(Duration::from_secs(1));
    world.removed(1, 0)?;
    world.pass(Duration::from_secs(2));
    world.crash(1);
    world.removed(2, 1)?;
    world.reconnect(0);
    world.pass(Duration::from_secs(20));
    world.put(0, "k", "value")?;
    world.pass(Duration::from_secs(2));
    ensure(
        world.value(2, "k").is_some(),
        "each goes on without the other",
    )?;
    world.start(1);
    world.ends_well()?;
    ensure(
        world.incarnation(0) == stays,
        "a removal by a removed node counts",
    )
}

/// Node 1 removes node 2, which removes both others later: those removals are void. Node 0 hears of the first removal last. It
/// has purged without node 1, which is fenced for that, and then it hears of its own removal.
pub(crate) fn a_node_whose_removal_is_void_goes_on_where_all_are_fenced(rules: Rules) -> Outcome {
    let mut world = World::with_forgetful_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    world.put(0, "deleted", "value")?;
    world.all_serve()?;
    world.isolate(1);
    world.removed(1, 2)?;
    world.pass(Duration::from_secs(1));
    world.removed(2, 1)?;
    world.pass(Duration::from_secs(5));
    world.delete(0, "deleted")?;
    let purged = |world: &World| world.nodes[0].disk.durable().rows.len() == 1;
    ensure(world.until(LONG, purged), "it does not purge")?;
    world.isolate(2);
    world.removed(2, 0)?;
    let own = world.change(0, "own", put("value"), AckLevel::Local, None);
    world.stands(own)?;
    let life = world.incarnation(0);

    world.network.join(0, 1);
    let is_fenced = |node: NodeId| move |world: &World| world.is_fenced(node);
    ensure(world.until(LONG, is_fenced(1)), "node 1 is not fenced")?;
    world.network.part(0, 1);
    world.network.join(0, 2);
    ensure(
        world.until(LONG, is_fenced(0)),
        "node 0 does not hear of its removal",
    )?;
    // It takes no snapshot there.
    world.network.part(0, 2);
    world.network.join(1, 2);
    ensure(world.until(LONG, is_fenced(2)), "node 2 is not fenced")?;
    world.ends_well()?;
    ensure(world.incarnation(0) == life, "it joins anew")?;
    ensure(
        world.value(1, "own").is_some(),
        "what node 0 acknowledged is gone",
    )?;
    ensure(
        world.value(1, "deleted").is_none(),
        "a deleted entry is back",
    )
}

/// The writes that a fenced node brings back do not beat later writes of other nodes, even where the source of its snapshot has
/// not heard of those yet.
pub(crate) fn e20_reissued_write(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(2, "k", "first")?;
    let earlier = world.nodes[2].disk.durable().clone();
    world.put(2, "other", "value")?;
    world.isolate(2);
    world.pass(Duration::from_secs(1));
    world.roll_back(2, earlier);
    world.start(2);
    world.until(LONG, |world| world.is_ready(2));
    let old = world.change(2, "k", put("old"), AckLevel::Local, None);
    let old = world.stands(old)?.version;
    world.isolate(0);
    world.pass(Duration::from_secs(5));
    world.put(0, "k", "new")?;
    world.network.join(1, 2);
    let is_back = |world: &World| world.is_ready(2) && world.incarnation(2) != old.incarnation;
    ensure(world.until(LONG, is_back), "it is not fenced")?;
    world.ends_well()?;
    ensure(
        world.value(1, "k").as_deref() == Some("new"),
        "what a fenced node brought back beats a later write",
    )?;
    let conflicts = &world.nodes[2].disk.durable().conflicts;
    ensure(
        conflicts.iter().any(|row| row.version == old),
        "what it wrote is not kept with its own stamp",
    )
}

/// Nobody waits for the versions of a life that is over.
pub(crate) fn e23_version_of_a_dead_life(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    let first = world.incarnation(0);
    world.isolate(1);
    world.put(0, "k", "unheard of")?;
    world.wipe(0);
    world.reconnect(1);
    world.start(0);
    world.ends_well()?;
    let view = world.view(1).ok_or("it is down")?;
    ensure(
        view.members
            .iter()
            .all(|member| member.incarnation != first),
        "a life that is over still counts",
    )
}

/// C leaves, B removes C; B leaves, A removes B: C does not come back into the roster.
pub(crate) fn e29_chain_of_removals(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.removed(1, 2)?;
    world.retire(2);
    world.pass(Duration::from_secs(5));
    world.removed(0, 1)?;
    world.retire(1);
    world.pass(Duration::from_secs(5));
    let id = world.change(0, "k", put("value"), AckLevel::All, None);
    let written = world.stands(id)?;
    ensure(
        written.wanted == 1,
        format!("'all' still means {}", written.wanted),
    )?;
    world.ends_well()
}

/// An entry that was deleted while its node was cut off stays deleted when that node is fenced and comes back.
pub(crate) fn a_fenced_node_brings_back_no_deleted_entry(rules: Rules) -> Outcome {
    let mut world = World::with_forgetful_cluster(rules, 2)?;
    world.put(0, "k", "value")?;
    world.isolate(1);
    world.removed(0, 1)?;
    let id = world.change(0, "k", Change::Delete, AckLevel::Local, None);
    world.stands(id)?;
    world.ends_well()?;
    ensure(world.value(1, "k").is_none(), "a deleted entry is back")
}

/// A volume goes back to before its node acknowledged a write: the node reports it and loads a new snapshot.
pub(crate) fn a_database_that_went_back_is_fenced(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    world.put(1, "k", "value")?;
    let earlier = world.nodes[1].disk.durable().clone();
    for version in 0..3 {
        world.put(1, "k", &format!("value {version}"))?;
    }
    world.isolate(1);
    world.pass(Duration::from_secs(1));
    world.roll_back(1, earlier);
    world.start(1);
    world.until(LONG, |world| world.is_ready(1));
    // A change in a place of its feed that node 0 has read, as it believes.
    let id = world.change(1, "other", put("value"), AckLevel::Local, None);
    world.stands(id)?;
    world.ends_well()
}

/// Changes that were sent to an earlier life of a node do not move its later life's place in the feed.
pub(crate) fn a_late_message_for_an_earlier_life_leaves_no_gap(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.isolate(2);
    world.put(0, "first", "value")?;
    world.put(0, "second", "value")?;
    world.pass(Duration::from_millis(100));
    let id = world.change(0, "third", put("value"), AckLevel::Local, None);
    world.stands(id)?;
    world.hold_up_requests(1, Duration::from_secs(40));
    // Node 1 begins anew with the rows of node 2, which has none of these.
    world.wipe(1);
    world.isolate(0);
    world.network.join(1, 2);
    world.start(1);
    ensure(
        world.until(LONG, |world| world.is_ready(1)),
        "the wiped node does not join",
    )?;
    world.pass(Duration::from_secs(50));
    world.retire(2);
    world.reconnect(0);
    world.ends_well()
}

/// A greeting of a node's earlier process arrives late. A greeting of the current process, which was made before that node
/// acknowledged its present rows, then passes for news.
pub(crate) fn late_greetings_of_two_processes_fence_nobody(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    world.all_serve()?;
    let id = world.change(0, "first", put("value"), AckLevel::Local, None);
    world.stands(id)?;
    world.hold_up_requests_of(0, 1, Duration::from_secs(30));
    let late = world.time + Duration::from_secs(30);
    world.crash(0);
    world.start(0);
    ensure(
        world.until(LONG, |world| world.is_ready(0)),
        "it is not ready again",
    )?;
    let before = late.saturating_sub(world.time + Duration::from_secs(1));
    world.pass(before);
    let id = world.change(0, "second", put("value"), AckLevel::Local, None);
    world.stands(id)?;
    world.hold_up_requests_of(0, 1, Duration::from_millis(1500));
    // Meanwhile its answers to node 1 acknowledge these.
    for key in ["a", "b", "c"] {
        ensure(
            world.put(1, key, "value")?.held_by == 2,
            "node 0 does not hold it",
        )?;
    }
    let same = world.incarnation(0);
    world.ends_well()?;
    ensure(world.incarnation(0) == same, "it is fenced")
}

/// A commit fails: the engine that is loaded anew starts to count beyond all earlier numbers.
pub(crate) fn an_engine_that_is_loaded_anew_takes_no_old_answers(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    for number in 0..5 {
        world.nodes[1].disk.failure = Some(crate::disk::Failure::Commit);
        world.put(0, &format!("k{number}"), "value")?;
        world.put(0, &format!("l{number}"), "value")?;
    }
    world.ends_well()?;
    let written = world.put(0, "last", "value")?;
    ensure(
        written.held_by == 2,
        "nobody believes its greetings any more",
    )
}

/// A node goes back, and the nodes that knew its last writes are lost: only one member has them, from those nodes, and cannot
/// know that.
pub(crate) fn a_database_that_went_back_unnoticed_gets_what_it_wrote(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(0, "k", "old")?;
    world.put(0, "deleted", "old")?;
    world.all_serve()?;
    world.network.part(0, 1);
    world.pass(Duration::from_secs(5));
    let earlier = world.nodes[0].disk.durable().clone();
    world.put(0, "k", "new")?;
    world.delete(0, "deleted")?;
    world.all_serve()?;
    world.roll_back(0, earlier);
    world.wipe(2);
    world.ends_well()?;
    let value = world.value(0, "k");
    ensure(value.as_deref() == Some("new"), format!("it has {value:?}"))
}

/// A node goes back to before the others joined, and deletes an entry. It knows of no node that has the entry, and purges at
/// once; then it meets one of them, and takes the entry again. No other node ever stood by that delete.
pub(crate) fn a_database_that_went_back_purges_before_it_knows_of_others(rules: Rules) -> Outcome {
    let mut world = World::with_nodes(rules, &["node-0", "node-1"]);
    world.profile.grace = Duration::ZERO;
    world.start(0);
    world.bootstrap(0)?;
    let ready = |world: &World| world.is_ready(0);
    ensure(world.until(LONG, ready), "it does not serve")?;
    let alone = world.nodes[0].disk.durable().clone();
    world.put(0, "k", "value")?;
    world.start(1);
    world.all_serve()?;
    for number in 0..10 {
        world.put(0, &format!("first {number}"), "value")?;
    }
    world.all_serve()?;
    world.isolate(0);
    world.roll_back(0, alone);
    world.start(0);
    ensure(world.until(LONG, ready), "it does not serve alone")?;
    world.put(0, "k", "of its second life")?;
    world.delete(0, "k")?;
    let purged = |world: &World| world.nodes[0].disk.durable().rows.is_empty();
    ensure(world.until(LONG, purged), "it does not purge")?;
    for number in 0..30 {
        world.put(0, &format!("second {number}"), "value")?;
    }
    // It has come further than the others know of it when its next process begins, and it never read the newcomer's feed: no
    // node can see that it went back.
    world.crash(0);
    let new = world.add_node("node-2");
    let list = world.addresses(&[0, 1, new]);
    for node in [0, 1, new] {
        world.list(node, list.clone());
    }
    world.network.part(0, new);
    world.start(new);
    let joined = |world: &World| world.is_ready(new);
    ensure(world.until(LONG, joined), "the newcomer does not join")?;
    world.network.join(0, new);
    world.start(0);
    let is_back = |world: &World| world.value(0, "k").is_some();
    ensure(
        world.until(LONG, is_back),
        "it does not take the entry again",
    )?;
    world.ends_well()?;
    let value = world.value(0, "k");
    ensure(
        value.as_deref() == Some("value"),
        format!("it has {value:?}"),
    )
}

/// Two nodes remove each other. The one whose removal is void deletes an entry and purges, and a new node joins it: that node
/// lacks what the other half has, and no feed tells it.
pub(crate) fn a_node_that_joined_a_removed_one_joins_again(rules: Rules) -> Outcome {
    let mut world = World::with_forgetful_cluster(rules, 2)?;
    world.put(0, "k", "value")?;
    world.all_serve()?;
    world.isolate(1);
    world.removed(0, 1)?;
    world.pass(Duration::from_secs(1));
    world.removed(1, 0)?;
    let id = world.change(1, "k", Change::Delete, AckLevel::Local, None);
    world.stands(id)?;
    let purged = |world: &World| world.nodes[1].disk.durable().rows.is_empty();
    ensure(world.until(LONG, purged), "it does not purge")?;
    let new = world.add_node("node-2");
    let list = world.addresses(&[1, new]);
    world.list(new, list);
    world.network.part(0, new);
    world.start(new);
    ensure(
        world.until(LONG, |world| world.is_ready(new)),
        "it does not join the removed node",
    )?;
    // A member in good standing acknowledges that, and older writes are those of any member.
    let id = world.change(new, "of-new", put("value"), AckLevel::Local, None);
    world.stands(id)?;
    world.pass(Duration::from_secs(30));
    let lost = world.incarnation(new);
    world.ends_well()?;
    ensure(
        world.incarnation(new) != lost,
        "a node that joined a removed one belongs to the cluster",
    )?;
    ensure(
        world.value(0, "of-new").is_some(),
        "an acknowledged write is gone",
    )?;
    ensure(
        world.value(new, "k").is_some(),
        "it lacks what it never heard of",
    )
}

/// A member that was away has a slow clock and removes the node that admitted a new one meanwhile, as if that had been before:
/// the new node stays a member.
pub(crate) fn a_removal_by_a_slow_clock_fences_no_node_that_its_target_admitted(
    rules: Rules,
) -> Outcome {
    let mut world = World::with_forgetful_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    world.all_serve()?;
    world.isolate(2);
    world.nodes[2].skew = -86_400_000_000;
    // Node 1 is no source for a moment.
    world.crash(1);
    world.pass(Duration::from_secs(5));
    let new = world.join("node-3");
    world.network.part(2, new);
    let list = world.addresses(&world.present());
    world.list(0, list);
    ensure(
        world.until(LONG, |world| world.is_ready(new)),
        "it does not join",
    )?;
    let id = world.change(new, "of-new", put("value"), AckLevel::Healthy, None);
    world.stands(id)?;
    world.start(1);
    let (known, joined) = (world.incarnation(1), world.incarnation(new));
    world.removed(2, 0)?;
    world.ends_well()?;
    ensure(
        (world.incarnation(1), world.incarnation(new)) == (known, joined),
        "a node joins again that was never removed",
    )?;
    ensure(
        world.value(2, "of-new").is_some(),
        "an acknowledged write is gone",
    )
}

/// The node that bootstrapped a cluster goes back to before its only other member joined, writes more than that member ever saw
/// of it, and starts once more: the member's snapshot looks like a part of what the node holds.
pub(crate) fn a_source_that_went_back_passes_over_no_snapshot(rules: Rules) -> Outcome {
    let mut world = went_back_behind_its_only_member(rules, false)?;
    world.start(1);
    world.ends_well()?;
    ensure(
        world.value(0, "later").is_some(),
        "it lacks what the member has",
    )
}

/// Such a node purges meanwhile, because it knows of no member. The member gives it a snapshot all the same.
pub(crate) fn a_member_that_went_back_accuses_no_other(rules: Rules) -> Outcome {
    let mut world = went_back_behind_its_only_member(rules, true)?;
    world.start(1);
    // Node 0 is the first to call.
    world.network.cut(1, 0);
    let suspects = |world: &World| world.nodes[1].suspicions > 0;
    ensure(world.until(LONG, suspects), "no greeting accuses it")?;
    world.ends_well()?;
    ensure(
        world.value(0, "later").is_some(),
        "it lacks what the member has",
    )
}

fn went_back_behind_its_only_member(rules: Rules, purges: bool) -> Result<World, String> {
    let mut world = World::with_nodes(rules, &["node-0", "node-1"]);
    if purges {
        world.profile.grace = Duration::ZERO;
    }
    world.start(0);
    world.bootstrap(0)?;
    let is_ready = |world: &World| world.is_ready(0);
    ensure(world.until(LONG, is_ready), "it does not serve")?;
    world.put(0, "k", "value")?;
    let before = world.nodes[0].disk.durable().clone();
    for number in 0..9 {
        world.put(0, &format!("of-both-{number}"), "value")?;
    }
    world.start(1);
    world.all_serve()?;
    world.put(0, "later", "value")?;
    world.pass(Duration::from_secs(7));
    world.crash(1);
    world.roll_back(0, before);
    world.start(0);
    ensure(world.until(LONG, is_ready), "it does not serve again")?;
    for number in 0..30 {
        let key = format!("of-one-{number}");
        let id = world.change(0, &key, put("value"), AckLevel::Local, None);
        world.stands(id)?;
    }
    let id = world.change(0, "of-one-0", Change::Delete, AckLevel::Local, None);
    world.stands(id)?;
    let purged = |world: &World| !world.holds_tombstone(0, "of-one-0");
    ensure(
        !purges || world.until(LONG, purged),
        "it does not purge alone",
    )?;
    world.crash(0);
    world.start(0);
    ensure(world.until(LONG, is_ready), "it does not come back")?;
    Ok(world)
}
