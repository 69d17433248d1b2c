//! The present knowledge of other nodes: their possible addresses, the nodes that answer there, and their health. All of it
//! volatile.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Address, Cutoff, ExchangeId, MemberName, PeerInfo, ProcessEpoch, Protocol, PurgeMarks, Refusal,
    Seq,
};
use crate::{
    cluster::limits::heartbeats::{ASKED_AGAIN, FIRST_RETRY, LONGEST_RETRY, SILENCE, STRANGERS},
    domain::Incarnation,
};

/// The kind of exchange that is under way with a node; one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) enum Exchange {
    Heartbeat,
    Push,
    /// Changes after this sequence.
    Pull {
        after: Seq,
    },
    Repair,
    /// Rows with stamps before this are compared.
    Digest {
        cutoff: Cutoff,
    },
    /// Rows that a digest showed to be missing here.
    DigestRepair,
    Roster,
    Snapshot,
}

impl Exchange {
    /// How long to wait for its answer.
    pub(super) fn timeout(self) -> Duration {
        match self {
            Self::Heartbeat => Duration::from_secs(2),
            Self::Roster => Duration::from_secs(5),
            Self::Push
            | Self::Pull { .. }
            | Self::Repair
            | Self::Digest { .. }
            | Self::DigestRepair => Duration::from_secs(30),
            Self::Snapshot => Duration::from_mins(1),
        }
    }
}

/// A place where a node may be.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) struct Route {
    /// Whether the list names it.
    pub(super) listed: bool,
    /// Whether this very node answered there.
    pub(super) is_me: bool,
    /// The node that answered there last.
    pub(super) who: Option<Incarnation>,
    pub(super) in_flight: Option<(ExchangeId, Exchange)>,
    /// Exchanges that failed in a row.
    pub(super) failures: u32,
    pub(super) retry_at: Duration,
    /// When a message was last sent there.
    pub(super) sent_at: Option<Duration>,
    pub(super) pulled_at: Option<Duration>,
    pub(super) pushed_at: Option<Duration>,
    /// When the node there last found a gap in what was pushed.
    pub(super) gap_at: Option<Duration>,
    pub(super) roster_sent_at: Option<Duration>,
    pub(super) repair_asked_at: Option<Duration>,
    pub(super) digest_asked_at: Option<Duration>,
    /// Whether it answered or failed since the engine started: after one round, silence is an answer too.
    pub(super) tried: bool,
    /// Why the node there and this one do not talk.
    pub(super) refusal: Option<Refusal>,
    /// When it last answered.
    pub(super) answered_at: Option<Duration>,
    /// When it last refused to feed this node.
    pub(super) declined_at: Option<Duration>,
}

/// A node that was heard.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) struct Contact {
    pub(super) hello: PeerInfo,
    /// When it was last heard.
    pub(super) heard: Duration,
    /// Whether the last exchange with it failed, and it was not heard since.
    pub(super) unreachable: bool,
    /// This node's last sequence when a write waited for it in vain, until it acknowledges that.
    pub(super) missed: Option<Seq>,
    /// How far its wall clock is ahead of this node's, in microseconds.
    pub(super) offset_micros: i64,
    /// When `hello` was heard.
    noted: Duration,
    /// This node's last greeting before it heard of this process of that node.
    process_heard_at: u64,
    /// Its last answer: a greeting that arrives by itself may be forged.
    pub(super) answered: Option<Answered>,
}

/// The content of an answer.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) struct Answered {
    /// When it was requested.
    pub(super) began: Duration,
    /// Of which process.
    pub(super) process_epoch: ProcessEpoch,
    /// Its protocol.
    pub(super) protocol: Protocol,
    /// Its last change.
    pub(super) head: Seq,
    /// Whether it gives snapshots.
    pub(super) source: bool,
    /// Whether it is fenced.
    pub(super) fenced: bool,
    /// Whether other nodes need not wait for its rows.
    pub(super) yields: bool,
}

