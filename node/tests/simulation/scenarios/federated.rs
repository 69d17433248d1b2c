//! Federated: values that only their home node has, and what happens to them when it goes back, is lost or leaves.

use std::time::Duration;

use opensecureconf_node::{
    cluster::{
        AckLevel, AdminOrder, AdminRefusal, Change, Expected, Mode, Rules, State, ValueLocation,
        Write,
    },
    domain::{Clock, Content, Incarnation, Row, Timestamp, Version},
};

use crate::{
    history::WriteId,
    scenarios::scenarios,
    script::{LONG, Outcome, ensure, entry, put},
    world::{NodeId, World},
};

scenarios! {
    e12_owner_restored
    e13_owner_lost
    a_value_under_the_stamp_of_a_lost_one_is_set_aside
    a_value_that_was_set_aside_is_found_again
    an_owner_that_went_back_unnoticed_keeps_what_it_has_aside
    a_database_with_entries_bootstraps_a_directory
    a_directory_travels_without_values
    a_conflict_is_kept_by_the_owner_of_the_loser
    a_value_follows_the_directory
    a_leaving_owner_waits_until_its_values_are_taken
    a_fenced_owner_does_not_leave_with_its_values
    a_write_beats_a_value_that_changes_its_owner_later
    a_value_that_was_deleted_is_not_taken_back_over_that
    values_that_are_being_taken_back_are_not_lost
    a_value_is_taken_back_by_a_later_life_if_nobody_heard_of_the_first
    a_value_is_not_given_up_for_an_earlier_version_that_arrives_late
    a_change_waits_for_a_home_node_that_has_just_started
}

/// The value of an entry that a node holds, and of which version.
fn held(world: &World, node: NodeId, key: &str) -> Option<(Version, String)> {
    let contents = world.nodes[node].disk.durable();
    contents.values.get(&entry(key)).cloned()
}

fn version(world: &World, node: NodeId, key: &str) -> Option<Version> {
    world.nodes[node].disk.durable().version(&entry(key))
}

/// A client writes over the version that it knows.
fn write(world: &mut World, node: NodeId, key: &str, seen: Expected, change: Change) -> Outcome {
    let write = Write {
        identity: entry(key),
        seen,
        named: None,
        change,
    };
    let id = world.write_after(Duration::ZERO, node, write, AckLevel::Healthy);
    world.until(Duration::from_secs(3), |world| {
        world.history.writes[id].outcome.is_some()
    });
    world.stands(id).map(drop)
}

/// The rows are everywhere, the value is with its writer, and a deletion anywhere ends it.
pub(crate) fn a_directory_travels_without_values(rules: Rules) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 3)?;
    world.put(1, "k", "secret")?;
    world.all_serve()?;
    for node in 0..3 {
        let row = world.value(node, "k").unwrap_or_default();
        ensure(row.starts_with("sha256:"), format!("node {node} has {row}"))?;
        let holds = held(&world, node, "k").is_some();
        ensure(holds == (node == 1), format!("node {node} holds: {holds}"))?;
    }
    world.delete(0, "k")?;
    world.ends_well()?;
    ensure(held(&world, 1, "k").is_none(), "a deleted value is held")
}

/// A node that has entries bootstraps: it is the home node of all of them.
pub(crate) fn a_database_with_entries_bootstraps_a_directory(rules: Rules) -> Outcome {
    let mut world = World::with_nodes(rules, &["node-0", "node-1"]);
    world.mode = Mode::Federated;
    let version = Version {
        clock: Clock::from_raw(1),
        incarnation: Incarnation::from_raw(0),
    };
    let row = Row {
        identity: entry("k"),
        category: None,
        content: Some(Content::Token("of before".to_owned())),
        created_at: Timestamp::from_micros(1),
        updated_at: Timestamp::from_micros(2),
        version,
        clocks: [(version.incarnation, version.clock)].into(),
        extra: None,
    };
    world.nodes[0].disk.edit(|contents| contents.add(&row));
    world.start(0);
    world.start(1);
    world.bootstrap(0)?;
    world.all_serve()?;
    let value = held(&world, 0, "k").map(|(_, value)| value);
    ensure(value.as_deref() == Some("of before"), "it is not owned")?;
    let row = world.value(1, "k").unwrap_or_default();
    ensure(row.starts_with("sha256:"), format!("{row} travelled"))
}

