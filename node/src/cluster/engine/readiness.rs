//! When a node may serve: once it holds what the others held when it started or joined.

use std::collections::BTreeMap;

use super::{Engine, Event, Now, Output};
use crate::{
    cluster::{Phase, Rule, Seq, Standing, State, Tables},
    domain::Incarnation,
};

/// Whether the node serves, and what it waits for until then.
#[derive(Debug)]
pub(super) struct Readiness {
    ready: bool,
    /// The others' last sequences as they were first heard.
    heads: BTreeMap<Incarnation, Seq>,
}

impl Readiness {
    pub(super) fn new(ready: bool) -> Self {
        Self {
            ready,
            heads: BTreeMap::new(),
        }
    }

    pub(super) fn restart(&mut self) {
        *self = Self::new(false);
    }
}

impl Engine {
    /// Whether this node serves reads.
    pub(super) fn is_ready(&self) -> bool {
        if !self.setup.clustered {
            return true;
        }
        self.readiness.ready && self.is_member()
    }

    /// Notes what others hold, and begins to serve when this node holds it too.
    pub(super) fn check_readiness<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        if self.readiness.ready || !self.is_member() {
            return Ok(());
        }
        for (member, contact) in &self.contacts.known {
            let hello = &contact.hello;
            if hello.founding == self.membership.founding && !hello.fenced {
                self.readiness.heads.entry(*member).or_insert(hello.head);
            }
        }
        if self.why_not_ready(now).is_some() && self.setup.rules.hold(Rule::ReadyWaitsForHeads) {
            return Ok(());
        }
        self.readiness.ready = true;
        self.readiness.heads.clear();
        self.advance(tables, Phase::Member)?;
        out.push(Output::Event(Event::Ready));
        Ok(())
    }

    /// What a node that does not serve waits for; `None` where nothing is missing.
    pub(super) fn why_not_ready(&self, now: Now) -> Option<String> {
        if self.is_ready() {
            return None;
        }
        match (self.membership.standing, self.my_state()) {
            (Standing::Blank, _) if self.has_rows => Some(
                "it holds entries but belongs to no cluster: found it here (osc-node init), or bring its entries into \
                 the other cluster (osc-node import)"
                    .to_owned(),
            ),
            (Standing::Blank, _) if self.join.is_some() => {
                Some("it is taking a snapshot".to_owned())
            }
            (Standing::Blank, _) => Some(
                "it belongs to no cluster: it joins when it reaches a ready member; a new cluster is founded with \
                 osc-node init"
                    .to_owned(),
            ),
            (Standing::Fenced(reason), _) => Some(format!(
                "it is fenced: {}; it joins anew when it reaches a ready member",
                reason.text()
            )),
            (Standing::Member, Some(State::Leaving)) => {
                Some("it is leaving the cluster".to_owned())
            }
            (Standing::Member, Some(State::Left)) => Some("it has left the cluster".to_owned()),
            (Standing::Member, Some(State::Removed | State::Superseded) | None) => {
                Some("it does not belong to the cluster any more".to_owned())
            }
            (Standing::Member, Some(State::Member | State::Joining)) => self.behind(now),
        }
    }

    fn behind(&self, now: Now) -> Option<String> {
        if !self.contacts.went_round() {
            return Some("it has not heard from every listed node yet".to_owned());
        }
        self.readiness.heads.iter().find_map(|(member, head)| {
            let contact = self.contacts.known.get(member)?;
            let waited_for = contact.is_alive(now.elapsed)
                && matches!(
                    self.states.get(member),
                    Some(State::Member | State::Leaving)
                );
            let missing = head.since(self.received_from(&contact.hello));
            (waited_for && missing > 0).then(|| {
                format!(
                    "it is catching up with '{}': {missing} changes to go",
                    contact.hello.name
                )
            })
        })
    }
}
