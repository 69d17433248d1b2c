//! A client's write: checked against the stored row, stamped, and held back until enough nodes have it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Engine, Now, Output, ReplyId, WriteRefusal};
use crate::{
    cluster::limits::stamps::NAMED_AHEAD,
    cluster::{AckLevel, LocalStatus, Rule, Seq, State, Tables, acknowledgement::AckTargets},
    domain::{Category, Clock, Content, Identity, Incarnation, Row, Seal, Timestamp, Version},
};

/// One change of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which entry.
    pub identity: Identity,
    /// The caller's observation when it checked whether it may write.
    pub seen: Expected,
    /// A reading that the caller knows of (`X-OSC-Version`): the write comes after it.
    pub named: Option<Clock>,
    /// The change.
    pub change: Change,
}

/// The observed state of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// No row, ever.
    Nothing,
    /// No live row: whether there is a tombstone does not matter.
    NothingLive,
    /// This version, live or a tombstone.
    Version(Version),
    /// Federated: this version, whose value is lost with its owner: a write over it makes a new entry.
    Lost(Version),
}

impl Expected {
    /// The observation of a caller that read this row.
    pub fn of(row: Option<&Row>) -> Self {
        row.map_or(Self::Nothing, |row| Self::Version(row.version))
    }

    fn is_still_so(self, stored: Option<&Row>) -> bool {
        match self {
            Self::NothingLive => stored.is_none_or(Row::is_tombstone),
            Self::Lost(version) => stored.is_some_and(|row| row.version == version),
            seen => seen == Self::of(stored),
        }
    }
}

/// The kinds of change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Create or replace the value.
    Put {
        /// The new category.
        category: Option<Category>,
        /// The new value as a Fernet token.
        token: String,
        /// The seal that binds it to the entry.
        seal: Option<Seal>,
    },
    /// Create the entry with a value that was written elsewhere.
    Bring {
        /// The category.
        category: Option<Category>,
        /// The value as a Fernet token.
        token: String,
        /// The seal that binds it to the entry, where the writer made one.
        seal: Option<Seal>,
        /// When the entry came into being there.
        created_at: Timestamp,
    },
    /// Replace the entry by a tombstone.
    Delete,
    /// Federated: become the owner of the value that the entry has, which its owner hands over.
    Adopt {
        /// The value.
        token: String,
    },
}

/// A committed write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The new version.
    pub version: Version,
    /// When the entry came into being.
    pub created_at: Timestamp,
    /// When this version was written.
    pub updated_at: Timestamp,
    /// How many nodes hold it durably, this one included.
    pub held_by: usize,
    /// How many should.
    pub wanted: usize,
}

/// A write that has passed all checks, with its version.
#[derive(Debug)]
struct Stamped {
    identity: Identity,
    change: Change,
    version: Version,
    created_at: Timestamp,
    clocks: BTreeMap<Incarnation, Clock>,
}

