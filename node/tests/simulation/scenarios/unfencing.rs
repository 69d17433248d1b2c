//! Members that the cluster admin lets go on without deletes that others purged, and the nodes that join from them.

use std::time::Duration;

use opensecureconf_node::cluster::{AdminOrder, AdminOutcome, Rules};

use crate::{
    scenarios::scenarios,
    script::{LONG, Outcome, ensure, entry},
    world::{NodeId, World},
};

scenarios! {
    a_node_lacks_what_its_source_was_forgiven
}

/// Each of two members lacks what was purged behind the other's snapshot, and the admin lets both go on. A node joins from one of
/// them: the other accused it after each snapshot, and it took the next one at once, for ever.
pub(crate) fn a_node_lacks_what_its_source_was_forgiven(rules: Rules) -> Outcome {
    let (mut world, members) = with_two_forgiven_members(rules)?;
    let joining = world.join("node-6");
    let list = world.addresses(&world.present());
    for node in world.present() {
        world.list(node, list.clone());
    }
    let is_ready = |world: &World| world.is_ready(joining);
    ensure(
        world.until(Duration::from_secs(20), is_ready),
        "it does not serve",
    )?;
    let life = world.incarnation(joining);
    world.pass(Duration::from_secs(30));
    ensure(world.incarnation(joining) == life, "it joins anew")?;
    for node in [members[0], members[1], joining] {
        ensure(world.is_ready(node), format!("node {node} does not serve"))?;
        let key = format!("of-{node}");
        let written = world.put(node, &key, "value")?;
        ensure(written.held_by == 3, "they do not replicate")?;
    }
    world.whole()
}

/// Two halves of a cluster grow apart: a node that the other half never heard of deletes and purges, gives a snapshot, and is
/// lost. The nodes with those snapshots meet. No node could give them one without the same gap, and the admin unfences both.
fn with_two_forgiven_members(rules: Rules) -> Result<(World, [NodeId; 2]), String> {
    let mut world = World::with_forgetful_cluster(rules, 2)?;
    world.put(0, "k", "value")?;
    world.put(0, "l", "value")?;
    world.network.part(0, 1);
    let purgers = [world.join("node-2"), world.join("node-3")];
    world.network.part(purgers[0], purgers[1]);
    world.network.part(purgers[0], 1);
    world.network.part(purgers[1], 0);
    all_are_ready(&mut world, purgers)?;
    world.retire(0);
    world.retire(1);
    for (purger, key) in purgers.into_iter().zip(["k", "l"]) {
        world.removed(purger, 0)?;
        world.removed(purger, 1)?;
        world.delete(purger, key)?;
        let is_purged = |world: &World| {
            !world.nodes[purger]
                .disk
                .durable()
                .rows
                .contains_key(&entry(key))
        };
        ensure(world.until(LONG, is_purged), "the tombstone is not purged")?;
    }
    let members = [world.join("node-4"), world.join("node-5")];
    world.network.part(members[0], members[1]);
    world.network.part(members[0], purgers[1]);
    world.network.part(members[1], purgers[0]);
    all_are_ready(&mut world, members)?;
    world.retire(purgers[0]);
    world.retire(purgers[1]);
    // Both start again, so that neither is a source for the other.
    for node in members {
        world.crash(node);
    }
    world.network.join(members[0], members[1]);
    let list = world.addresses(&members);
    for node in members {
        world.nodes[node].list.clone_from(&list);
        world.start(node);
    }
    let waits = |world: &World, node: NodeId| {
        let view = world.view(node);
        view.is_some_and(|view| view.waits_for_owner)
    };
    let wait_both = |world: &World| members.into_iter().all(|node| waits(world, node));
    ensure(
        world.until(LONG, wait_both),
        "they do not wait for the admin",
    )?;
    // At once: the second would hear that the first gives snapshots again.
    let orders = members.map(|node| world.order(node, AdminOrder::Unfence { dry_run: false }));
    world.pass(Duration::from_secs(1));
    for order in orders {
        match &world.orders[order] {
            Some(Ok(AdminOutcome::Unfenced)) => {}
            other => return Err(format!("a member does not go on: {other:?}")),
        }
    }
    world.pass(Duration::from_secs(20));
    for node in members {
        let goes_on = world.is_ready(node) && !waits(&world, node);
        ensure(goes_on, format!("node {node} does not go on"))?;
    }
    Ok((world, members))
}

fn all_are_ready(world: &mut World, nodes: [NodeId; 2]) -> Outcome {
    let are_ready = |world: &World| nodes.into_iter().all(|node| world.is_ready(node));
    ensure(world.until(LONG, are_ready), "they do not join")
}