/// A value moves to the node that writes over it.
pub(crate) fn a_value_follows_the_directory(rules: Rules) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 2)?;
    world.put(0, "k", "first")?;
    world.put(1, "k", "second")?;
    world.ends_well()?;
    ensure(held(&world, 0, "k").is_none(), "both hold a value")?;
    let second = held(&world, 1, "k").map(|(_, value)| value);
    ensure(second.as_deref() == Some("second"), "nobody holds it")
}

/// Two nodes that do not know of each other create one name: the home node of the loser keeps it, with its value.
pub(crate) fn a_conflict_is_kept_by_the_owner_of_the_loser(rules: Rules) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 3)?;
    world.isolate(0);
    world.pass(Duration::from_secs(5));
    world.put(0, "k", "loser")?;
    world.pass(Duration::from_secs(1));
    world.put(1, "k", "winner")?;
    world.ends_well()?;
    let losers = |node: NodeId| {
        let conflicts = &world.nodes[node].disk.durable().conflicts;
        let contents = conflicts.iter().filter_map(|row| row.content.clone());
        contents
            .map(|content| content.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    ensure(losers(0) == ["loser"], "its owner does not keep it")?;
    ensure(
        losers(1).is_empty() && losers(2).is_empty(),
        "a loser without its value is kept",
    )
}

/// A home node whose database went back loads a snapshot of the directory, and its values, the only copy, are in force again.
pub(crate) fn e12_owner_restored(rules: Rules) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 3)?;
    world.put(2, "kept", "only copy")?;
    world.put(2, "changed", "old")?;
    world.put(2, "deleted", "old")?;
    world.all_serve()?;
    let earlier = world.nodes[2].disk.durable().clone();
    world.put(2, "changed", "new")?;
    world.delete(0, "deleted")?;
    world.all_serve()?;
    world.roll_back(2, earlier);
    world.start(2);
    let before = version(&world, 0, "kept");
    let back = world.until(LONG, |world| version(world, 0, "kept") != before);
    ensure(back, "the value is not taken back")?;
    world.ends_well()?;
    let (of, value) = held(&world, 2, "kept").ok_or("the only copy is gone")?;
    ensure(value == "only copy", value)?;
    ensure(
        of.incarnation == world.incarnation(2) && Some(of) == version(&world, 1, "kept"),
        "its new life does not own it",
    )?;
    ensure(
        held(&world, 2, "changed").is_none() && held(&world, 2, "deleted").is_none(),
        "an older value passes for the one that is lost, or for one that is deleted",
    )?;
    let conflicts = &world.nodes[2].disk.durable().conflicts;
    let values: Vec<_> = conflicts
        .iter()
        .filter_map(|row| row.content.as_ref()?.token())
        .collect();
    ensure(values == ["old"], format!("{values:?} are kept aside"))
}

/// A home node goes back, and gives another value the stamp of one that it lost: its clock was ahead, and counts on from there.
pub(crate) fn a_value_under_the_stamp_of_a_lost_one_is_set_aside(rules: Rules) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 2)?;
    world.nodes[1].skew = 86_400_000_000;
    world.put(1, "other", "value")?;
    world.nodes[1].skew = 0;
    world.all_serve()?;
    let earlier = world.nodes[1].disk.durable().clone();
    let lost = world.put(1, "k", "lost")?;
    world.all_serve()?;
    world.isolate(1);
    world.pass(Duration::from_secs(1));
    world.roll_back(1, earlier);
    world.start(1);
    let is_ready = |world: &World| world.is_ready(1);
    ensure(world.until(LONG, is_ready), "it does not serve alone")?;
    let id = world.change(1, "k", put("another"), AckLevel::Local, None);
    let again = world.stands(id)?;
    ensure(again.version == lost.version, "it has a stamp of its own")?;
    world.ends_well()?;
    ensure(
        held(&world, 1, "k").is_none(),
        "another value passes for the one that is lost",
    )?;
    let conflicts = &world.nodes[1].disk.durable().conflicts;
    let values: Vec<_> = conflicts
        .iter()
        .filter_map(|row| row.content.as_ref()?.token())
        .collect();
    ensure(values == ["another"], format!("{values:?} are kept aside"))
}

