//! Bootstrap: ordered once, by the cluster admin, and never done unbidden.

use std::time::Duration;

use opensecureconf_node::{
    cluster::{AdminOrder, AdminOutcome, AdminRefusal, Refusal, Roster, Rules},
    crypto::Salt,
};

use crate::{
    scenarios::scenarios,
    script::{LONG, Outcome, ensure},
    world::{NodeId, World},
};

scenarios! {
    e05_no_node_bootstraps_by_itself
    e06_blank_pair
    e16_equal_names
    e17_forgetful_bootstrap_node
    e18_late_promise
    e27_stale_short_list
    e28_after_a_total_loss
    e34_three_originals
    a_snapshot_of_a_lost_cluster_comes_after_the_new_bootstrap
    a_bootstrap_waits_for_what_a_lost_node_sent
}

/// Three empty databases wait until one gets the order to bootstrap; then all serve, with the mounted salt.
pub(crate) fn e05_no_node_bootstraps_by_itself(rules: Rules) -> Outcome {
    let mut world = World::with_nodes(rules, &["a", "b", "c"]);
    world.mounted = Salt::from_bytes(&[7; 64]);
    for node in 0..3 {
        world.start(node);
    }
    world.pass(Duration::from_mins(1));
    ensure(
        world.cluster_uids.is_empty(),
        "a node bootstrapped unbidden",
    )?;
    world.bootstrap(1)?;
    world.all_serve()?;
    let mounted = world
        .mounted
        .as_ref()
        .map(|salt| salt.fingerprint().to_string());
    ensure(
        world.salts.iter().eq(mounted.iter()),
        "another salt than the mounted one",
    )
}

/// Two nodes that lost their volumes wait for the third, which has everything.
pub(crate) fn e06_blank_pair(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(2, "k", "value")?;
    world.crash(2);
    world.wipe(0);
    world.wipe(1);
    world.start(0);
    world.start(1);
    world.pass(Duration::from_mins(1));
    world.whole()?;
    ensure(
        !world.is_ready(0) && !world.is_ready(1),
        "blank nodes serve",
    )?;
    world.start(2);
    world.ends_well()?;
    ensure(world.value(0, "k").is_some(), "the value is gone")
}

/// The second of two nodes with one name is refused, and makes no salt.
pub(crate) fn e16_equal_names(rules: Rules) -> Outcome {
    let mut world = World::with_nodes(rules, &["node-9000", "node-9000"]);
    world.start(0);
    world.start(1);
    world.bootstrap(0)?;
    world.pass(Duration::from_mins(1));
    world.whole()?;
    ensure(
        world.nodes[1].refusals.contains(&Refusal::NameTaken),
        "they never met",
    )?;
    ensure(world.is_ready(0), "the first one was driven out")?;
    ensure(!world.is_ready(1), "two live nodes have one name")?;
    ensure(world.salts.len() == 1, "two salts")
}

/// The bootstrap node's volume is lost before another node joined: the mark that named it instructs no other life.
pub(crate) fn e17_forgetful_bootstrap_node(rules: Rules) -> Outcome {
    let mut world = World::with_nodes(rules, &["a", "b"]);
    world.start(0);
    world.bootstrap(0)?;
    let told = AdminOrder::Bootstrap {
        incarnation: world.incarnation(0),
        mounted: None,
    };
    world.crash(0);
    world.wipe(0);
    world.start(0);
    world.start(1);
    for node in 0..2 {
        let answer = world.told(node, told.clone());
        let refused = matches!(answer, Some(Err(AdminRefusal::OtherIncarnation { .. })));
        ensure(
            refused,
            format!("node {node} takes the order of another life: {answer:?}"),
        )?;
    }
    world.pass(Duration::from_mins(1));
    world.whole()?;
    ensure(world.salts.len() == 1, "a second salt")
}

/// An order to bootstrap arrives after the life that it was for, and again in a cluster that stands.
pub(crate) fn e18_late_promise(rules: Rules) -> Outcome {
    let mut world = World::with_nodes(rules, &["a", "b"]);
    let late = AdminOrder::Bootstrap {
        incarnation: world.incarnation(0),
        mounted: None,
    };
    world.wipe(0);
    world.start(0);
    world.start(1);
    let answer = world.told(0, late.clone());
    ensure(
        matches!(answer, Some(Err(AdminRefusal::OtherIncarnation { .. }))),
        format!("a new life bootstraps by the order for an earlier one: {answer:?}"),
    )?;
    world.bootstrap(1)?;
    world.all_serve()?;
    let answer = world.told(0, late);
    ensure(
        matches!(answer, Some(Err(AdminRefusal::OtherIncarnation { .. }))),
        format!("bootstrapped again: {answer:?}"),
    )?;
    let incarnation = world.incarnation(0);
    let answer = world.told(
        0,
        AdminOrder::Bootstrap {
            incarnation,
            mounted: None,
        },
    );
    ensure(
        matches!(answer, Some(Err(AdminRefusal::AlreadyMember { .. }))),
        format!("bootstrapped again: {answer:?}"),
    )?;
    world.ends_well()
}

/// The bootstrap node comes back blank with the list of the days when it was alone.
pub(crate) fn e27_stale_short_list(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 1)?;
    let old = world.nodes[0].list.clone();
    world.join("node-1");
    world.join("node-2");
    let list = world.addresses(&world.present());
    world.list(0, list);
    world.all_serve()?;
    world.put(1, "k", "value")?;
    world.crash(1);
    world.crash(2);
    world.wipe(0);
    world.nodes[0].list = old;
    world.start(0);
    world.pass(Duration::from_mins(1));
    world.whole()?;
    ensure(!world.is_ready(0), "it serves although it has nothing")?;
    world.ends_well()
}

