//! What members pass on: they leave out what its writer tells every member itself, and no member may lack that for long.

use std::time::Duration;

use opensecureconf_node::{
    cluster::{AckLevel, Change, Rules},
    domain::Version,
};

use crate::{
    scenarios::scenarios,
    script::{LONG, Outcome, ensure, entry, put},
    world::{NodeId, World},
};

scenarios! {
    what_its_writer_cannot_tell_a_member_is_passed_on
    what_a_writer_that_died_told_one_member_alone_is_passed_on
    a_delete_that_a_dead_writer_told_one_member_alone_is_passed_on
    a_member_that_was_started_again_passes_on_what_it_was_told_before
    a_member_that_was_started_again_gets_what_its_writer_cannot_tell_it
    a_writer_that_was_started_again_is_not_taken_for_its_earlier_process
    a_member_of_the_release_before_gets_everything
}

/// The node that writes.
const WRITER: NodeId = 0;
/// The node that it tells.
const TOLD: NodeId = 1;
/// The node that it cannot tell.
const LACKS: NodeId = 2;
/// For so long a member may lack what another one has: 100 ms while its writer may be telling it, 100 ms from the push that it
/// refuses to the next one, and three ways through the network.
const PROMPT: Duration = Duration::from_millis(300);
/// Longer than any exchange lasts that a fault has swallowed, and than any node waits before it calls again: all ways are free.
const CALM: Duration = Duration::from_secs(65);

/// Three nodes that hold the same, and a writer that one of them cannot talk to.
fn with_a_writer_that_one_cannot_hear(rules: Rules) -> Result<World, String> {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(WRITER, "before", "value")?;
    world.pass(CALM);
    world.network.part(WRITER, LACKS);
    Ok(world)
}

/// The writer writes, and one node hears of it.
fn written(world: &mut World, key: &str, change: Change) -> Outcome {
    let id = world.change(WRITER, key, change, AckLevel::Local, None);
    let version = world.stands(id)?.version;
    ensure(
        world.until(LONG, |world| holds(world, TOLD, key, version)),
        "the writer tells no node",
    )
}

fn holds(world: &World, node: NodeId, key: &str, version: Version) -> bool {
    let rows = &world.nodes[node].disk.durable().rows;
    let row = rows.get(&entry(key));
    row.is_some_and(|row| row.row.version == version)
}

/// Two nodes cannot talk to each other. What one writes a third node leaves out at first, since the writer tells every member itself;
/// the other one finds that it lacks that, and gets it at once.
pub(crate) fn what_its_writer_cannot_tell_a_member_is_passed_on(rules: Rules) -> Outcome {
    let mut world = with_a_writer_that_one_cannot_hear(rules)?;
    for round in 0..8 {
        let key = format!("k{round}");
        written(&mut world, &key, put("value"))?;
        ensure(
            world.until(PROMPT, |world| world.value(LACKS, &key).is_some()),
            format!("node {LACKS} lacks {key}, and node {TOLD} does not pass it on"),
        )?;
        // Now and then the member is offered again to leave something out.
        world.pass(Duration::from_millis(450));
    }
    world.ends_well()
}

/// A writer dies while it tells the others: one member has its write, and passes it on.
pub(crate) fn what_a_writer_that_died_told_one_member_alone_is_passed_on(rules: Rules) -> Outcome {
    let mut world = with_a_writer_that_one_cannot_hear(rules)?;
    written(&mut world, "k", put("value"))?;
    world.crash(WRITER);
    ensure(
        world.until(PROMPT, |world| world.value(LACKS, "k").is_some()),
        "what the dead node wrote stays where it was",
    )?;
    world.ends_well()
}

/// The same with a delete: the entry does not go on standing anywhere.
pub(crate) fn a_delete_that_a_dead_writer_told_one_member_alone_is_passed_on(
    rules: Rules,
) -> Outcome {
    let mut world = with_a_writer_that_one_cannot_hear(rules)?;
    written(&mut world, "before", Change::Delete)?;
    world.crash(WRITER);
    ensure(
        world.until(PROMPT, |world| world.holds_tombstone(LACKS, "before")),
        "what the dead node deleted still stands",
    )?;
    world.ends_well()?;
    ensure(world.value(LACKS, "before").is_none(), "it is back")
}

/// A member that starts again has forgotten which changes their writers told: it passes all of them on.
pub(crate) fn a_member_that_was_started_again_passes_on_what_it_was_told_before(
    rules: Rules,
) -> Outcome {
    let mut world = with_a_writer_that_one_cannot_hear(rules)?;
    world.isolate(LACKS);
    written(&mut world, "k", put("value"))?;
    world.crash(WRITER);
    world.crash(TOLD);
    world.start(TOLD);
    world.network.join(TOLD, LACKS);
    ensure(
        world.until(LONG, |world| world.value(LACKS, "k").is_some()),
        "what was told before the start is not passed on",
    )?;
    world.ends_well()
}

/// A member that starts again has forgotten how far it read its writer's feed: it takes no word for that it holds what is left out.
pub(crate) fn a_member_that_was_started_again_gets_what_its_writer_cannot_tell_it(
    rules: Rules,
) -> Outcome {
    let mut world = with_a_writer_that_one_cannot_hear(rules)?;
    world.crash(LACKS);
    written(&mut world, "k", put("value"))?;
    world.start(LACKS);
    ensure(
        world.until(LONG, |world| world.value(LACKS, "k").is_some()),
        "a member that was away lacks what it was not told",
    )?;
    world.ends_well()
}

/// A place in the feed of a writer's earlier process says nothing about what its later one told.
pub(crate) fn a_writer_that_was_started_again_is_not_taken_for_its_earlier_process(
    rules: Rules,
) -> Outcome {
    let mut world = with_a_writer_that_one_cannot_hear(rules)?;
    world.crash(WRITER);
    world.start(WRITER);
    world.pass(CALM);
    written(&mut world, "k", put("value"))?;
    ensure(
        world.until(PROMPT, |world| world.value(LACKS, "k").is_some()),
        "what the writer's later process wrote is not passed on",
    )?;
    world.ends_well()
}

/// A member that does not know how to judge what is left out gets all, at once: after it was taken back to such a release, and after
/// its upgrade.
pub(crate) fn a_member_of_the_release_before_gets_everything(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(WRITER, "before", "value")?;
    for (key, release) in [("older", Some(LACKS)), ("this", None)] {
        world.crash(LACKS);
        world.pass(Duration::from_secs(1));
        world.network.older_release = release;
        world.start(LACKS);
        world.all_serve()?;
        world.pass(CALM);
        world.network.part(WRITER, LACKS);
        written(&mut world, key, put("value"))?;
        ensure(
            world.until(PROMPT, |world| world.value(LACKS, key).is_some()),
            format!("a member of {key} release lacks what it was not told"),
        )?;
        world.network.join(WRITER, LACKS);
        world.all_serve()?;
    }
    world.ends_well()
}
