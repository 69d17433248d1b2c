//! Writes: which of two wins, which nodes know of them, and what no row may do to the feed.

use std::time::Duration;

use opensecureconf_node::{
    cluster::{AckLevel, Change, Expected, Rules, Write, WriteRefusal},
    domain::{Clock, Content, Timestamp},
};

use crate::{
    node::Room,
    scenarios::scenarios,
    script::{LONG, Outcome, ensure, entry, put},
    world::World,
};

scenarios! {
    e01_skewed_pair
    an_invented_version_moves_no_clock
    e02_large_row
    e02_damaged_row
    e07_changing_owner
    e08_a_loser_is_kept
    a_batch_is_made_as_a_whole_or_not_at_all
    e22_lag_is_no_conflict
    e24_full_together
    e25_relay_of_a_newer_field
    e26_lonely_quorum
    overwritten_while_it_waits
}

/// A client that names the version it saw beats it, although the node at which it deletes has not seen it.
pub(crate) fn e01_skewed_pair(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(0, "k", "old")?;
    world.isolate(1);
    world.nodes[0].skew = 5_000_000;
    let new = world.put(0, "k", "new")?;
    ensure(new.held_by == 2, "another node than node 2 holds it")?;
    let unaware = world.change(1, "other", put("value"), AckLevel::Local, None);
    let unaware = world.stands(unaware)?.version;
    ensure(
        unaware < new.version,
        "node 1 would have drawn a later stamp anyway",
    )?;
    let id = world.change(
        1,
        "k",
        Change::Delete,
        AckLevel::Healthy,
        Some(new.version.clock),
    );
    world.stands(id)?;
    world.ends_well()?;
    ensure(
        world.value(2, "k").is_none(),
        "the delete lost against what it named",
    )
}

/// A client names a version at the end of all time that no node wrote: the clocks do not follow it. A version that a node with
/// a clock far ahead wrote is accepted at every node that has heard of it.
pub(crate) fn an_invented_version_moves_no_clock(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    let end = Clock::at(Timestamp::from_micros(6_942_585_599_999_000));
    let last = Clock::from_raw(end.raw() + 0xfffd);
    let id = world.change(0, "poison", put("x"), AckLevel::Healthy, Some(last));
    let refused = matches!(
        world.history.writes[id].outcome,
        Some(Err(WriteRefusal::NotServing(_)))
    );
    for key in ["a", "b", "c"] {
        world.put(0, key, "value")?;
    }
    ensure(refused, "it is believed")?;
    world.nodes[1].skew = 3 * 86_400_000_000;
    let ahead = world.put(1, "k", "ahead")?;
    world.all_serve()?;
    let named = Some(ahead.version.clock);
    let id = world.change(0, "k", Change::Delete, AckLevel::Healthy, named);
    world.stands(id)?;
    world.ends_well()
}

/// A row larger than a whole message goes alone, and the rows behind it follow.
pub(crate) fn e02_large_row(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    world.isolate(1);
    world.put(0, "first", "small")?;
    world.put(0, "large", &"x".repeat(3 << 20))?;
    world.put(0, "last", "small")?;
    ensure(world.value(1, "first").is_none(), "it is not cut off")?;
    world.ends_well()?;
    ensure(
        ["large", "last"].map(|key| world.value(1, key).is_some()) == [true; 2],
        "the feed stands still",
    )
}

/// A damaged row neither travels nor stops the rows behind it, and another member restores it.
pub(crate) fn e02_damaged_row(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.isolate(2);
    let held = world.put(0, "k", "sound")?.held_by;
    ensure(held == 2, "node 1 cannot mend it")?;
    world.put(0, "other", "behind")?;
    world.crash(0);
    world.nodes[0].disk.edit(|contents| {
        if let Some(row) = contents.rows.get_mut(&entry("k")) {
            row.row.content = Some(Content::Token("damaged".to_owned()));
        }
    });
    // Node 2 gets all from node 0, which comes upon the damage only there.
    world.network.join(0, 2);
    world.start(0);
    ensure(
        world.until(LONG, |world| world.value(2, "other").is_some()),
        "the feed stands still",
    )?;
    ensure(
        world.value(2, "k").as_deref() != Some("damaged"),
        "damage travels",
    )?;
    for node in [0, 2] {
        let sound = |world: &World| world.value(node, "k").as_deref() == Some("sound");
        ensure(
            world.until(LONG, sound),
            format!("the damage at node 0 is not mended for node {node}"),
        )?;
    }
    world.ends_well()
}

