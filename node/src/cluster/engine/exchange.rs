//! Requests and answers: which requests are answered at once, and the effects of answers.

use std::time::Duration;

use super::{Engine, ExchangeId, Now, Output, ReplyId, feed::Changes, joining::Page};
use crate::cluster::{
    Address, Answer, Envelope, LocalStatus, PeerInfo, Refusal, Request, Rule, State, Tables,
    peer_table::Exchange,
};

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
        let answer = if hello.process_epoch == self.setup.process_epoch {
            // This node itself, looking for its place in the list.
            Answer::Noted
        } else {
            let address = hello.address.clone();
            if let Request::Roster(roster) = &body
                && self.rejects(&hello)
            {
                self.merge_roster(tables, now, &hello, roster, out)?;
            }
            match self.meet(tables, now, &hello, address.as_ref(), None, out)? {
                Ok(()) => self.answer(tables, now, &hello, body, out)?,
                Err(refusal) => {
                    // Where a node answers well at an address, a node that does not belong cannot claim the address.
                    if let Some(address) = &address
                        && (matches!(refusal, Refusal::Removed(_))
                            || !self.peers.answers_well(address, now.elapsed))
                    {
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

    /// Whether this node counts a node of its cluster as removed. That node may know better.
    fn rejects(&self, hello: &PeerInfo) -> bool {
        let is_removed = self.states.get(&hello.incarnation) == Some(&State::Removed);
        is_removed
            && hello.cluster_uid == self.membership.cluster_uid
            && self.setup.rules.hold(Rule::RemovalsAreJudgedTogether)
            && !self.setup.rules.hold(Rule::RostersAreAskedFor)
    }

    fn answer<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        hello: &PeerInfo,
        request: Request,
        out: &mut Vec<Output>,
    ) -> Result<Answer, T::Error> {
        let same_cluster = self.membership.cluster_uid.is_some()
            && hello.cluster_uid == self.membership.cluster_uid;
        let is_fed = same_cluster && self.membership.status == LocalStatus::Member;
        let feeds = is_fed && !self.is_suspended();
        Ok(match request {
            Request::Heartbeat => Answer::Noted,
            Request::Roster(roster) if same_cluster => {
                // The greeting showed another roster: this node asks for it.
                if !self.setup.rules.hold(Rule::RostersAreAskedFor) {
                    self.merge_roster(tables, now, hello, &roster, out)?;
                }
                Answer::Roster(self.roster.clone())
            }
            // Perhaps the sender meant an earlier life of this node; its next request will know this life.
            Request::Push { .. }
                if is_fed && !self.is_fresh(hello) && self.setup.rules.hold(Rule::RefuseGaps) =>
            {
                Answer::Refused(Refusal::Gap)
            }
            Request::Push {
                from,
                to,
                rows,
                passed_over,
            } if is_fed && !hello.fenced => {
                let changes = Changes {
                    to,
                    rows,
                    passed_over,
                };
                if self.take_changes(tables, now, hello, from, changes, out)? {
                    Answer::Noted
                } else {
                    Answer::Refused(Refusal::Gap)
                }
            }
            Request::Pull { after } if feeds => {
                let Changes { to, rows, .. } =
                    self.changes_after(tables, now, hello.incarnation, after, out)?;
                if to == after && to < self.last {
                    // This node holds back its later changes.
                    Answer::Refused(Refusal::NotServing)
                } else {
                    Answer::Changes { to, rows }
                }
            }
            Request::Entries(wanted) if feeds && !self.is_suspected() => {
                Answer::Entries(self.entries(tables, wanted, out)?)
            }
            Request::Digest { cutoff, root } if feeds && !self.is_suspected() => {
                self.show_digest(cutoff, root)
            }
            Request::Snapshot { after, incarnation } => {
                self.snapshot_page(tables, now, hello, after, incarnation)?
            }
            Request::Roster(_)
            | Request::Push { .. }
            | Request::Pull { .. }
            | Request::Digest { .. }
            | Request::Entries(_) => Answer::Refused(Refusal::NotServing),
        })
    }

    /// Handles the answer to a request of this node, or the news that there is none.
    pub(super) fn answered<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        from: &Address,
        exchange: ExchangeId,
        answer: Option<Box<Envelope<Answer>>>,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let Some(route) = self.peers.routes.get_mut(from) else {
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
            self.peers.failed(from, began, now.elapsed, jitter);
            if kind == Exchange::Snapshot {
                self.abort_join(tables)?;
            }
            return Ok(());
        };
        let Envelope { hello, body } = *answer;
        if let Some(route) = self.peers.routes.get_mut(from) {
            route.failures = 0;
            route.tried = true;
            route.answered_at = Some(now.elapsed);
            let was_me = route.is_me;
            route.is_me = hello.process_epoch == self.setup.process_epoch;
            route.who = Some(hello.incarnation);
            if route.is_me {
                if !was_me {
                    self.readiness.found_itself(now);
                }
                return Ok(());
            }
        }
        let refused = match &body {
            Answer::Refused(refusal) => Some(refusal),
            _ => None,
        };
        // Elsewhere than at a member's own address its word counts as if it had come by itself.
        let asked = began
            .filter(|_| self.peers.is_own_address(from, hello.incarnation))
            .map(|began| (began, refused));
        if let Err(refusal) = self.meet(tables, now, &hello, Some(from), asked, out)? {
            // Each may have removed the other: only both removals together show which one stands.
            if let Answer::Refused(Refusal::Removed(roster)) | Answer::Roster(roster) = &body
                && hello.cluster_uid == self.membership.cluster_uid
            {
                self.merge_roster(tables, now, &hello, roster, out)?;
            }
            self.mismatch(from, &hello, refusal, out);
            return Ok(());
        }
        match body {
            Answer::Refused(refusal) => {
                if (&refusal, kind) == (&Refusal::Gap, Exchange::Push)
                    && let Some(route) = self.peers.routes.get_mut(from)
                {
                    route.gap_at = Some(now.elapsed);
                }
                self.refused(tables, now, from, &hello, refusal, out)?;
            }
            body => {
                self.accepted(tables, now, &hello, kind, body, out)?;
                if let Some(route) = self.peers.routes.get_mut(from) {
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
        hello: &PeerInfo,
        kind: Exchange,
        body: Answer,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        match (body, kind) {
            (Answer::Changes { to, rows }, Exchange::Pull { after }) if self.is_fed() => {
                let changes = Changes {
                    to,
                    rows,
                    passed_over: Vec::new(),
                };
                self.take_changes(tables, now, hello, after, changes, out)?;
            }
            (Answer::Entries(rows), Exchange::Repair) if self.is_fed() => {
                self.take_mended(tables, now, rows, out)?;
            }
            (Answer::Entries(rows), Exchange::DigestRepair) if self.is_fed() => {
                self.take_repairs(tables, now, hello, rows, out)?;
            }
            (Answer::SameDigest, Exchange::Digest { cutoff }) => self.is_the_same(hello, cutoff),
            (Answer::Digest(theirs), Exchange::Digest { cutoff }) if self.is_fed() => {
                self.compare(tables, hello, cutoff, theirs, out)?;
            }
            (Answer::Roster(roster), _) if hello.cluster_uid == self.membership.cluster_uid => {
                self.merge_roster(tables, now, hello, &roster, out)?;
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

    /// A node refused a request; some refusals concern this node itself.
    fn refused<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        from: &Address,
        hello: &PeerInfo,
        refusal: Refusal,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        match &refusal {
            Refusal::Removed(roster) if hello.cluster_uid == self.membership.cluster_uid => {
                self.merge_roster(tables, now, hello, roster, out)?;
            }
            Refusal::NotServing | Refusal::NameTaken | Refusal::RosterFull => {
                if let Some(route) = self.peers.routes.get_mut(from) {
                    route.declined_at = Some(now.elapsed);
                }
                self.abort_join(tables)?;
            }
            // After a gap the greeting names the place to go on; other refusals do not concern this node.
            _ => {}
        }
        if !matches!(refusal, Refusal::Gap | Refusal::NotServing) {
            self.mismatch(from, hello, refusal, out);
        }
        Ok(())
    }

    /// Whether this node applies the feeds of members.
    fn is_fed(&self) -> bool {
        self.membership.status == LocalStatus::Member
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
            if let Some(contact) = self.peers.known.get_mut(&member) {
                contact.missed = Some(self.last);
            }
        }
        if !self.setup.clustered {
            return Ok(());
        }
        self.take_back(tables, now, out)?;
        self.check_removal(tables, now, out)?;
        self.check_suspicions(tables, now, out)?;
        self.check_leaving(tables, out)?;
        self.begin_round(now, out);
        if !self.setup.rules.hold(Rule::BootstrapIsInstructed) {
            self.bootstrap_unbidden(tables, now, out)?;
        }
        if now.elapsed >= self.purge_due {
            self.purge_due = now.elapsed + crate::cluster::limits::purge::INTERVAL;
            self.purge(tables, now, out)?;
        }
        Ok(())
    }
}
