//! Sending: which message goes to which node, and when; one at a time to each address.

use std::time::Duration;

use super::{Engine, ExchangeId, Now, Output};
use crate::{
    cluster::limits::{
        heartbeats::{ASKED_AGAIN, HEARTBEAT, REFUSED, ROSTER_PAUSE},
        suspicion::ASK_PAUSE,
    },
    cluster::{
        Address, Envelope, LocalStatus, Refusal, Request, Rule, State, Tables,
        peer_table::{Exchange, Route},
    },
    domain::Incarnation,
};

impl Engine {
    /// Sends every free node the message that is due.
    pub(super) fn send_what_is_due<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        self.choose_source(tables, now, out)?;
        let free: Vec<_> = self
            .peers
            .routes
            .iter()
            .filter(|(_, route)| {
                !route.is_me && route.in_flight.is_none() && route.retry_at <= now.elapsed
            })
            .map(|(address, route)| (address.clone(), route.clone()))
            .collect();
        for (address, route) in free {
            if let Some((kind, request)) = self.next_request(tables, now, &address, &route, out)? {
                self.send(now, address, kind, request, out);
            }
        }
        Ok(())
    }

    fn next_request<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        address: &Address,
        route: &Route,
        out: &mut Vec<Output>,
    ) -> Result<Option<(Exchange, Request)>, T::Error> {
        let since = |moment: Option<Duration>| {
            moment.map_or(Duration::MAX, |moment| now.elapsed.saturating_sub(moment))
        };
        let heartbeat = |due: bool| due.then_some((Exchange::Heartbeat, Request::Heartbeat));
        if let Some(who) = route.who
            && self.asks_about(who)
            && self.peers.is_own_address(address, who)
        {
            return Ok(heartbeat(since(route.sent_at) >= ASK_PAUSE));
        }
        if let Some(refusal) = &route.refusal {
            // Each may have removed the other, or believe so: only both removals together show which one stands.
            let tells = matches!(refusal, Refusal::Removed(_))
                && self.membership.status == LocalStatus::Member
                && self.setup.rules.hold(Rule::RemovalsAreJudgedTogether);
            let said = if tells {
                (Exchange::Roster, Request::Roster(self.roster.clone()))
            } else {
                (Exchange::Heartbeat, Request::Heartbeat)
            };
            return Ok((since(route.sent_at) >= REFUSED).then_some(said));
        }
        if let Some(page) = self.page_wanted(address) {
            return Ok(Some((Exchange::Snapshot, page)));
        }
        let contact = route.who.and_then(|who| self.peers.known.get(&who));
        let Some(contact) = contact.filter(|contact| !contact.unreachable) else {
            return Ok(heartbeat(true).filter(|_| since(route.sent_at) >= HEARTBEAT / 2));
        };
        let (hello, heard, missed) = (contact.hello.clone(), contact.heard, contact.missed);
        let is_due = since(Some(heard)) >= HEARTBEAT || since(route.answered_at) >= ASKED_AGAIN;
        let greets = heartbeat(is_due && since(route.sent_at) >= HEARTBEAT / 2);
        if hello.cluster_uid.is_none() || hello.cluster_uid != self.membership.cluster_uid {
            return Ok(greets);
        }
        if hello.roster != self.roster_fingerprint && since(route.roster_sent_at) >= ROSTER_PAUSE {
            return Ok(Some((
                Exchange::Roster,
                Request::Roster(self.roster.clone()),
            )));
        }
        if self.membership.status != LocalStatus::Member
            || hello.fenced
            || !self.is_fed_by_me(hello.incarnation)
        {
            return Ok(greets);
        }
        // Occasional requests come before the changes: under load there are always some to push.
        let received = self.received_from(&hello);
        let pull = (
            Exchange::Pull { after: received },
            Request::Pull { after: received },
        );
        if since(route.pulled_at) >= self.setup.sync_interval {
            return Ok(Some(pull));
        }
        if let Some(request) = self.repair_request()
            && since(route.repair_asked_at) >= HEARTBEAT
        {
            return Ok(Some((Exchange::Repair, request)));
        }
        if let Some(due) = self.digest_request(now, &hello, route) {
            return Ok(Some(due));
        }
        if self.feeds()
            && !self.is_suspended()
            && let Some(push) = self.push_due(tables, now, &hello, route, out)?
        {
            return Ok(Some((Exchange::Push, push)));
        }
        // It says that it holds what it missed. Writes wait for it again once an answer says so.
        let holds_what_it_missed = missed.is_some()
            && hello.acknowledges
            && !self.is_suspended()
            && self.held_by(hello.incarnation) >= missed;
        if (self.wants_answer(hello.incarnation) || holds_what_it_missed)
            && since(route.sent_at) >= ROSTER_PAUSE
        {
            return Ok(heartbeat(true));
        }
        if !self.is_ready() && hello.head > received && since(route.declined_at) >= HEARTBEAT {
            return Ok(Some(pull));
        }
        Ok(greets)
    }

    /// Whether others need this node's feed: they hold all of it once the node has left.
    fn feeds(&self) -> bool {
        !matches!(self.my_state(), Some(State::Left))
    }

    /// Whether this node's feed goes to a node: a member, or a node that the roster does not know yet.
    fn is_fed_by_me(&self, member: Incarnation) -> bool {
        self.states.get(&member).is_none_or(|state| state.counts())
    }

    fn send(
        &mut self,
        now: Now,
        to: Address,
        kind: Exchange,
        body: Request,
        out: &mut Vec<Output>,
    ) {
        self.exchanges += 1;
        let exchange = ExchangeId(self.exchanges);
        let who = match self.peers.routes.get_mut(&to) {
            Some(route) => {
                route.in_flight = Some((exchange, kind));
                route.sent_at = Some(now.elapsed);
                match kind {
                    Exchange::Pull { .. } => route.pulled_at = Some(now.elapsed),
                    Exchange::Roster => route.roster_sent_at = Some(now.elapsed),
                    Exchange::Repair => route.repair_asked_at = Some(now.elapsed),
                    Exchange::Digest { .. } | Exchange::DigestRepair => {
                        route.digest_asked_at = Some(now.elapsed);
                    }
                    Exchange::Push => route.pushed_at = Some(now.elapsed),
                    Exchange::Heartbeat | Exchange::Snapshot => {}
                }
                route.who
            }
            None => None,
        };
        let theirs = who
            .and_then(|who| self.peers.known.get(&who))
            .map(|contact| contact.hello.clone());
        let hello = self.hello(theirs.as_ref(), now);
        out.push(Output::Send {
            to,
            exchange,
            message: Box::new(Envelope { hello, body }),
            timeout: kind.timeout(),
        });
    }

    /// A random number between 0 and 1.
    pub(super) fn jitter(&mut self) -> f64 {
        use rand::RngExt;
        self.random.random()
    }
}
