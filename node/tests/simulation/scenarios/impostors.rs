//! Impostors that have the cluster key and are no members, and members whose messages cannot be checked or come from the
//! future.

use std::time::Duration;

use opensecureconf_node::{
    cluster::{
        AckLevel, Address, AdminOrder, AdminOutcome, MemberName, ProcessEpoch, Refusal, Request,
        Roster, Rules, Seq, WireRow,
    },
    domain::{Clock, Incarnation, Row, Timestamp, Version},
};

use crate::{
    impostor::{far_mark, roster_with},
    scenarios::scenarios,
    script::{LONG, Outcome, ensure, entry, put},
    world::{NodeId, World},
};

scenarios! {
    a_copied_greeting_fences_nobody
    a_copied_greeting_moves_no_cursor
    a_copied_greeting_of_a_node_that_is_down_stops_no_replication
    a_speaker_that_is_true_and_cannot_be_asked
    a_speaker_that_is_true_is_remembered
    a_last_source_waits_for_its_owner
    a_last_source_waits_after_a_restart
    a_roster_from_beyond_all_time_is_refused
    a_stranger_moves_no_clock
    a_stranger_admits_nobody
    a_stranger_sends_no_node_anywhere
    strangers_leave_nothing_behind
    strangers_that_accuse_are_as_few_as_the_list
    a_copied_member_removes_and_admits_nobody
    a_stranger_under_many_names_fills_no_roster
    a_cluster_whose_clock_is_really_ahead
}

/// For two seconds an impostor greets all nodes in each other's names, with a purge mark above every sequence.
pub(crate) fn a_copied_greeting_fences_nobody(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    let before: Vec<_> = (0..3).map(|node| world.incarnation(node)).collect();
    for _ in 0..40 {
        for (to, of) in pairs() {
            let mut hello = world.copied(of, to);
            // A greeting of another process, too: no member has heard its head.
            for process_epoch in [hello.process_epoch, ProcessEpoch::from_raw(5)] {
                hello.process_epoch = process_epoch;
                hello.epoch_began = hello.head;
                hello.purged = far_mark();
                hello.head = Seq::from_raw(1 << 41);
                world.somebody_says(to, hello.clone(), Request::Heartbeat);
            }
        }
        world.pass(Duration::from_millis(50));
        for node in 0..3 {
            let id = world.change(node, "k", put("meanwhile"), AckLevel::Local, None);
            world.stands(id)?;
            ensure(world.is_ready(node), format!("node {node} serves no reads"))?;
        }
    }
    ensure(
        (0..3).all(|node| world.nodes[node].suspicions <= 2),
        "each greeting suspends anew",
    )?;
    for node in 0..3 {
        ensure(!world.is_fenced(node), format!("node {node} is fenced"))?;
    }
    world.pass(Duration::from_secs(2));
    let written = world.put(0, "after", "value")?;
    ensure(written.held_by == 3, "they do not replicate")?;
    for node in 0..3 {
        world.crash(node);
        world.start(node);
    }
    world.ends_well()?;
    let after: Vec<_> = (0..3).map(|node| world.incarnation(node)).collect();
    ensure(before == after, "somebody joined anew")
}

/// A greeting in a member's name acknowledges more than there is, and names a snapshot that reaches far.
pub(crate) fn a_copied_greeting_moves_no_cursor(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    let before: Vec<_> = (0..3).map(|node| world.incarnation(node)).collect();
    for _ in 0..20 {
        for (to, of) in pairs() {
            let mut hello = world.copied(of, to);
            let last = hello.received.map_or(Seq::START, |(_, seq)| seq);
            hello.turn += 1 << 50;
            hello.head = Seq::from_raw(1 << 41);
            hello.acknowledges = true;
            hello.origin = Some((world.incarnation(to), Seq::START, far_mark()));
            for received in [far_mark(), last.next()] {
                hello.received = Some((world.incarnation(to), received));
                world.somebody_says(to, hello.clone(), Request::Heartbeat);
            }
        }
        world.pass(Duration::from_millis(100));
    }
    world.pass(Duration::from_secs(10));
    let written = world.put(0, "after", "value")?;
    ensure(written.held_by == 3, "they do not replicate")?;
    world.ends_well()?;
    let after: Vec<_> = (0..3).map(|node| world.incarnation(node)).collect();
    ensure(before == after, "somebody joined anew")
}

