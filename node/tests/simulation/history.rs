//! The promises to clients: every write, the node that acknowledged it, and the incarnations that still stand by it.

use std::collections::{BTreeMap, BTreeSet};

use opensecureconf_node::{
    cluster::{AckLevel, Change, Expected, Seq, Write, WriteRefusal, Written},
    domain::{Clock, Content, Identity, Incarnation, Row, Version},
};

use crate::{
    disk::{Contents, Trace},
    values,
    world::NodeId,
};

/// A write, by its place in the history.
pub(crate) type WriteId = usize;

/// One write of a client.
#[derive(Debug, Clone)]
pub(crate) struct ClientWrite {
    pub(crate) node: NodeId,
    pub(crate) write: Write,
    pub(crate) level: AckLevel,
    /// The answer to the client; `None` while it waits, and where no answer ever came.
    pub(crate) outcome: Option<Result<Written, WriteRefusal>>,
    /// The incarnations that the node counted as holding the write when it answered, its own included.
    pub(crate) counted: BTreeSet<Incarnation>,
}

impl ClientWrite {
    /// The written version, once the client knows it.
    pub(crate) fn written(&self) -> Option<Written> {
        self.outcome.clone()?.ok()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.write.identity
    }

    /// The write in words.
    pub(crate) fn words(&self) -> String {
        let what = match &self.write.change {
            Change::Put { token, .. } | Change::Bring { token, .. } => format!("put {token}"),
            Change::Delete => "delete".to_owned(),
            Change::Adopt { token } => format!("adopt {token}"),
        };
        let version = self.written().map(|written| written.version.to_string());
        format!(
            "{what} of {} at node {} ({:?}) as {}",
            self.identity().key.as_str(),
            self.node,
            self.level,
            version.unwrap_or_else(|| "unknown".to_owned())
        )
    }
}

/// How a version came into being.
#[derive(Debug, Clone, Copy)]
struct Birth {
    seq: Seq,
    replaced: Option<Version>,
}

/// Everything that matters for the promises.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) writes: Vec<ClientWrite>,
    /// Incarnations whose promises count no more, and why.
    pub(crate) void: BTreeMap<Incarnation, &'static str>,
    /// How far one incarnation acknowledged the feed of another: (whose feed, which holder).
    acknowledged: BTreeMap<(Incarnation, Incarnation), Seq>,
    /// Rows that were repaired after digests had differed, and rows that were not because one member alone had them.
    pub(crate) repaired: usize,
    pub(crate) held_by_one_only: usize,
    /// Databases that went back, and perhaps do not know it: their own promises of after that count no more than those of before.
    pub(crate) went_back: BTreeSet<Incarnation>,
    births: BTreeMap<(Version, Identity), Birth>,
    /// Stamps of databases before they went back.
    used_before: BTreeSet<(Version, Identity)>,
    /// The latest version of each entry that a database ever held.
    held: BTreeMap<(Incarnation, Identity), Version>,
    /// Databases that had joined while a member that did not know of them purged.
    pub(crate) unheard_of: BTreeSet<Incarnation>,
    /// Federated: entries whose values were lost with a disk or a rollback, and the incarnations that wrote those.
    pub(crate) lost_values: BTreeSet<(Identity, Incarnation)>,
    /// Federated: values that a database gave up, because a later version took their place there, or lost with its disk.
    given_up: BTreeSet<(Identity, String, Incarnation)>,
    /// The latest tombstone of each entry that a database purged.
    purged: BTreeMap<Identity, BTreeMap<Incarnation, Version>>,
}

