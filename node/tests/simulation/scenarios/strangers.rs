//! Nodes that do not belong together, although somebody's list says so.

use std::time::Duration;

use opensecureconf_node::cluster::{Refusal, Rules};

use crate::{
    scenarios::scenarios,
    script::{LONG, Outcome, ensure},
    world::World,
};

scenarios! {
    e14_two_lists_merged
    e15_clone
}

/// Two clusters get one common list: they refuse each other, and both go on serving.
pub(crate) fn e14_two_lists_merged(rules: Rules) -> Outcome {
    let mut world = World::with_nodes(rules, &["p", "q"]);
    for node in 0..2 {
        let own = world.addresses(&[node]);
        world.nodes[node].list = own;
        world.start(node);
        world.foundings.clear();
        world.salts.clear();
        world.found(node)?;
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
            let is_other = |refusal: &Refusal| matches!(refusal, Refusal::OtherFounding { .. });
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

/// Volumes are copied into another cluster, which then deletes: the original keeps what it has.
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