/// The node that an impostor copies does not answer: the others go on replicating, and recover when it is back.
pub(crate) fn a_copied_greeting_of_a_node_that_is_down_stops_no_replication(
    rules: Rules,
) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    world.pass(Duration::from_secs(2));
    world.crash(2);
    for _ in 0..300 {
        for to in 0..2 {
            let mut hello = world.copied(2, to);
            hello.process_epoch = ProcessEpoch::from_raw(5);
            hello.epoch_began = hello.head;
            hello.head = Seq::from_raw(1 << 41);
            hello.purged = far_mark();
            world.somebody_says(to, hello, Request::Heartbeat);
        }
        world.pass(Duration::from_millis(100));
    }
    let written = world.put(0, "after", "value")?;
    ensure(written.held_by == 2, "they do not replicate any more")?;
    world.start(2);
    world.ends_well()?;
    ensure(
        (0..3).all(|node| {
            world
                .view(node)
                .is_some_and(|view| view.suspended.is_none())
        }),
        "a suspicion stays",
    )
}

/// A member purged rows of which a newcomer never heard, and reaches it without being reached. Until the doubt is settled the
/// newcomer gives no snapshot in which the deleted entry would live on.
pub(crate) fn a_speaker_that_is_true_and_cannot_be_asked(rules: Rules) -> Outcome {
    a_true_speaker_falls_silent(rules, |_, _| {})
}

/// The newcomer restarts, and that member reaches it no more.
pub(crate) fn a_speaker_that_is_true_is_remembered(rules: Rules) -> Outcome {
    a_true_speaker_falls_silent(rules, |world, behind| {
        world.network.part(0, behind);
        world.crash(behind);
        world.start(behind);
    })
}

fn a_true_speaker_falls_silent(rules: Rules, then: impl FnOnce(&mut World, NodeId)) -> Outcome {
    let mut world = World::with_forgetful_cluster(rules, 2)?;
    world.put(0, "k", "value")?;
    let behind = below_a_mark(&mut world, &[0])?;
    let list = world.addresses(&[0, behind]);
    world.list(0, list);
    // It hears node 0 and is not heard.
    world.network.join(0, behind);
    world.network.cut(behind, 0);
    let is_suspected = |world: &World| world.nodes[behind].suspicions > 0;
    ensure(world.until(LONG, is_suspected), "it suspects nothing")?;
    then(&mut world, behind);
    world.pass(Duration::from_secs(30));
    let joiner = world.join("node-3");
    for other in [0, 1] {
        world.network.part(joiner, other);
    }
    world.pass(Duration::from_secs(20));
    ensure(
        world.value(joiner, "k").is_none(),
        "a deleted entry goes on in a snapshot",
    )?;
    world.ends_well()?;
    ensure(
        world
            .present()
            .into_iter()
            .all(|node| world.value(node, "k").is_none()),
        "a deleted entry is back",
    )
}