/// A removed home node joins again from a member that does not know of its writes; a member that does comes back later.
pub(crate) fn a_value_that_was_set_aside_is_found_again(rules: Rules) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 3)?;
    world.isolate(0);
    world.pass(Duration::from_secs(5));
    world.put(2, "k", "only copy")?;
    let heard = |world: &World| version(world, 1, "k").is_some();
    ensure(world.until(LONG, heard), "nobody has heard of it")?;
    world.isolate(1);
    world.removed(0, 2)?;
    world.network.join(0, 2);
    let before = world.incarnation(2);
    let set_aside = |world: &World| world.incarnation(2) != before && held(world, 2, "k").is_none();
    ensure(world.until(LONG, set_aside), "it is not set aside")?;
    world.reconnect(1);
    world.ends_well()?;
    let value = held(&world, 2, "k").map(|(_, value)| value);
    ensure(value.as_deref() == Some("only copy"), "the value is gone")?;
    ensure(
        world.nodes[2].disk.durable().conflicts.is_empty(),
        "it is listed as a loser still",
    )
}

/// A home node goes back, and the nodes that knew its last writes are lost: only one member has the rows, from them, and cannot
/// know that. The values of the home node stand for no later version.
pub(crate) fn an_owner_that_went_back_unnoticed_keeps_what_it_has_aside(rules: Rules) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 3)?;
    world.put(0, "changed", "old")?;
    world.put(0, "deleted", "gone")?;
    world.all_serve()?;
    world.network.part(0, 1);
    world.pass(Duration::from_secs(5));
    let earlier = world.nodes[0].disk.durable().clone();
    world.put(0, "changed", "new")?;
    world.delete(0, "deleted")?;
    world.all_serve()?;
    world.roll_back(0, earlier);
    world.wipe(2);
    world.ends_well()?;
    let aside = &world.nodes[0].disk.durable().conflicts;
    let values: Vec<_> = aside
        .iter()
        .filter_map(|row| row.content.as_ref()?.token())
        .collect();
    ensure(values == ["old"], format!("{values:?} are kept aside"))
}

/// An owner's disk is lost: once it is removed, the name can be created anew, and not before.
pub(crate) fn e13_owner_lost(rules: Rules) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 3)?;
    world.put(2, "k", "only copy")?;
    world.all_serve()?;
    let lost = version(&world, 1, "k").ok_or("no row")?;
    world.crash(2);
    world.pass(Duration::from_secs(5));
    let owner = |world: &World| world.view(1).map(|view| view.holder(lost.incarnation));
    let silent = ValueLocation::Silent {
        name: world.nodes[2].name.clone(),
    };
    ensure(owner(&world) == Some(silent), "a silent owner is given up")?;
    world.removed(0, 2)?;
    world.wipe(2);
    let gone = world.until(LONG, |world| owner(world) == Some(ValueLocation::Gone));
    ensure(gone, format!("the name is locked: {:?}", owner(&world)))?;
    write(&mut world, 1, "k", Expected::Lost(lost), put("anew"))?;
    world.start(2);
    world.ends_well()?;
    let value = held(&world, 1, "k").map(|(_, value)| value);
    ensure(value.as_deref() == Some("anew"), "it is not created anew")
}

/// A leaving node stays until other nodes own its values.
pub(crate) fn a_leaving_owner_waits_until_its_values_are_taken(rules: Rules) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 3)?;
    world.put(2, "k", "only copy")?;
    world.all_serve()?;
    let state = |world: &World| world.nodes[2].disk.durable().state(rules);
    world.told(2, AdminOrder::Leave);
    world.pass(Duration::from_secs(20));
    ensure(
        state(&world) == Some(State::Leaving),
        format!("it is {:?} with the only copy", state(&world)),
    )?;
    let (of, token) = held(&world, 2, "k").ok_or("it dropped its value")?;
    let forged = Change::Adopt {
        token: "forged".to_owned(),
    };
    let refused = write(&mut world, 0, "k", Expected::Version(of), forged);
    ensure(refused.is_err(), "a value that is not the one is taken")?;
    write(
        &mut world,
        0,
        "k",
        Expected::Version(of),
        Change::Adopt { token },
    )?;
    let left = world.until(LONG, |world| state(world) == Some(State::Left));
    ensure(left, "it does not leave")?;
    let value = held(&world, 0, "k").map(|(_, value)| value);
    ensure(value.as_deref() == Some("only copy"), "nobody took it")
}