/// An entry of another user key has replaced the one that the writer checked.
pub(crate) fn e07_changing_owner(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    let opened = world.put(0, "k", "of u1")?;
    world.delete(0, "k")?;
    world.put(0, "k", "of u2")?;
    let write = Write {
        identity: entry("k"),
        seen: Expected::Version(opened.version),
        named: None,
        change: put("of u1 again"),
    };
    let id = world.write_after(Duration::ZERO, 0, write, AckLevel::Healthy);
    world.pass(Duration::from_secs(1));
    world.whole()?;
    let refused = world.history.writes[id].outcome == Some(Err(WriteRefusal::Changed));
    ensure(refused, "u1 wrote over an entry that it may not read")?;
    world.ends_well()?;
    ensure(
        world.value(1, "k").as_deref() == Some("of u2"),
        "the entry of u2 is gone",
    )
}

/// Of writes that belong together the node carries out none where it refuses one, and all of them otherwise.
pub(crate) fn a_batch_is_made_as_a_whole_or_not_at_all(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    let taken = world.put(0, "taken", "before")?;
    let write = |key: &str, seen| Write {
        identity: entry(key),
        seen,
        named: None,
        change: put("together"),
    };
    let (new, over) = (Expected::NothingLive, Expected::Version(taken.version));
    let writes = |seen| vec![write("a", new), write("taken", seen), write("b", new)];
    let refused = world.write_all(0, writes(new), AckLevel::Healthy);
    world.pass(Duration::from_secs(1));
    world.whole()?;
    let outcomes: Vec<_> = refused
        .iter()
        .map(|id| world.history.writes[*id].outcome.clone())
        .collect();
    let others = Some(Err(WriteRefusal::OthersRefused));
    let expected = [others.clone(), Some(Err(WriteRefusal::Changed)), others];
    ensure(outcomes == expected, format!("{outcomes:?}"))?;
    let made = ["a", "b"].iter().any(|key| world.value(0, key).is_some());
    ensure(!made, "a part of a batch was made")?;

    let written = world.write_all(0, writes(over), AckLevel::Healthy);
    world.pass(Duration::from_secs(1));
    for id in written {
        let held = world.stands(id)?.held_by;
        ensure(held == 2, format!("{held} hold it"))?;
    }
    for key in ["a", "taken", "b"] {
        let value = world.value(1, key);
        ensure(value.as_deref() == Some("together"), key)?;
    }
    world.ends_well()
}

/// Of two writers that do not know of each other one loses, and its write is kept as it was.
pub(crate) fn e08_a_loser_is_kept(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    world.isolate(1);
    let first = world.put(0, "k", "loser")?;
    world.pass(Duration::from_secs(1));
    let second = world.put(1, "k", "winner")?;
    ensure(
        first.version < second.version && (first.held_by, second.held_by) == (1, 1),
        "they know of each other",
    )?;
    world.ends_well()?;
    ensure(
        world.value(0, "k").as_deref() == Some("winner"),
        "the earlier write won",
    )?;
    let kept = world
        .nodes
        .iter()
        .flat_map(|node| &node.disk.durable().conflicts)
        .any(|row| {
            let loser = Content::Token("loser".to_owned());
            row.version == first.version && row.content == Some(loser)
        });
    ensure(kept, "the loser is gone")
}

/// A peer that receives every fifth version of one writer's entry sees no conflict.
pub(crate) fn e22_lag_is_no_conflict(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    for round in 0..6 {
        world.isolate(1);
        for version in 0..5 {
            let written = world.put(0, "k", &format!("{round}.{version}"))?;
            ensure(written.held_by == 1, "node 1 is not behind")?;
        }
        world.reconnect(1);
        world.pass(Duration::from_secs(8));
        ensure(
            world.value(1, "k") == world.value(0, "k"),
            "node 1 does not get the fifth one",
        )?;
    }
    world.ends_well()?;
    let conflicts: usize = world
        .nodes
        .iter()
        .map(|node| node.disk.durable().conflicts.len())
        .sum();
    ensure(conflicts == 0, format!("{conflicts} false conflicts"))
}