/// A node misses deletes, and the members that purged them give no snapshots: it goes on serving reads, and waits for its
/// admin.
pub(crate) fn a_last_source_waits_for_its_owner(rules: Rules) -> Outcome {
    let (mut world, behind) = with_a_last_source(rules)?;
    let waits = |world: &World| world.view(behind).is_some_and(|view| view.waits_for_owner);
    // After the order its rows come back with the admin's consent, not by a fault.
    world.crash(0);
    let asked = world.told(behind, AdminOrder::Unfence { dry_run: true });
    ensure(
        matches!(asked, Some(Ok(AdminOutcome::Unfenced))) && waits(&world),
        "it does not only tell that it would go on",
    )?;
    match world.told(behind, AdminOrder::Unfence { dry_run: false }) {
        Some(Ok(AdminOutcome::Unfenced)) => {}
        other => return Err(format!("it does not go on: {other:?}")),
    }
    world.pass(Duration::from_secs(20));
    ensure(!waits(&world), "it waits again")?;
    let id = world.change(behind, "new", put("value"), AckLevel::Local, None);
    world.stands(id).map(drop)
}

/// Its next process, too, takes no writes, although the member that confirmed what it lacks is gone by then.
pub(crate) fn a_last_source_waits_after_a_restart(rules: Rules) -> Outcome {
    let (mut world, behind) = with_a_last_source(rules)?;
    world.crash(0);
    world.crash(behind);
    world.start(behind);
    let is_ready = |world: &World| world.is_ready(behind);
    ensure(world.until(LONG, is_ready), "it serves no reads")?;
    world.pass(Duration::from_secs(20));
    let id = world.change(behind, "new", put("value"), AckLevel::Local, None);
    ensure(world.is_refused(id), "it takes writes")?;
    world.ends_well()
}

/// A node misses deletes, and the members that purged them give no snapshots: node 2 is down, and node 0 waits for node 2.
fn with_a_last_source(rules: Rules) -> Result<(World, NodeId), String> {
    let mut world = World::with_forgetful_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    world.put(0, "other", "value")?;
    world.network.part(1, 2);
    let behind = below_a_mark(&mut world, &[0, 2])?;
    world.retire(1);
    world.pass(Duration::from_secs(2));
    world.crash(2);
    // An impostor copies the node that is down, so that node 0, too, suspects that it misses deletes.
    let mut hello = world.copied(2, 0);
    hello.process_epoch = ProcessEpoch::from_raw(5);
    hello.epoch_began = hello.head;
    hello.head = Seq::from_raw(1 << 41);
    hello.purged = far_mark();
    world.somebody_says(0, hello, Request::Heartbeat);
    world.pass(Duration::from_secs(1));
    world.network.join(0, behind);
    world.pass(Duration::from_secs(30));
    ensure(
        !world.is_fenced(behind) && world.is_ready(behind),
        "it serves no reads",
    )?;
    let waits = world.view(behind).is_some_and(|view| view.waits_for_owner);
    ensure(waits, "it does not say that it waits")?;
    let id = world.change(behind, "new", put("value"), AckLevel::Local, None);
    ensure(world.is_refused(id), "it takes writes")?;
    Ok((world, behind))
}

/// A roster with an admission under the last stamp that there is.
pub(crate) fn a_roster_from_beyond_all_time_is_refused(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    for (to, of) in pairs() {
        for clock in [i64::MAX, Clock::END.raw()] {
            let roster = roster_with("nobody", 4711, world.incarnation(of), clock);
            let hello = world.copied(of, to);
            world.somebody_says(to, hello, Request::Roster(roster.clone()));
            // Also as an answer that the node asked for.
            let hello = world.copied(of, to);
            let address = world.nodes[of].address.clone();
            world.somebody_answers(to, address, hello, &roster)?;
        }
    }
    world.pass(Duration::from_secs(10));
    for node in 0..3 {
        world.put(node, "k", "value")?;
        let knows = world.nodes[node].disk.durable().roster.entries().count();
        ensure(knows == 3, format!("node {node} knows {knows} members"))?;
    }
    world.ends_well()
}