impl Engine {
    pub(super) fn write<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        write: Write,
        level: AckLevel,
        reply: ReplyId,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let identity = write.identity.clone();
        let result = match self.why_no_writes() {
            Some(reason) => Err(WriteRefusal::NotServing(reason)),
            None => self.commit_write(tables, now, write)?,
        };
        match result {
            Err(refusal) => out.push(Output::refused(reply, refusal)),
            Ok(written) => {
                let audience = self.audience(level, now);
                self.await_audience(reply, (written, identity), level, audience, now, out);
            }
        }
        Ok(())
    }

    /// Carries out all of these writes, of which no two are of one entry, or none: each is checked before the first is applied.
    pub(super) fn write_all<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        writes: Vec<(Write, ReplyId)>,
        level: AckLevel,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        let replies: Vec<_> = writes.iter().map(|(_, reply)| *reply).collect();
        let mut stamped = Vec::with_capacity(writes.len());
        for (write, reply) in writes {
            let judged = match self.why_no_writes() {
                Some(reason) => Err(WriteRefusal::NotServing(reason)),
                None if matches!(write.change, Change::Adopt { .. }) => {
                    Err(WriteRefusal::NotServing("values are taken over one by one"))
                }
                None => {
                    let stored = tables.row(&write.identity)?;
                    self.stamp(now, write, stored)
                }
            };
            match judged {
                Ok(write) => stamped.push((write, reply)),
                Err(refusal) => {
                    out.extend(replies.into_iter().map(|other| {
                        let refusal = if other == reply {
                            refusal.clone()
                        } else {
                            WriteRefusal::OthersRefused
                        };
                        Output::refused(other, refusal)
                    }));
                    return Ok(());
                }
            }
        }
        let audience = self.audience(level, now);
        for (write, reply) in stamped {
            let identity = write.identity.clone();
            let written = self.put(tables, now, write)?;
            self.await_audience(
                reply,
                (written, identity),
                level,
                audience.clone(),
                now,
                out,
            );
        }
        Ok(())
    }

    /// Holds the answer to the latest write back until its audience has the write, or gives it at once where there is none.
    fn await_audience(
        &mut self,
        reply: ReplyId,
        (written, identity): (Written, Identity),
        level: AckLevel,
        audience: AckTargets,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let place = (identity, self.last);
        let answered = self
            .waiting
            .add(reply, written, place, level, audience, now.elapsed);
        out.extend(answered.map(Output::written));
    }

    /// Why this node accepts no writes; `None` when it does.
    pub(super) fn why_no_writes(&self) -> Option<&'static str> {
        if !self.setup.clustered {
            return None;
        }
        match (self.membership.status, self.my_state()) {
            (LocalStatus::Blank, _) => Some("it belongs to no cluster yet"),
            (LocalStatus::Fenced(reason), _) => Some(reason.text()),
            (LocalStatus::Member, Some(State::Member)) => match self.why_waiting() {
                Some(reason) if reason.is_forgivable() => {
                    Some("it is suspended and waits for its owner (osc-node unfence)")
                }
                Some(_) => Some("it is suspended until a member gives it a snapshot"),
                // Other nodes send it changes of its values as soon as it answers.
                None if !self.has_been_ready()
                    && self.setup.rules.hold(Rule::WritesWaitForReadiness) =>
                {
                    Some("it has not caught up with the other nodes yet")
                }
                None => None,
            },
            (LocalStatus::Member, Some(State::Joining)) => Some("it is joining"),
            (LocalStatus::Member, Some(State::Leaving | State::Left)) => Some("it is leaving"),
            (LocalStatus::Member, _) => Some("it does not belong to the cluster any more"),
        }
    }

    fn commit_write<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        write: Write,
    ) -> Result<Result<Written, WriteRefusal>, T::Error> {
        let stored = tables.row(&write.identity)?;
        if !matches!(write.change, Change::Adopt { .. }) {
            return match self.stamp(now, write, stored) {
                Ok(stamped) => self.put(tables, now, stamped).map(Ok),
                Err(refusal) => Ok(Err(refusal)),
            };
        }
        if !self.is_as_seen(write.seen, stored.as_ref()) {
            return Ok(Err(WriteRefusal::Changed));
        }
        let Change::Adopt { token } = write.change else {
            return Ok(Err(WriteRefusal::Changed));
        };
        let stored = stored.filter(|row| {
            let content = row.content.as_ref();
            let is_it = |content: &Content| {
                content.is_of(&token) || !self.setup.rules.hold(Rule::AdoptedValuesAreTheOnes)
            };
            content.is_some_and(is_it)
        });
        let Some(row) = stored else {
            return Ok(Err(WriteRefusal::Changed));
        };
        let (created_at, updated_at) = (row.created_at, row.updated_at);
        let version = self.own(tables, now, row, token)?;
        Ok(Ok(Written {
            version,
            created_at,
            updated_at,
            held_by: 1,
            wanted: 1,
        }))
    }

    fn is_as_seen(&self, seen: Expected, stored: Option<&Row>) -> bool {
        seen.is_still_so(stored) || !self.setup.rules.hold(Rule::WritesCheckWhatWasSeen)
    }

    /// Checks a write against the stored row, and gives it its version. Only the parts that the new row needs are kept.
    fn stamp(
        &mut self,
        now: Now,
        write: Write,
        stored: Option<Row>,
    ) -> Result<Stamped, WriteRefusal> {
        let Write {
            identity,
            seen,
            named,
            change,
        } = write;
        if !self.is_as_seen(seen, stored.as_ref()) {
            return Err(WriteRefusal::Changed);
        }
        let replaced = stored.as_ref().map(|row| row.version.clock);
        let replaced = replaced
            // A stamp that no clock can have made is damage: the write need not come after it.
            .filter(|clock| clock.is_plausible() && self.setup.rules.hold(Rule::StampAboveStored));
        let named = named.filter(|_| self.setup.rules.hold(Rule::StampAboveNamed));
        if let Some(reason) = self.why_no_stamp(now, replaced, named) {
            return Err(WriteRefusal::NotServing(reason));
        }
        let version = Version {
            clock: self.clock.tick(now.wall, replaced.max(named)),
            incarnation: self.incarnation,
        };
        let live = stored
            .as_ref()
            .filter(|row| !row.is_tombstone() && !matches!(seen, Expected::Lost(_)));
        let born = match &change {
            Change::Bring { created_at, .. } => *created_at,
            Change::Put { .. } | Change::Delete | Change::Adopt { .. } => now.wall,
        };
        let created_at = live.map_or(born, |row| row.created_at);
        let mut clocks = stored.map(|row| row.clocks).unwrap_or_default();
        clocks.insert(self.incarnation, version.clock);
        Ok(Stamped {
            identity,
            change,
            version,
            created_at,
            clocks,
        })
    }

    /// Makes a write that was judged.
    fn put<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        write: Stamped,
    ) -> Result<Written, T::Error> {
        let Stamped {
            identity,
            change,
            version,
            created_at,
            clocks,
        } = write;
        let (category, content, seal) = match change {
            Change::Put {
                category,
                token,
                seal,
            }
            | Change::Bring {
                category,
                token,
                seal,
                ..
            } => {
                let content = self.keep_value(tables, &identity, version, token, seal)?;
                (category, Some(content), seal)
            }
            Change::Delete | Change::Adopt { .. } => {
                self.delete_value(tables, &identity)?;
                (None, None, None)
            }
        };
        let row = Row {
            identity,
            category,
            content,
            created_at,
            updated_at: now.wall,
            version,
            clocks,
            extra: seal.map(|seal| seal.into_extra(None)),
        };
        let seq = self.next_own_seq(&row.identity);
        tables.put_row(&row, row.hash(), seq)?;
        Ok(Written {
            version,
            created_at,
            updated_at: now.wall,
            held_by: 1,
            wanted: 1,
        })
    }

    /// Why a write cannot come after these readings; `None` when it can. A client may invent a version: it moves the clocks of
    /// the whole cluster by an hour at most, or to a reading that this node has heard of.
    fn why_no_stamp(
        &self,
        now: Now,
        replaced: Option<Clock>,
        named: Option<Clock>,
    ) -> Option<&'static str> {
        let ahead = u64::try_from(NAMED_AHEAD.as_micros()).unwrap_or(u64::MAX);
        let soon = Timestamp::from_micros(now.wall.as_micros().saturating_add_unsigned(ahead));
        let known = Clock::at(soon).max(self.clock.high_water());
        if named > Some(known) && self.setup.rules.hold(Rule::NamedVersionsAreBounded) {
            return Some(
                "the version that the request names is later than any that this node has heard of",
            );
        }
        let stamp = self.clock.following(now.wall, replaced.max(named));
        (!stamp.is_plausible()).then_some("the clocks of the cluster have come to their end")
    }

    /// Numbers the next change that this node makes itself.
    pub(super) fn next_own_seq(&mut self, identity: &Identity) -> Seq {
        self.last_made = self.next_seq(identity);
        self.last_made
    }

    /// Numbers the next change.
    pub(super) fn next_seq(&mut self, identity: &Identity) -> Seq {
        self.last = self.last.next();
        self.waiting.replaced(identity, self.last);
        self.changed.counters = true;
        self.has_rows = true;
        self.last
    }

    /// The nodes that a write waits for now.
    fn audience(&self, level: AckLevel, now: Now) -> AckTargets {
        if !self.setup.clustered || level == AckLevel::Local {
            return AckTargets::default();
        }
        if level == AckLevel::All {
            let members: std::collections::BTreeSet<_> = self.counting().collect();
            // A roster that holds only this node must not pass for the whole cluster.
            let unknown = self
                .peers
                .routes
                .values()
                .filter(|route| route.listed && !route.is_me)
                .filter(|route| route.who.is_none_or(|who| !members.contains(&who)))
                .count();
            return AckTargets { members, unknown };
        }
        let members = self
            .counting()
            .filter(|member| {
                self.peers.known.get(member).is_some_and(|contact| {
                    contact.hello.acknowledges && contact.is_healthy(now.elapsed)
                })
            })
            .collect();
        AckTargets {
            members,
            unknown: 0,
        }
    }
}