impl Contact {
    pub(super) fn is_healthy(&self, now: Duration) -> bool {
        self.is_alive(now) && self.missed.is_none()
    }

    /// Whether it still answers.
    pub(super) fn is_alive(&self, now: Duration) -> bool {
        !self.unreachable && self.was_heard_within(SILENCE, now)
    }

    /// Whether it was heard not longer ago than that.
    pub(super) fn was_heard_within(&self, past: Duration, now: Duration) -> bool {
        now.saturating_sub(self.heard) <= past
    }
}

/// A greeting as this node keeps it. Its purge marks are weighed when it arrives; afterwards only those of answers count, so one
/// that arrives by itself leaves the marks as they were.
fn kept(hello: &PeerInfo, asked: Option<Duration>, marks: PurgeMarks) -> PeerInfo {
    let mut kept = hello.clone();
    if asked.is_none() {
        kept.inherited = marks;
    }
    kept
}

/// All known addresses and nodes.
#[derive(Debug, Default)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) struct PeerTable {
    pub(super) routes: BTreeMap<Address, Route>,
    pub(super) known: BTreeMap<Incarnation, Contact>,
    /// Whether a list was given, even an empty one: before, this node does not know which nodes to hear.
    has_list: bool,
}

impl PeerTable {
    /// Sets a new list of addresses. Members stay, even without a listed address: the address at which one was reached remains.
    pub(super) fn list(&mut self, addresses: &[Address]) {
        self.has_list = true;
        for route in self.routes.values_mut() {
            route.listed = false;
        }
        for address in addresses {
            self.routes.entry(address.clone()).or_default().listed = true;
        }
        self.routes
            .retain(|_, route| route.listed || route.who.is_some());
    }

    /// Whether a greeting was made after all earlier arrivals. The answer to a later request was: where its number contradicts
    /// that, one of the earlier greetings was forged.
    pub(super) fn is_news(&self, hello: &PeerInfo, asked: Option<Duration>) -> bool {
        self.known.get(&hello.incarnation).is_none_or(|contact| {
            contact.hello.process_epoch != hello.process_epoch
                || contact.hello.turn < hello.turn
                || asked.is_some_and(|began| began > contact.noted)
        })
    }

    /// Makes room for the greeting of a node that is no member: forgets the strangers that were silent for longest, and the
    /// purge marks of all. A caller with the cluster key may greet under any number of names.
    pub(super) fn make_room_for(
        &mut self,
        stranger: Incarnation,
        is_member: impl Fn(Incarnation) -> bool,
    ) {
        if self.known.contains_key(&stranger) {
            return;
        }
        // Those that this node asks are as few as its list.
        let asked: BTreeSet<_> = self.routes.values().filter_map(|route| route.who).collect();
        let mut strangers = Vec::new();
        for (who, contact) in &mut self.known {
            if !is_member(*who) && !asked.contains(who) {
                contact.hello.inherited = PurgeMarks::new();
                strangers.push((contact.heard, *who));
            }
        }
        if self.known.len() < STRANGERS {
            return;
        }
        strangers.sort_unstable();
        let surplus = (strangers.len() + 1).saturating_sub(STRANGERS);
        for (_, who) in strangers.into_iter().take(surplus) {
            self.known.remove(&who);
        }
    }

    /// Whether a member may be at the address that it announces: the address is listed or its own already, or neither the list
    /// nor a working route leads to the member.
    fn may_be_at(&self, address: &Address, node: Incarnation) -> bool {
        self.is_held(address)
            || !self
                .routes
                .values()
                .any(|route| route.who == Some(node) && (route.listed || route.failures == 0))
    }

    /// Whether an address is listed, or held already.
    pub(super) fn is_held(&self, address: &Address) -> bool {
        self.routes.contains_key(address)
    }