/// A row of a node that no member admitted, with a stamp of next year.
pub(crate) fn a_stranger_moves_no_clock(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    world.put(0, "k", "value")?;
    let year = 365 * 86_400_000_000;
    let later = Clock::at(Timestamp::from_micros(world.wall().as_micros() + year));
    let hello = world.invented(0, 1);
    let row = world.nodes[0].disk.durable().rows[&entry("k")].row.clone();
    let row = Row {
        version: Version {
            clock: later,
            incarnation: hello.incarnation,
        },
        clocks: [(hello.incarnation, later)].into(),
        ..row
    };
    let push = Request::Push {
        from: Seq::START,
        to: Seq::START.next(),
        rows: vec![WireRow::new(&row, row.hash())],
        passed_over: Vec::new(),
    };
    world.somebody_says(1, hello, push);
    world.pass(Duration::from_secs(5));
    for node in 0..2 {
        let written = world.put(node, "k", "again")?;
        ensure(
            !written.version.clock.is_far_ahead_of(world.wall()),
            format!("the clock of node {node} is {}", written.version),
        )?;
        ensure(world.nodes[node].future_stamps <= 1, "it tells of each one")?;
    }
    ensure(world.nodes[1].future_stamps == 1, "it tells of none")?;
    world.ends_well()
}

/// A node that no member admitted claims that a member's name has a new life.
pub(crate) fn a_stranger_admits_nobody(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    let before: Vec<_> = (0..3).map(|node| world.incarnation(node)).collect();
    for to in 0..3 {
        let mut hello = world.invented(0, to);
        let liar = Address::new(format!("liar.{to}:9000"));
        hello.address = Some(liar.clone());
        let soon = Timestamp::from_micros(world.wall().as_micros() + 60_000_000);
        let roster = roster_with("node-0", 4711, hello.incarnation, Clock::at(soon).raw());
        world.somebody_says(to, hello.clone(), Request::Heartbeat);
        // It answers where the list leads, from now on.
        let mut list = world.addresses(&world.present());
        list.push(liar.clone());
        world.list(to, list);
        world.somebody_answers(to, liar, hello, &roster)?;
    }
    world.ends_well()?;
    let after: Vec<_> = (0..3).map(|node| world.incarnation(node)).collect();
    ensure(before == after, "somebody joined anew")
}

/// A stranger has itself admitted under one name after the other. From some number on it is refused, and so is an honest node,
/// which says why; once some of those members are removed, that node joins.
pub(crate) fn a_stranger_under_many_names_fills_no_roster(rules: Rules) -> Outcome {
    const MEMBERS: usize = 1024;
    let mut world = World::with_cluster(rules, 2)?;
    world.put(0, "k", "value")?;
    let stranger = |number: usize| {
        let life = Incarnation::from_raw(100_000 + i64::try_from(number).unwrap_or_default());
        (MemberName::new(format!("stranger-{number}")), life)
    };
    // Each greets, hears an answer, and asks for the only page.
    let numbers: Vec<_> = (0..MEMBERS + 100).collect();
    for some in numbers.chunks(100) {
        for asks in [false, true] {
            for number in some {
                let mut hello = world.invented(0, 0);
                (hello.name, hello.incarnation) = stranger(*number);
                hello.process_epoch =
                    ProcessEpoch::from_raw(100_000 + i64::try_from(*number).unwrap_or_default());
                hello.address = None;
                let life = Some(hello.incarnation);
                let page = Request::Snapshot {
                    after: None,
                    incarnation: life,
                };
                let said = if asks { page } else { Request::Heartbeat };
                world.somebody_says(0, hello, said);
            }
            world.pass(Duration::from_secs(2));
        }
    }
    let admitted = |world: &World| world.nodes[0].disk.durable().roster.entries().count();
    ensure(
        admitted(&world) == MEMBERS,
        format!("{} are admitted", admitted(&world)),
    )?;
    let late = world.join("late");
    let is_told = |world: &World| world.nodes[late].refusals.contains(&Refusal::RosterFull);
    ensure(
        world.until(LONG, is_told),
        "an honest node is not told why it does not join",
    )?;
    let id = world.change(0, "k", put("still written"), AckLevel::Local, None);
    world.stands(id)?;
    for number in 0..2 {
        let (name, incarnation) = stranger(number);
        let order = AdminOrder::Remove {
            name,
            incarnation,
            force: true,
        };
        let removed = world.told(0, order);
        ensure(
            matches!(removed, Some(Ok(AdminOutcome::Removed))),
            format!("{removed:?}"),
        )?;
    }
    ensure(
        world.until(LONG, |world| world.is_ready(late)),
        "it does not join after a removal",
    )
}