/// Of three lost volumes one is restored, without its cluster uid and roster, and gets the order to bootstrap with its rows.
pub(crate) fn e28_after_a_total_loss(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    for node in 1..3 {
        world.wipe(node);
    }
    world.crash(0);
    world.nodes[0].disk.edit(|contents| {
        contents.membership = None;
        contents.roster = Roster::default();
    });
    world.cluster_uids.clear();
    for node in 0..3 {
        world.start(node);
    }
    // As long as an earlier message may be under way.
    world.pass(Duration::from_secs(61));
    ensure(
        (0..3).all(|node| !world.is_ready(node)),
        "somebody serves before anybody was told",
    )?;
    world.bootstrap(0)?;
    world.ends_well()?;
    ensure(world.value(2, "k").is_some(), "the restored value is gone")
}

/// Three nodes that each hold rows of their own: one gets the order to bootstrap, the others report why they do not join.
pub(crate) fn e34_three_originals(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 1)?;
    world.put(0, "k", "value")?;
    let originals = ["a", "b", "c"].map(|name| world.add_node(name));
    let rows = world.nodes[0].disk.durable().rows.clone();
    let list = world.addresses(&originals);
    for node in originals {
        world.nodes[node].list.clone_from(&list);
        world.nodes[node].disk.edit(|contents| {
            for row in rows.values() {
                contents.add(&row.row);
            }
            contents.salt = Salt::from_bytes(&[3; 64]);
        });
    }
    world.cluster_uids.clear();
    world.salts.clear();
    for node in originals {
        world.start(node);
    }
    let [first, second, _] = originals;
    world.bootstrap(first)?;
    world.until(LONG, |world| world.is_ready(first));
    world.pass(Duration::from_secs(20));
    world.whole()?;
    let why = world
        .view(second)
        .and_then(|view| view.not_ready)
        .unwrap_or_default();
    ensure(
        why.contains("osc-node import"),
        format!("it does not say why: '{why}'"),
    )
}

/// The bootstrap node sends node 2 a slow snapshot, and is lost with its disk before it arrives. The admin lets another node
/// bootstrap.
fn with_a_lost_bootstrap_node(rules: Rules, cut: (NodeId, NodeId)) -> Result<World, String> {
    let mut world = World::with_nodes(rules, &["a", "b", "c"]);
    world.network.part(cut.0, cut.1);
    for node in 0..3 {
        world.start(node);
    }
    let incarnation = world.incarnation(0);
    world.pass(Duration::from_secs(1));
    world.order(
        0,
        AdminOrder::Bootstrap {
            incarnation,
            mounted: None,
        },
    );
    ensure(
        world.until(LONG, |world| world.page_is_under_way(2)),
        "nobody gives a snapshot",
    )?;
    world.hold_up_page(2, Duration::from_secs(20));
    let joined = |world: &World| {
        (1..3).any(|node| {
            world.nodes[node]
                .disk
                .durable()
                .membership
                .as_ref()
                .is_some_and(|membership| membership.cluster_uid.is_some())
        })
    };
    ensure(!joined(&world), "somebody has joined")?;
    world.hold_up_page(1, Duration::from_mins(2));
    world.wipe(0);
    world.pass(Duration::from_secs(4));
    ensure(!joined(&world), "somebody has joined")?;
    world.cluster_uids.clear();
    world.salts.clear();
    world.network.join(cut.0, cut.1);
    Ok(world)
}

/// The page of a lost cluster's snapshot arrives where a new cluster is known: no node joins the lost one.
pub(crate) fn a_snapshot_of_a_lost_cluster_comes_after_the_new_bootstrap(rules: Rules) -> Outcome {
    // Node 1 has never heard of the bootstrap node.
    let mut world = with_a_lost_bootstrap_node(rules, (0, 1))?;
    world.bootstrap(1)?;
    world.pass(Duration::from_secs(10));
    ensure(
        world.page_is_under_way(2),
        "the page arrived before the new cluster was known",
    )?;
    world.pass(Duration::from_secs(20));
    world.whole()?;
    world.ends_well()
}

/// A node that has heard a node of a cluster takes no order to bootstrap as long as another may get a snapshot of that node.
pub(crate) fn a_bootstrap_waits_for_what_a_lost_node_sent(rules: Rules) -> Outcome {
    // Node 2 will not hear of another cluster in time.
    let mut world = with_a_lost_bootstrap_node(rules, (1, 1))?;
    world.network.part(1, 2);
    let order = AdminOrder::Bootstrap {
        incarnation: world.incarnation(1),
        mounted: None,
    };
    let answer = world.told(1, order.clone());
    world.pass(Duration::from_secs(30));
    world.whole()?;
    ensure(
        matches!(answer, Some(Err(AdminRefusal::ReachableCluster { .. }))),
        format!("it does not wait: {answer:?}"),
    )?;
    // Now the lost cluster lives on at node 2, and the owner sees that.
    world.network.join(1, 2);
    world.start(0);
    world.all_serve()?;
    let answer = world.told(1, order);
    ensure(
        !matches!(answer, Some(Ok(AdminOutcome::Bootstrapped(_)))),
        "a second cluster",
    )?;
    world.ends_well()
}
