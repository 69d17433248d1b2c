//! Requests and answers: what is answered at once, what an answer brings, and what is sent when.

use std::time::Duration;

use super::{Engine, ExchangeId, Now, Output, ReplyId, feed::Changes, joining::Page};
use crate::{
    cluster::{
        Address, Answer, Envelope, FenceReason, Hello, Refusal, Request, Rule, Standing, State,
        Tables,
        contacts::{Exchange, Route},
    },
    domain::Incarnation,
};

/// A node that is not heard otherwise is greeted this often.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A node that does not belong here is asked again this often.
const REFUSED: Duration = Duration::from_secs(5);
/// Rosters that differ are exchanged this often at most.
const ROSTER_PAUSE: Duration = Duration::from_millis(100);

/// Whether an exchange began after a moment.
pub(super) fn sent_after(began: Option<Duration>, moment: Duration) -> bool {
    began.is_some_and(|began| began > moment)
}

impl Engine {
    /// Answers another node.
    pub(super) fn requested<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        message: Box<Envelope<Request>>,
        reply: ReplyId,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let Envelope { hello, body } = *message;
        let answer = if hello.boot == self.setup.boot {
            // This node itself, looking for its place in the list.
            Answer::Noted
        } else {
            let address = hello.address.clone();
            match self.meet(tables, now, &hello, address.as_ref(), None, out)? {
                Ok(()) => self.answer(tables, now, &hello, body, out)?,
                Err(refusal) => {
                    if let Some(address) = &address {
                        self.mismatch(address, &hello, refusal.clone(), out);
                    }
                    Answer::Refused(refusal)
                }
            }
        };
        let envelope = Envelope {
            hello: self.hello(Some(&hello), now),
            body: answer,
        };
        out.push(Output::Answer {
            reply,
            message: Box::new(envelope),
        });
        Ok(())
    }

    fn answer<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        hello: &Hello,
        request: Request,
        out: &mut Vec<Output>,
    ) -> Result<Answer, T::Error> {
        let same_cluster =
            self.membership.founding.is_some() && hello.founding == self.membership.founding;
        let feeds = same_cluster && self.membership.standing == Standing::Member;
        Ok(match request {
            Request::Heartbeat => Answer::Noted,
            Request::Roster(roster) if same_cluster => {
                self.merge_roster(tables, &roster, out)?;
                Answer::Roster(self.roster.clone())
            }
            Request::Push { from, to, rows } if feeds && !hello.fenced => {
                let changes = Changes { to, rows };
                if self.take_changes(tables, now, hello, from, changes, out)? {
                    Answer::Noted
                } else {
                    Answer::Refused(Refusal::Gap)
                }
            }
            Request::Pull { after } if feeds => {
                let Changes { to, rows } = self.changes_after(tables, after, out)?;
                Answer::Changes { to, rows }
            }
            Request::Entries(wanted) if feeds => Answer::Entries(self.entries(tables, wanted)?),
            Request::Snapshot { after } => self.snapshot_page(tables, now, hello, after)?,
            Request::Roster(_)
            | Request::Push { .. }
            | Request::Pull { .. }
            | Request::Entries(_) => Answer::Refused(Refusal::NotServing),
        })
    }

    /// Takes the answer to a request of this node, or the news that there is none.
    pub(super) fn answered<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        from: &Address,
        exchange: ExchangeId,
        answer: Option<Box<Envelope<Answer>>>,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let Some(route) = self.contacts.routes.get_mut(from) else {
            return Ok(());
        };
        let Some((_, kind)) = route.in_flight.filter(|(id, _)| *id == exchange) else {
            // Given up, or of an earlier life.
            return Ok(());
        };
        let began = route.sent_at;
        route.in_flight = None;
        let Some(answer) = answer else {
            let jitter = self.jitter();
            self.contacts.failed(from, began, now.elapsed, jitter);
            if kind == Exchange::Snapshot {
                self.abort_join(tables)?;
            }
            return Ok(());
        };
        let Envelope { hello, body } = *answer;
        if let Some(route) = self.contacts.routes.get_mut(from) {
            route.failures = 0;
            route.tried = true;
            route.is_me = hello.boot == self.setup.boot;
            route.who = Some(hello.incarnation);
            if route.is_me {
                return Ok(());
            }
        }
        if let Err(refusal) = self.meet(tables, now, &hello, Some(from), began, out)? {
            // Each may have removed the other: only together do the removals tell which one stands.
            if let Answer::Refused(Refusal::Removed(roster)) = &body
                && hello.founding == self.membership.founding
            {
                self.merge_roster(tables, roster, out)?;
            }
            self.mismatch(from, &hello, refusal, out);
            return Ok(());
        }
        match body {
            Answer::Refused(refusal) => self.refused(tables, from, &hello, refusal, out)?,
            body => {
                self.accepted(tables, now, &hello, kind, body, out)?;
                if let Some(route) = self.contacts.routes.get_mut(from) {
                    route.refusal = None;
                }
            }
        }
        Ok(())
    }

    fn accepted<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        hello: &Hello,
        kind: Exchange,
        body: Answer,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        match (body, kind) {
            (Answer::Changes { to, rows }, Exchange::Pull { after }) if self.is_fed() => {
                let changes = Changes { to, rows };
                self.take_changes(tables, now, hello, after, changes, out)?;
            }
            (Answer::Entries(rows), Exchange::Repair) if self.is_fed() => {
                self.take_rows(tables, now, hello, rows, out)?;
            }
            (Answer::Roster(roster), _) if hello.founding == self.membership.founding => {
                self.merge_roster(tables, &roster, out)?;
            }
            (
                Answer::Page {
                    head,
                    rows,
                    more,
                    last,
                },
                Exchange::Snapshot,
            ) => {
                let page = Page {
                    head: *head,
                    rows,
                    more,
                    last,
                };
                self.take_page(tables, now, hello, page, out)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A node refused what was asked; some refusals say something of this node.
    fn refused<T: Tables>(
        &mut self,
        tables: &mut T,
        from: &Address,
        hello: &Hello,
        refusal: Refusal,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        match &refusal {
            Refusal::Removed(roster) if hello.founding == self.membership.founding => {
                self.merge_roster(tables, roster, out)?;
            }
            Refusal::RolledBack => self.fence(tables, FenceReason::RolledBack, out)?,
            // The greeting says where to begin.
            Refusal::Gap => {}
            Refusal::NotServing | Refusal::NameTaken => self.abort_join(tables)?,
            _ => {}
        }
        if !matches!(refusal, Refusal::Gap | Refusal::NotServing) {
            self.mismatch(from, hello, refusal, out);
        }
        Ok(())
    }

    /// Whether this node takes what members feed it.
    fn is_fed(&self) -> bool {
        self.membership.standing == Standing::Member
    }

    pub(super) fn tick<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let (answers, missed) = self.waiting.expire(now.elapsed);
        out.extend(answers.into_iter().map(Output::written));
        for member in missed {
            if let Some(contact) = self.contacts.known.get_mut(&member) {
                contact.missed = Some(self.last);
            }
        }
        if !self.setup.clustered {
            return Ok(());
        }
        self.check_leaving(tables, out)?;
        if !self.setup.rules.hold(Rule::FoundingIsTold) {
            self.found_unbidden(tables, now, out)?;
        }
        if now.elapsed >= self.purge_due {
            self.purge_due = now.elapsed + super::purge::INTERVAL;
            self.purge(tables, now, out)?;
        }
        Ok(())
    }

    /// Sends to every node that is free what it should get next.
    pub(super) fn send_what_is_due<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        self.choose_source(tables, now, out)?;
        let free: Vec<_> = self
            .contacts
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
        if route.refusal.is_some() {
            return Ok(heartbeat(since(route.sent_at) >= REFUSED));
        }
        if let Some(after) = self.page_wanted(address) {
            return Ok(Some((Exchange::Snapshot, Request::Snapshot { after })));
        }
        let contact = route.who.and_then(|who| self.contacts.known.get(&who));
        let Some(contact) = contact.filter(|contact| !contact.unreachable) else {
            return Ok(heartbeat(true).filter(|_| since(route.sent_at) >= HEARTBEAT / 2));
        };
        let (hello, heard) = (contact.hello.clone(), contact.heard);
        let greets = heartbeat(since(Some(heard)) >= HEARTBEAT);
        if hello.founding.is_none() || hello.founding != self.membership.founding {
            return Ok(greets);
        }
        if hello.roster != self.roster_fingerprint && since(route.sent_at) >= ROSTER_PAUSE {
            return Ok(Some((
                Exchange::Roster,
                Request::Roster(self.roster.clone()),
            )));
        }
        if self.membership.standing != Standing::Member
            || hello.fenced
            || !self.is_fed_by_me(hello.incarnation)
        {
            return Ok(greets);
        }
        if let Some(held) = self.held_by(hello.incarnation)
            && held < self.last
            && self.feeds()
        {
            let Changes { to, rows } = self.changes_after(tables, held, out)?;
            return Ok(Some((
                Exchange::Push,
                Request::Push {
                    from: held,
                    to,
                    rows,
                },
            )));
        }
        if self.wants_head(hello.incarnation) && since(route.sent_at) >= ROSTER_PAUSE {
            return Ok(heartbeat(true));
        }
        let received = self.received_from(&hello);
        let catching_up = !self.is_ready() && hello.head > received;
        if since(route.pulled_at) >= self.setup.sync_interval || catching_up {
            let kind = Exchange::Pull { after: received };
            return Ok(Some((kind, Request::Pull { after: received })));
        }
        if let Some(request) = self.repair_request()
            && since(route.sent_at) >= HEARTBEAT
        {
            return Ok(Some((Exchange::Repair, request)));
        }
        Ok(greets)
    }

    /// Whether this node has a feed that others should have: a left one's is known to be held.
    fn feeds(&self) -> bool {
        !matches!(self.my_state(), Some(State::Left))
    }

    /// Whether a node is one that this node's feed goes to: one that belongs, or that the roster does not know yet.
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
        let who = match self.contacts.routes.get_mut(&to) {
            Some(route) => {
                route.in_flight = Some((exchange, kind));
                route.sent_at = Some(now.elapsed);
                if matches!(kind, Exchange::Pull { .. }) {
                    route.pulled_at = Some(now.elapsed);
                }
                route.who
            }
            None => None,
        };
        let theirs = who
            .and_then(|who| self.contacts.known.get(&who))
            .map(|contact| contact.hello.clone());
        let hello = self.hello(theirs.as_ref(), now);
        out.push(Output::Send {
            to,
            exchange,
            message: Box::new(Envelope { hello, body }),
            patience: kind.patience(),
        });
    }

    /// A random part of one.
    fn jitter(&mut self) -> f64 {
        use rand::RngExt;
        self.random.random()
    }
}