/// A node that no member admitted announces its address, and one of a member.
pub(crate) fn a_stranger_sends_no_node_anywhere(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    let elsewhere = |node: NodeId| Address::new(format!("elsewhere.{node}:9000"));
    for (to, of) in pairs() {
        let stranger = world.invented(of, to);
        let mut member = world.copied(of, to);
        member.address = Some(elsewhere(of));
        for hello in [stranger, member] {
            world.somebody_says(to, hello, Request::Heartbeat);
        }
    }
    world.pass(Duration::from_secs(30));
    for node in 0..3 {
        let nobody = Address::new("nobody:9000");
        let led = [nobody, elsewhere(0), elsewhere(1), elsewhere(2)];
        let led = led
            .iter()
            .find(|led| world.nodes[node].dialled.contains(led));
        ensure(led.is_none(), format!("node {node} asks at {led:?}"))?;
    }
    world.ends_well()
}

/// Nodes that no member admitted push changes, more of them than a node remembers. It stores nothing of them, and forgets how far
/// it holds their feeds. What it noted of a node that turns out to be a member it stores.
pub(crate) fn strangers_leave_nothing_behind(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 2)?;
    world.put(0, "k", "value")?;
    let first = Seq::START.next();
    let push = || Request::Push {
        from: Seq::START,
        to: first,
        rows: Vec::new(),
        passed_over: Vec::new(),
    };
    let strangers = world.invented_nodes(0, 1, 300);
    for stranger in &strangers {
        world.somebody_says(1, stranger.clone(), push());
        world.pass(Duration::from_millis(5));
    }
    // With a write all that is noted is stored.
    world.put(0, "k", "again")?;
    world.pass(Duration::from_secs(1));
    let held =
        |world: &World, of: Incarnation| world.nodes[1].disk.durable().cursors.get(&of).copied();
    for stranger in &strangers {
        ensure(
            held(&world, stranger.incarnation).is_none(),
            "a stranger has a cursor for good",
        )?;
    }
    ensure(
        world.held_of(1, strangers[299].clone()) == Some(first),
        "it takes nothing of a node that may be a member",
    )?;
    ensure(
        world.held_of(1, strangers[0].clone()) == Some(Seq::START),
        "it remembers every stranger",
    )?;

    // One that node 1 does not know yet is a member.
    world.network.part(0, 1);
    let joiner = world.join("node-2");
    world.network.part(1, joiner);
    ensure(
        world.until(LONG, |world| world.is_ready(joiner)),
        "it does not join",
    )?;
    let (hello, member) = (world.copied(joiner, 1), world.incarnation(joiner));
    world.somebody_says(1, hello, push());
    world.pass(Duration::from_secs(1));
    ensure(held(&world, member).is_none(), "node 1 knows it already")?;
    world.network.join(0, 1);
    ensure(
        world.until(LONG, |world| held(world, member).is_some()),
        "what it noted of a member is lost",
    )?;
    world.ends_well()
}