/// Full nodes acknowledge nothing, accept and exchange deletes, and are healthy again once they have room.
pub(crate) fn e24_full_together(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    for node in 1..3 {
        world.nodes[node].room = Room::Deletes;
    }
    world.pass(Duration::from_secs(3));
    let held = world.put(0, "other", "value")?.held_by;
    ensure(
        held == 1,
        format!("{held} nodes acknowledge although two are full"),
    )?;
    world.nodes[0].room = Room::Deletes;
    world.pass(Duration::from_secs(3));
    let held = world.delete(1, "k")?.held_by;
    ensure(held == 1, format!("{held} full nodes acknowledge"))?;
    world.pass(Duration::from_secs(3));
    ensure(
        (0..3).all(|node| world.holds_tombstone(node, "k")),
        "a full cluster cannot be emptied",
    )?;
    for node in 0..3 {
        world.nodes[node].room = Room::Everything;
    }
    world.pass(Duration::from_secs(3));
    let held = world.put(0, "k", "again")?.held_by;
    ensure(held == 3, format!("only {held} nodes have room again"))?;
    world.ends_well()
}

/// A field of a newer release goes through a node that does not know it, under the hash of its writer.
pub(crate) fn e25_relay_of_a_newer_field(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    world.crash(2);
    world.crash(0);
    world.nodes[0].disk.edit(|contents| {
        let mut row = contents.rows[&entry("k")].row.clone();
        row.version.clock = row.version.clock.next();
        row.extra = Some("{\"lease\":[1,  2]}".to_owned());
        contents.add(&row);
    });
    let written = world.nodes[0].disk.durable().rows[&entry("k")].hash;
    world.start(0);
    let passed_on = |world: &World| world.nodes[1].disk.durable().rows[&entry("k")].hash == written;
    ensure(
        world.until(LONG, passed_on),
        "the relay does not get it as it was written",
    )?;
    world.network.part(0, 2);
    world.start(2);
    world.pass(Duration::from_secs(20));
    let relayed = world.nodes[2].disk.durable().rows[&entry("k")].hash;
    ensure(relayed == written, "the relay made another row of it")?;
    world.ends_well()
}

/// A roster that holds only the bootstrap node is not the whole cluster.
pub(crate) fn e26_lonely_quorum(rules: Rules) -> Outcome {
    let mut world = World::with_nodes(rules, &["a", "b", "c"]);
    world.start(0);
    world.bootstrap(0)?;
    ensure(
        world.until(LONG, |world| world.is_ready(0)),
        "it does not serve alone",
    )?;
    let id = world.change(0, "k", put("value"), AckLevel::All, None);
    let written = world.stands(id)?;
    ensure(
        (written.held_by, written.wanted) == (1, 3),
        format!("{} of {} hold it", written.held_by, written.wanted),
    )
}

/// A write is overwritten while it waits for a node that is read up to it: that node holds neither version.
pub(crate) fn overwritten_while_it_waits(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    for node in 0..2 {
        world.nodes[node].disk.page = 1;
    }
    world.network.cut(1, 0);
    world.pass(Duration::from_secs(1));
    let first = world.change(0, "other", put("1"), AckLevel::Local, None);
    world.stands(first)?;
    let waits = Write {
        identity: entry("k"),
        seen: Expected::NothingLive,
        named: None,
        change: put("1"),
    };
    let waits = world.write_after(Duration::ZERO, 0, waits, AckLevel::All);
    world.pass(Duration::from_millis(1));
    let over = world.change(0, "k", put("2"), AckLevel::Local, None);
    world.stands(over)?;
    ensure(
        world.history.writes[waits].outcome.is_none(),
        "it does not wait",
    )?;
    world.network.heal();
    world.until(LONG, |world| world.history.writes[waits].outcome.is_some());
    world.whole()?;
    world.ends_well()
}