    /// Records a greeting: `address` is where the node answered a request of the time `asked`, or its announced address. `turn`
    /// is the number of this node's last greeting.
    pub(super) fn heard(
        &mut self,
        hello: &PeerInfo,
        address: Option<&Address>,
        now: Duration,
        offset_micros: i64,
        asked: Option<Duration>,
        turn: u64,
    ) {
        let incarnation = hello.incarnation;
        let is_news = self.is_news(hello, asked);
        let address =
            address.filter(|address| asked.is_some() || self.may_be_at(address, incarnation));
        let contact = self.known.entry(incarnation).or_insert_with(|| Contact {
            hello: kept(hello, asked, PurgeMarks::new()),
            heard: now,
            unreachable: false,
            missed: None,
            offset_micros,
            noted: now,
            process_heard_at: turn,
            answered: None,
        });
        if let Some(began) = asked {
            contact.answered = Some(Answered {
                began,
                process_epoch: hello.process_epoch,
                protocol: hello.protocol,
                head: hello.head,
                source: hello.source,
                fenced: hello.fenced,
                yields: hello.yields,
            });
        }
        contact.heard = now;
        contact.unreachable = false;
        let reborn = contact.hello.process_epoch != hello.process_epoch;
        if reborn {
            // A new process catches up with the writes that its predecessor missed, before it serves.
            contact.missed = None;
            contact.process_heard_at = turn;
        }
        if is_news {
            let marks = std::mem::take(&mut contact.hello.inherited);
            contact.hello = kept(hello, asked, marks);
            contact.noted = now;
            contact.offset_micros = offset_micros;
        }
        if reborn {
            // The earlier process is gone and answers no open request. Where a forged greeting claims a new process, a pending
            // answer still counts.
            let is_over = |route: &Route| {
                let waited = route.sent_at.map(|sent| now.saturating_sub(sent));
                asked.is_some() || waited >= Some(Exchange::Heartbeat.timeout())
            };
            for route in self.routes.values_mut() {
                if route.who == Some(incarnation) && is_over(route) {
                    route.in_flight = None;
                    route.retry_at = now;
                }
            }
        }
        if let Some(address) = address {
            let route = self.routes.entry(address.clone()).or_default();
            if route.who != Some(incarnation) {
                route.in_flight = None;
                route.retry_at = now;
            }
            route.who = Some(incarnation);
            route.tried = true;
            if route.failures > 0 && route.in_flight.is_none() {
                // It calls, so it is there again.
                route.retry_at = now;
            }
        }
    }

    /// An exchange failed that began at some time: a node that was heard since is there all the same.
    pub(super) fn failed(
        &mut self,
        address: &Address,
        began: Option<Duration>,
        now: Duration,
        jitter: f64,
    ) {
        let Some(route) = self.routes.get_mut(address) else {
            return;
        };
        route.tried = true;
        route.in_flight = None;
        let doubled = FIRST_RETRY * 2_u32.saturating_pow(route.failures.min(10));
        route.retry_at = now + doubled.min(LONGEST_RETRY).mul_f64(0.5 + jitter / 2.0);
        route.failures = route.failures.saturating_add(1);
        if let Some(contact) = route.who.and_then(|who| self.known.get_mut(&who)) {
            contact.unreachable = began >= Some(contact.heard);
        }
    }

    /// The address at which a member may be reached: the listed one, if there is one.
    pub(super) fn route_to(&self, member: Incarnation) -> Option<&Address> {
        let mut routes: Vec<_> = self
            .routes
            .iter()
            .filter(|(_, route)| route.who == Some(member))
            .collect();
        routes.sort_by_key(|(_, route)| !route.listed);
        routes.first().map(|(address, _)| *address)
    }

    /// Whether a node answers at an address, and no refusal separates it from this one.
    pub(super) fn answers_well(&self, address: &Address, now: Duration) -> bool {
        self.routes.get(address).is_some_and(|route| {
            route.refusal.is_none()
                && route
                    .answered_at
                    .is_some_and(|at| now.saturating_sub(at) <= ASKED_AGAIN + SILENCE)
        })
    }