/// At the address of a member that is down somebody answers under one name after the other, each of which purged what no node
/// has read. The node remembers as many accusations of strangers as it asks addresses, and none once the member is back.
pub(crate) fn strangers_that_accuse_are_as_few_as_the_list(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.put(0, "k", "value")?;
    world.pass(Duration::from_secs(1));
    let address = world.nodes[2].address.clone();
    let strangers = world.invented_nodes(2, 0, 12);
    world.crash(2);
    let accusers = |world: &World| {
        let membership = world.nodes[0].disk.durable().membership.clone();
        membership.unwrap().accusations.len()
    };
    let mut most = 0;
    for mut hello in strangers {
        hello.address = Some(address.clone());
        (hello.head, hello.purged) = (far_mark(), far_mark());
        world.somebody_answers(0, address.clone(), hello, &Roster::default())?;
        world.pass(Duration::from_millis(50));
        most = most.max(accusers(&world));
    }
    ensure(most > 0, "no accusation is remembered")?;
    ensure(
        most <= world.nodes.len(),
        format!("{most} accusations of strangers"),
    )?;
    world.start(2);
    world.ends_well()?;
    let left = accusers(&world);
    ensure(left == 0, format!("{left} accusations are left"))
}

/// An impostor claims in a member's name that another member's name has a new life.
pub(crate) fn a_copied_member_removes_and_admits_nobody(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    let before: Vec<_> = (0..3).map(|node| world.incarnation(node)).collect();
    for (to, of) in pairs() {
        let hello = world.copied(of, to);
        let soon = Timestamp::from_micros(world.wall().as_micros() + 60_000_000);
        let clock = Clock::at(soon).raw();
        let roster = roster_with("node-0", 4711, hello.incarnation, clock);
        world.somebody_says(to, hello, Request::Roster(roster));
    }
    world.pass(Duration::from_secs(5));
    world.ends_well()?;
    let after: Vec<_> = (0..3).map(|node| world.incarnation(node)).collect();
    ensure(before == after, "somebody joined anew")
}

/// A member's clock was days ahead: its writes stand, the others report it, and newcomers join.
pub(crate) fn a_cluster_whose_clock_is_really_ahead(rules: Rules) -> Outcome {
    let mut world = World::with_cluster(rules, 3)?;
    world.nodes[1].skew = 3 * 86_400_000_000;
    world.clocks_agree = false;
    world.put(1, "k", "value")?;
    world.pass(Duration::from_secs(2));
    ensure(world.nodes[0].future_stamps == 1, "node 0 does not say so")?;
    world.nodes[1].skew = 0;
    let over = world.put(0, "k", "again")?;
    ensure(over.held_by == 3, "they do not replicate")?;
    let joiner = world.join("node-3");
    ensure(
        world.until(LONG, |world| world.is_ready(joiner)),
        "nobody joins any more",
    )?;
    ensure(
        world.nodes[joiner].future_stamps == 1,
        "the joiner does not say so",
    )?;
    world.put(joiner, "k", "by the joiner")?;
    world.ends_well()?;
    ensure(
        world.value(0, "k").as_deref() == Some("by the joiner"),
        "a later write is lost",
    )
}

/// All ordered pairs of different nodes.
fn pairs() -> impl Iterator<Item = (NodeId, NodeId)> {
    (0..3).flat_map(|to| (0..3).filter(move |of| *of != to).map(move |of| (to, of)))
}

/// A newcomer that node 0 does not know, and that lacks a purge of node 0. Only its source, node 1, knew of it, and node 1 is
/// removed and joins no more.
fn below_a_mark(world: &mut World, apart: &[NodeId]) -> Result<NodeId, String> {
    world.network.part(0, 1);
    let behind = world.join("node-9");
    for other in apart {
        world.network.part(*other, behind);
    }
    let is_ready = |world: &World| world.is_ready(behind);
    ensure(world.until(LONG, is_ready), "it does not join")?;
    world.removed(0, 1)?;
    world.delete(0, "k")?;
    let purged = |world: &World| {
        let rows = &world.nodes[0].disk.durable().rows;
        !rows.contains_key(&entry("k"))
    };
    ensure(world.until(LONG, purged), "the tombstone is not purged")?;
    Ok(behind)
}