/// A node that is fenced with values of its own: taking it away would lose them.
pub(crate) fn a_fenced_owner_does_not_leave_with_its_values(rules: Rules) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 3)?;
    world.put(2, "k", "only copy")?;
    world.all_serve()?;
    world.nodes[2].commit_time = Duration::from_secs(3);
    world.removed(0, 2)?;
    let fenced = world.until(LONG, |world| {
        world.nodes[2].disk.durable().state(rules).is_none()
    });
    ensure(fenced, "it does not learn of its removal")?;
    let answer = world.told(2, AdminOrder::Leave);
    ensure(
        answer == Some(Err(AdminRefusal::HoldsValues)),
        format!("it may be taken away: {answer:?}"),
    )?;
    world.ends_well()?;
    let value = held(&world, 2, "k").map(|(_, value)| value);
    ensure(value.as_deref() == Some("only copy"), "the value is gone")
}

/// One name is created twice; then the earlier value is handed over. The hand-over does not make it the later one.
pub(crate) fn a_write_beats_a_value_that_changes_its_owner_later(rules: Rules) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 3)?;
    world.isolate(1);
    world.pass(Duration::from_secs(5));
    world.put(2, "k", "earlier")?;
    world.pass(Duration::from_secs(1));
    world.put(1, "k", "later")?;
    world.pass(Duration::from_secs(1));
    let (of, token) = held(&world, 2, "k").ok_or("its owner does not have it")?;
    let adopted = Change::Adopt { token };
    write(&mut world, 0, "k", Expected::Version(of), adopted)?;
    world.ends_well()?;
    let value = held(&world, 1, "k").map(|(_, value)| value);
    ensure(value.as_deref() == Some("later"), "the later one lost")?;
    let conflicts = &world.nodes[0].disk.durable().conflicts;
    ensure(conflicts.len() == 1, "the loser is not kept")
}

/// A home node deletes an entry, and then its database goes back; only one node, which is away, knows of the delete.
pub(crate) fn a_value_that_was_deleted_is_not_taken_back_over_that(rules: Rules) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 3)?;
    world.put(2, "k", "secret")?;
    world.all_serve()?;
    let earlier = world.nodes[2].disk.durable().clone();
    world.put(2, "other", "value")?;
    world.all_serve()?;
    world.isolate(0);
    world.pass(Duration::from_secs(5));
    world.delete(2, "k")?;
    world.roll_back(2, earlier);
    world.reconnect(0);
    world.isolate(1);
    world.start(2);
    let before = version(&world, 0, "k");
    let back = world.until(LONG, |world| version(world, 0, "k") != before);
    ensure(back, "the value is not taken back")?;
    world.ends_well()?;
    ensure(world.value(0, "k").is_none(), "a deleted entry is back")
}

/// A removed home node returns with its values: from then on no node counts them as lost.
pub(crate) fn values_that_are_being_taken_back_are_not_lost(rules: Rules) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 3)?;
    world.put(2, "k", "only copy")?;
    world.all_serve()?;
    let before = version(&world, 1, "k").ok_or("no row")?;
    let is_lost = |world: &World| {
        let view = world.view(1);
        view.is_some_and(|view| view.holder(before.incarnation) == ValueLocation::Gone)
    };
    world.nodes[2].commit_time = Duration::from_millis(700);
    world.removed(0, 2)?;
    let fenced = world.until(LONG, |world| {
        world.nodes[2].disk.durable().state(rules).is_none()
    });
    ensure(fenced, "it does not learn of its removal")?;
    let is_back = |world: &World| version(world, 1, "k") != Some(before);
    let says_so = |world: &World| {
        let view = world.view(1);
        view.is_some_and(|view| !view.taking_back.is_empty())
    };
    world.until(LONG, |world| says_so(world) || is_back(world));
    ensure(says_so(&world), "it does not say so")?;
    world.until(LONG, |world| is_lost(world) || is_back(world));
    ensure(!is_lost(&world), "it passes for lost")?;
    ensure(is_back(&world), "it is not taken back")?;
    world.ends_well()
}