impl History {
    /// Records the effects of a durable transaction. Gives the broken rule, if any.
    pub(crate) fn committed(
        &mut self,
        contents: &Contents,
        traces: Vec<Trace>,
    ) -> Result<(), String> {
        let me = contents.incarnation;
        for trace in traces {
            match trace {
                Trace::Put {
                    identity,
                    seq,
                    replaced,
                    version,
                    deleted,
                } => {
                    if version.incarnation == me {
                        self.births
                            .entry((version, identity.clone()))
                            .or_insert(Birth { seq, replaced });
                    }
                    let key = (me, identity);
                    // A tombstone that this database purged may arrive once more from another; a damaged row is repaired by its
                    // own version.
                    let again = deleted || replaced == Some(version);
                    if let Some(held) = self.held.get(&key)
                        && (*held > version || (*held == version && !again))
                        && !self.purged_before_it_knew_of_others(me, &key.1, version)
                    {
                        return Err(format!(
                            "the database {me} went back in {}: it held {held} and took {version}",
                            key.1.key.as_str()
                        ));
                    }
                    self.held.insert(key, version);
                }
                Trace::Purged(identity, version) => {
                    let by = self.purged.entry(identity).or_default();
                    let purged = by.entry(me).or_insert(version);
                    *purged = (*purged).max(version);
                }
                Trace::TakenBack { held, token, stood } => {
                    values::may_be_taken_back(held, &token, stood.as_ref())?;
                }
                Trace::ValueDropped {
                    identity,
                    held,
                    token,
                } => {
                    values::may_be_dropped(contents, &identity, held)?;
                    self.given_up.insert((identity, token, me));
                }
                Trace::ValueReplaced { identity, token } => {
                    self.given_up.insert((identity, token, me));
                }
                Trace::TakenOver => {
                    self.forget(contents);
                    let origin = contents
                        .membership
                        .as_ref()
                        .and_then(|membership| membership.origin);
                    if origin.is_some_and(|origin| self.void.contains_key(&origin.source)) {
                        // A source that does not know of its own removal yet.
                        self.void(me, "its snapshot came from one that does not count");
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a database purged a version although others still have it: it went back to before it knew of them, so it did not
    /// wait for them.
    fn purged_before_it_knew_of_others(
        &self,
        me: Incarnation,
        identity: &Identity,
        version: Version,
    ) -> bool {
        self.went_back.contains(&me) && self.was_purged(identity, version, |by| *by == me)
    }

    /// A database was exchanged: its earlier content says nothing of its present one.
    pub(crate) fn forget(&mut self, contents: &Contents) {
        let me = contents.incarnation;
        self.held.retain(|(whose, _), _| *whose != me);
        // A database that went back may use a stamp again.
        let used = self
            .births
            .extract_if(.., |(version, _), _| version.incarnation == me);
        self.used_before.extend(used.map(|(stamp, _)| stamp));
        for (identity, row) in &contents.rows {
            self.held.insert((me, identity.clone()), row.row.version);
        }
    }

    /// Nobody may rely on an incarnation any more.
    pub(crate) fn void(&mut self, incarnation: Incarnation, why: &'static str) {
        self.void.entry(incarnation).or_insert(why);
    }

    /// A node heard how far another one holds its feed.
    pub(crate) fn heard(&mut self, whose: Incarnation, holder: Incarnation, up_to: Seq) {
        let known = self.acknowledged.entry((whose, holder)).or_default();
        *known = (*known).max(up_to);
    }

    /// A client gets the answer that its write stands; gives the broken rule, if any.
    pub(crate) fn answered(
        &mut self,
        id: WriteId,
        written: Written,
        databases: &[&Contents],
    ) -> Result<(), String> {
        let Some(birth) = self
            .births
            .get(&(written.version, self.writes[id].identity().clone()))
            .copied()
        else {
            return Err(format!("{} was never durable", written.version));
        };
        let origin = written.version.incarnation;
        let identity = self.writes[id].identity();
        let mut counted: BTreeSet<_> = self
            .acknowledged
            .iter()
            .filter(|((whose, _), up_to)| *whose == origin && **up_to >= birth.seq)
            .map(|((_, holder), _)| *holder)
            .filter(|holder| {
                let holds = |contents: &&&Contents| {
                    contents.incarnation == *holder
                        && self.covers(contents, identity, written.version)
                };
                self.void.contains_key(holder) || databases.iter().find(holds).is_some()
            })
            .collect();
        counted.insert(origin);
        let write = &mut self.writes[id];
        write.outcome = Some(Ok(written));
        // Where a database went back, others hold other changes under the same numbers.
        if written.held_by > counted.len() && !self.went_back.contains(&origin) {
            let said_so: Vec<_> = self
                .acknowledged
                .iter()
                .filter(|((whose, _), up_to)| *whose == origin && **up_to >= birth.seq)
                .map(|((_, holder), _)| holder.to_string())
                .collect();
            return Err(format!(
                "{} counts {} holders, but of those who said so ({}) only {} hold it",
                write.words(),
                written.held_by,
                said_so.join(", "),
                counted.len()
            ));
        }
        write.counted = counted;
        let seen_is_so = match write.write.seen {
            Expected::Nothing => birth.replaced.is_none(),
            Expected::NothingLive => true,
            Expected::Version(seen) | Expected::Lost(seen) => birth.replaced == Some(seen),
        };
        if !seen_is_so {
            return Err(format!(
                "{} replaced {:?}, which its client had not seen: {:?}",
                write.words(),
                birth.replaced,
                write.write.seen
            ));
        }
        let beaten = [
            birth.replaced.map(|replaced| replaced.clock),
            write.write.named,
        ];
        if beaten.into_iter().flatten().max() >= Some(written.version.clock) {
            return Err(format!(
                "{} does not beat what it replaced or named",
                write.words()
            ));
        }
        Ok(())
    }

    /// Writes by which some incarnation still stands.
    pub(crate) fn promised(&self) -> impl Iterator<Item = (&ClientWrite, Version)> {
        self.writes.iter().filter_map(|write| {
            let version = write.written()?.version;
            let stands = write.counted.iter().any(|who| !self.void.contains_key(who));
            stands.then_some((write, version))
        })
    }

    /// Federated: whether the owner of a row's value gave it up for a later version, which may be gone with it: its own, or that
    /// of a later life or an heir whose promises count no more.
    pub(crate) fn was_given_up(&self, row: &Row) -> bool {
        let mut used = self.births.keys().chain(&self.used_before);
        let for_its_own = used.any(|(version, identity)| {
            *identity == row.identity
                && version.incarnation == row.version.incarnation
                && *version > row.version
        });
        for_its_own
            || self.given_up.iter().any(|(identity, token, by)| {
                let is_it = |content: &Content| content.is_of(token);
                *identity == row.identity
                    && self.void.contains_key(by)
                    && row.content.as_ref().is_some_and(is_it)
            })
    }

    /// Federated: a value went with the disk that had it.
    pub(crate) fn value_is_gone(&mut self, identity: Identity, token: String, by: Incarnation) {
        self.given_up.insert((identity, token, by));
    }

    /// Federated: a promised write that is later than the one whose value a row has. A node that becomes a value's home node
    /// writes nothing new: its version comes right after the one that it found.
    pub(crate) fn overruled(&self, row: &Row) -> Option<String> {
        let content = row.content.as_ref()?;
        let is_new = |write: &&ClientWrite| !matches!(write.write.change, Change::Adopt { .. });
        let made = self.writes.iter().filter(is_new).find_map(|write| {
            let is_it =
                matches!(&write.write.change, Change::Put { token, .. } if content.is_of(token));
            write.written().filter(|_| is_it)
        })?;
        let owners = i64::try_from(row.clocks.len()).unwrap();
        let latest = Clock::from_raw(made.version.clock.raw() + owners);
        let mut later = self.promised().filter(|(write, _)| is_new(write));
        later
            .find(|(write, version)| *write.identity() == row.identity && version.clock > latest)
            .map(|(write, _)| write.words())
    }

    /// Whether a database holds a write, or a later one of the same entry.
    pub(crate) fn covers(
        &self,
        contents: &Contents,
        identity: &Identity,
        version: Version,
    ) -> bool {
        match contents.version(identity) {
            Some(stored) => stored >= version,
            None => self.was_purged(identity, version, |_| true),
        }
    }

    /// Whether a version was purged, by the databases that `believed` accepts.
    pub(crate) fn was_purged(
        &self,
        identity: &Identity,
        version: Version,
        believed: impl Fn(&Incarnation) -> bool,
    ) -> bool {
        let purges = self.purged.get(identity).into_iter().flatten();
        purges
            .filter(|(by, _)| believed(by))
            .any(|(_, purged)| *purged >= version)
    }

    /// A member has left: the heirs now stand by its acknowledgements, unless its own promises count no more.
    pub(crate) fn inherit(&mut self, left: Incarnation, heirs: &[Incarnation]) {
        if self.void.contains_key(&left) {
            return;
        }
        for write in &mut self.writes {
            if write.counted.contains(&left) {
                write.counted.extend(heirs);
            }
        }
    }
}
