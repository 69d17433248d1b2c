//! Founding: told once, by whoever owns the cluster, and never done unbidden.

use std::time::Duration;

use opensecureconf_node::{
    cluster::{OwnerOrder, OwnerRefusal, Roster, Rules},
    crypto::Salt,
};

use crate::{
    scenarios::scenarios,
    script::{LONG, Outcome, ensure},
    world::World,
};

scenarios! {
    e05_nobody_founds
    e06_blank_pair
    e16_equal_names
    e17_forgetful_founder
    e18_late_promise
    e27_stale_short_list
    e28_after_a_total_loss
    e34_three_originals
}

/// Three empty databases wait until one is told; then all serve, with the salt that was mounted.
pub(crate) fn e05_nobody_founds(rules: Rules) -> Outcome {
    let mut world = World::with_nodes(rules, &["a", "b", "c"]);
    world.mounted = Salt::from_bytes(&[7; 64]);
    for node in 0..3 {
        world.start(node);
    }
    world.pass(Duration::from_mins(1));
    ensure(world.foundings.is_empty(), "somebody founded unbidden")?;
    world.found(1)?;
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
    world.found(0)?;
    world.pass(Duration::from_mins(1));
    world.whole()?;
    ensure(world.is_ready(0), "the first one was driven out")?;
    ensure(!world.is_ready(1), "two live nodes have one name")?;
    ensure(world.salts.len() == 1, "two salts")
}

/// The founder's volume is lost before anybody joined: the mark that told it tells nobody else.
pub(crate) fn e17_forgetful_founder(rules: Rules) -> Outcome {
    let mut world = World::with_nodes(rules, &["a", "b"]);
    world.start(0);
    world.found(0)?;
    let told = OwnerOrder::Found {
        incarnation: world.incarnation(0),
    };
    world.crash(0);
    world.wipe(0);
    world.start(0);
    world.start(1);
    for node in 0..2 {
        let answer = world.told(node, told.clone());
        let refused = matches!(answer, Some(Err(OwnerRefusal::OtherIncarnation { .. })));
        ensure(
            refused,
            format!("node {node} takes the order of another life: {answer:?}"),
        )?;
    }
    world.pass(Duration::from_mins(1));
    world.whole()?;
    ensure(world.salts.len() == 1, "a second salt")
}

/// An order to found arrives after the life that it was for, and again in a cluster that stands.
pub(crate) fn e18_late_promise(rules: Rules) -> Outcome {
    let mut world = World::with_nodes(rules, &["a", "b"]);
    let late = OwnerOrder::Found {
        incarnation: world.incarnation(0),
    };
    world.wipe(0);
    world.start(0);
    world.start(1);
    world.found(1)?;
    world.all_serve()?;
    for order in [
        late,
        OwnerOrder::Found {
            incarnation: world.incarnation(0),
        },
    ] {
        let answer = world.told(0, order);
        ensure(
            matches!(answer, Some(Err(_))),
            format!("founded again: {answer:?}"),
        )?;
    }
    world.ends_well()
}

/// A founder comes back blank with the list of the days when it was alone.
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

/// Of three lost volumes one is restored, without its founding and roster, and told to found with its rows.
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
    world.foundings.clear();
    for node in 0..3 {
        world.start(node);
    }
    world.pass(Duration::from_secs(20));
    ensure(
        (0..3).all(|node| !world.is_ready(node)),
        "somebody serves before anybody was told",
    )?;
    world.found(0)?;
    world.ends_well()?;
    ensure(world.value(2, "k").is_some(), "the restored value is gone")
}

/// Three nodes that each hold rows of their own: one is told, the others say why they do not join.
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
    world.foundings.clear();
    world.salts.clear();
    for node in originals {
        world.start(node);
    }
    let [first, second, _] = originals;
    world.found(first)?;
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