/// A new life takes a value back and is cut off before any node hears of it; the next life takes it back again.
pub(crate) fn a_value_is_taken_back_by_a_later_life_if_nobody_heard_of_the_first(
    rules: Rules,
) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 3)?;
    world.put(2, "k", "only copy")?;
    world.all_serve()?;
    let before = version(&world, 2, "k");
    let first = world.incarnation(2);
    world.removed(0, 2)?;
    world.until(LONG, |world| {
        world.incarnation(2) != first && world.is_ready(2)
    });
    world.isolate(2);
    let back = world.until(LONG, |world| version(world, 2, "k") != before);
    ensure(back, "the first life does not take it back")?;
    ensure(version(&world, 0, "k") == before, "somebody heard of it")?;
    world.removed(0, 2)?;
    world.ends_well()?;
    let (of, _) = held(&world, 2, "k").ok_or("the only copy is gone")?;
    ensure(Some(of) == version(&world, 1, "k"), "it is not in force")
}

/// A removed home node joins again from a member that knows the first version of its entry. A member that knows the second
/// version feeds it; the home node alone has the third, which is the one to stay.
pub(crate) fn a_value_is_not_given_up_for_an_earlier_version_that_arrives_late(
    rules: Rules,
) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 3)?;
    world.put(2, "k", "first")?;
    world.all_serve()?;
    let first = version(&world, 0, "k");
    world.isolate(0);
    world.pass(Duration::from_secs(5));
    world.put(2, "k", "second")?;
    let heard = |world: &World| version(world, 1, "k") != first;
    ensure(world.until(LONG, heard), "the second is not heard of")?;
    world.isolate(2);
    let id = world.change(2, "k", put("third"), AckLevel::Local, None);
    world.stands(id)?;
    world.pass(Duration::from_secs(5));
    let before = world.incarnation(2);
    world.removed(0, 2)?;
    world.network.join(0, 2);
    let joined = |world: &World| world.incarnation(2) != before;
    ensure(world.until(LONG, joined), "it does not join again")?;
    ensure(
        version(&world, 2, "k") == first,
        "the source of its snapshot knows more",
    )?;
    // It is not ready before it has tried node 1, and holds that node's rows then.
    world.network.join(1, 2);
    world.ends_well()?;
    let value = held(&world, 2, "k").map(|(_, value)| value);
    ensure(
        value.as_deref() == Some("third"),
        format!("{value:?} is in force"),
    )
}

/// A client changes an entry through another node while its home node starts: that one does not know yet who must hold it.
pub(crate) fn a_change_waits_for_a_home_node_that_has_just_started(rules: Rules) -> Outcome {
    let mut world = World::with_federated_cluster(rules, 3)?;
    world.profile.is_calm = true;
    world.put(2, "k", "before")?;
    world.all_serve()?;
    let row = world.nodes[2].disk.durable().rows.get(&entry("k")).cloned();
    let row = row.ok_or("no row")?.row;
    let through = |world: &mut World| -> Result<WriteId, String> {
        let change = Write {
            identity: entry("k"),
            seen: Expected::of(Some(&row)),
            named: None,
            change: put("after"),
        };
        let sent = world.as_the_api_does(0, Some(&row), change);
        let (home, change) = sent.ok_or("node 0 does not send it on")?;
        ensure(home == 2, format!("node 0 sends it to node {home}"))?;
        let id = world.write_after(Duration::ZERO, home, change, AckLevel::Healthy);
        world.until(Duration::from_secs(3), |world| {
            world.history.writes[id].outcome.is_some()
        });
        world.whole()?;
        Ok(id)
    };
    world.crash(2);
    world.start(2);
    let early = through(&mut world)?;
    ensure(
        world.is_refused(early),
        "it is taken before its home node is ready",
    )?;
    let ready = world.until(LONG, |world| world.is_ready(2));
    ensure(ready, "the home node is not ready")?;
    let later = through(&mut world)?;
    let written = world.stands(later)?;
    ensure(written.held_by == 3, "the others do not hold it")?;
    world.ends_well()
}