    /// Whether an address is a member's own: where it is listed, or where it is held if the list leads to it nowhere.
    pub(super) fn is_own_address(&self, address: &Address, member: Incarnation) -> bool {
        let is_listed =
            |address: &Address| self.routes.get(address).is_some_and(|route| route.listed);
        is_listed(address)
            || !self
                .route_to(member)
                .is_some_and(|listed| listed != address && is_listed(listed))
    }

    /// This node's last greeting before it heard of the latest process of a name.
    pub(super) fn latest_process_heard_at(&self, name: &MemberName) -> u64 {
        let of_name = self.known.values().filter(|it| it.hello.name == *name);
        let heard_at = of_name.map(|contact| contact.process_heard_at);
        heard_at.max().unwrap_or_default()
    }

    /// This node's last sequence when a write waited for a member in vain, until the member acknowledges that.
    pub(super) fn missed(&self, member: Incarnation) -> Option<Seq> {
        self.known.get(&member)?.missed
    }

    /// A live node with this name and another incarnation.
    pub(super) fn living_namesake(
        &self,
        name: &MemberName,
        other_than: Incarnation,
        now: Duration,
    ) -> Option<Incarnation> {
        self.known
            .iter()
            .find(|(incarnation, contact)| {
                **incarnation != other_than && contact.hello.name == *name && contact.is_alive(now)
            })
            .map(|(incarnation, _)| *incarnation)
    }

    /// Forgets the exchanges under way.
    pub(super) fn give_up_exchanges(&mut self) {
        for route in self.routes.values_mut() {
            route.in_flight = None;
        }
    }

    /// Forgets the exchanges under way and the tried addresses: this node begins a new life.
    pub(super) fn start_over(&mut self) {
        for route in self.routes.values_mut() {
            route.in_flight = None;
            route.tried = route.is_me;
        }
        for contact in self.known.values_mut() {
            contact.hello.received = None;
        }
    }

    /// Whether every listed address answered or failed once.
    pub(super) fn went_round(&self) -> bool {
        let mut listed = self.routes.values().filter(|route| route.listed);
        self.has_list && listed.all(|route| route.tried)
    }

    /// How many addresses are listed where no node ever answered.
    pub(super) fn unknown(&self) -> usize {
        let silent = |route: &&Route| route.listed && !route.is_me && route.who.is_none();
        self.routes.values().filter(silent).count()
    }

    /// Whether the list leads to a node.
    pub(super) fn is_listed(&self, node: Incarnation) -> bool {
        let mut listed = self.routes.values().filter(|route| route.listed);
        listed.any(|route| route.who == Some(node))
    }

    /// Whether the node that answered last is another one at each address.
    pub(super) fn is_nowhere(&self, node: Incarnation) -> bool {
        let mut others = self.routes.values().filter(|route| !route.is_me);
        self.has_list && others.all(|route| route.who.is_some_and(|who| who != node))
    }

    /// Whether an address of the list may turn out to be this node's own.
    pub(super) fn may_find_itself(&self) -> bool {
        let is_found = self.routes.values().any(|route| route.is_me);
        let mut listed = self.routes.values().filter(|route| route.listed);
        !is_found && listed.any(|route| route.who.is_none())
    }

    /// Whether a member judges itself whether it holds what others leave out: what its process answered, and not what it said unasked.
    pub(super) fn judges_what_it_passes_over(&self, member: Incarnation) -> bool {
        self.known.get(&member).is_some_and(|contact| {
            contact.answered.is_some_and(|answered| {
                answered.process_epoch == contact.hello.process_epoch
                    && answered.protocol.passes_over()
                    && contact.hello.protocol.passes_over()
            })
        })
    }

    /// How far a member is known to hold this node's feed, by its last hello.
    pub(super) fn received_by(&self, member: Incarnation, me: Incarnation) -> Option<Seq> {
        let (of, seq) = self.known.get(&member)?.hello.received?;
        (of == me).then_some(seq)
    }
}

#[cfg(test)]
mod tests;
