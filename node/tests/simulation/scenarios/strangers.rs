//! Nodes that do not belong together, although an address list names them.

use std::time::Duration;

use opensecureconf_node::cluster::{Address, Mode, Refusal, Rules};

use crate::{
    scenarios::scenarios,
    script::{LONG, Outcome, ensure},
    world::World,
};

scenarios! {
    e14_two_lists_merged
    e15_clone
    a_node_that_is_refused_says_why
    nobody_is_counted_twice
    a_member_that_forgot_how_far_it_held_an_unknown_node_is_not_fenced
}

/// A node joins by way of node 1, which node 0 does not reach. It feeds node 0, whose list does not lead to it: node 0 does not know
/// it, so it stores nothing of it, and then it starts again.
pub(crate) fn a_member_that_forgot_how_far_it_held_an_unknown_node_is_not_fenced(
    rules: Rules,
) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    for number in 0..3 {
        world.put(0, &format!("k{number}"), "value")?;
    }
    world.all_serve()?;
    world.network.part(0, 1);
    world.put(1, "later", "value")?;
    let joiner = world.join("node-2");
    let is_fed = |world: &World| world.value(0, "later").is_some();
    ensure(world.until(LONG, is_fed), "node 0 is not fed")?;
    // Until the joining node has heard of that.
    world.pass(Duration::from_secs(5));
    let unknown = world.incarnation(joiner);
    ensure(
        world.nodes[0]
            .disk
            .durable()
            .roster
            .entry(unknown)
            .is_none(),
        "node 0 knows the joining node",
    )?;
    let life = world.incarnation(0);
    world.crash(0);
    world.start(0);
    world.ends_well()?;
    ensure(world.incarnation(0) == life, "node 0 joins anew")
}

/// Two clusters get one common list: their nodes refuse each other, and both go on serving.
pub(crate) fn e14_two_lists_merged(rules: Rules) -> Outcome {
    let mut world = World::with_nodes(rules, &["p", "q"]);
    for node in 0..2 {
        let own = world.addresses(&[node]);
        world.nodes[node].list = own;
        world.start(node);
        world.cluster_uids.clear();
        world.salts.clear();
        world.bootstrap(node)?;
        world.until(LONG, |world| world.is_ready(node));
    }
    world.put(0, "k", "of p")?;
    world.put(1, "k", "of q")?;
    let list = world.addresses(&[0, 1]);
    for node in 0..2 {
        world.list(node, list.clone());
    }
    world.pass(Duration::from_mins(1));
    ensure(
        (0..2).all(|node| {
            let refusals = &world.nodes[node].refusals;
            let is_other = |refusal: &Refusal| matches!(refusal, Refusal::OtherClusterUid { .. });
            refusals.iter().any(is_other)
        }),
        "they never met",
    )?;
    for (node, value) in [(0, "of p"), (1, "of q")] {
        ensure(world.is_ready(node), format!("node {node} stopped serving"))?;
        ensure(
            world.value(node, "k").as_deref() == Some(value),
            "the clusters mixed",
        )?;
    }
    Ok(())
}

/// Volumes are copied into another cluster, which then deletes entries: the original keeps its rows.
pub(crate) fn e15_clone(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    world.put(0, "k", "value")?;
    let copy = world.nodes[1].disk.durable().clone();
    let clone = world.add_node("node-1");
    let list = world.addresses(&world.present());
    world.nodes[clone].disk.replace(copy);
    "staging/demo".clone_into(&mut world.nodes[clone].cluster);
    world.nodes[clone].list = list;
    world.start(clone);
    ensure(
        world.until(LONG, |world| world.is_ready(clone)),
        "staging does not serve",
    )?;
    world.delete(clone, "k")?;
    world.pass(Duration::from_secs(30));
    let other_cluster = |refusal: &Refusal| matches!(refusal, Refusal::OtherCluster { .. });
    ensure(
        world.nodes[clone].refusals.iter().any(other_cluster),
        "they never met",
    )?;
    for node in 0..2 {
        ensure(world.is_ready(node), format!("node {node} stopped serving"))?;
        ensure(
            world.value(node, "k").is_some(),
            "staging's delete reached production",
        )?;
    }
    Ok(())
}

/// Nodes that cannot join, for their name, their cluster's name or their mode: each reports which setting it is.
pub(crate) fn a_node_that_is_refused_says_why(rules: Rules) -> Outcome {
    let mut world = World::with_nodes(rules, &["a", "a", "b", "c"]);
    "another".clone_into(&mut world.nodes[2].cluster);
    for node in 0..3 {
        world.start(node);
    }
    world.mode = Mode::Federated;
    world.start(3);
    world.mode = Mode::Replica;
    world.bootstrap(0)?;
    for (node, setting) in [
        (1, "OSC_CLUSTER_NODE_ID"),
        (2, "OSC_CLUSTER_ID"),
        (3, "OSC_CLUSTER_MODE"),
    ] {
        let said = |world: &World| world.view(node).and_then(|view| view.not_ready);
        ensure(
            world.until(LONG, |world| {
                said(world).is_some_and(|said| said.contains(setting))
            }),
            format!("node {node} does not name {setting}: {:?}", said(&world)),
        )?;
    }
    Ok(())
}

/// A node returns. The others do not know its address at first, nor it theirs: each counts as one node all the same. A listed
/// address beyond the members counts before its node was ever heard.
pub(crate) fn nobody_is_counted_twice(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    let others = |world: &World, node| world.view(node).map(|view| view.others().0);
    world.crash(1);
    world.start(1);
    let mut counts = std::collections::BTreeSet::new();
    world.until(LONG, |world| {
        counts.extend((0..3).filter_map(|node| others(world, node)));
        world.is_ready(1)
    });
    ensure(
        counts == [2].into(),
        format!("of two others there were {counts:?}"),
    )?;
    // One of the members is listed at another address from now on, and does not answer there yet.
    let mut list = world.addresses(&[0, 2]);
    list.push(Address::new("elsewhere:9000"));
    world.list(0, list.clone());
    world.pass(Duration::from_secs(1));
    ensure(
        others(&world, 0) == Some(2),
        "a member at another address is two nodes",
    )?;
    list.push(Address::new("nobody:9000"));
    world.list(0, list);
    world.pass(Duration::from_secs(1));
    ensure(
        others(&world, 0) == Some(3),
        "a listed node that nobody heard does not count",
    )
}
