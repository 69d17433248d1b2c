//! Where an entry is. In a federated cluster another node may have its value: each request asks only the entry's home node,
//! once or twice. The value is opened here, so that user keys stay on this node.

use std::{sync::Arc, time::Duration};

use super::{Entries, Error, Federation, Session};
use crate::{
    cluster::{Expected, ValueLocation},
    domain::{Content, Identity, Row, Version},
    store::EntryStore,
};

/// How long a node waits until its directory has caught up with the others' state at the time of the request.
const CATCH_UP: Duration = Duration::from_millis(500);
/// How often an entry is read again whose version or owner changes meanwhile.
const ATTEMPTS: usize = 3;

/// How much a request accepts where nodes do not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Partial {
    /// No answer with gaps.
    Deny,
    /// An entry that cannot be found counts as absent.
    Allow,
}

impl Partial {
    /// The refusal of an entry about which only these nodes know.
    fn missing(self, identity: &Identity, nodes: Vec<String>) -> Error {
        match self {
            Self::Deny => Error::MissingNodes { nodes },
            Self::Allow => Error::NotFoundHere {
                identity: identity.clone(),
                nodes,
            },
        }
    }
}

/// The purpose of a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be shown.
    Reading,
    /// To be changed: that there is none is answered only when that is durable.
    Changing,
}

/// The result of a look-up.
#[derive(Debug)]
pub(crate) enum Found {
    /// A row with its value, a tombstone, or none where the node knows of none.
    Row(Option<Arc<Row>>),
    /// A live row whose value is lost with the node that had it.
    Lost(Version),
}

impl Found {
    /// The live row.
    pub(crate) fn live(&self) -> Option<&Arc<Row>> {
        match self {
            Self::Row(Some(row)) if !row.is_tombstone() => Some(row),
            Self::Row(_) | Self::Lost(_) => None,
        }
    }

    /// The version that stands there, tombstones included; `None` where none ever did.
    pub(crate) fn version(&self) -> Option<Version> {
        match self {
            Self::Row(row) => row.as_ref().map(|row| row.version),
            Self::Lost(version) => Some(*version),
        }
    }
}

/// A live row, or its absence.
enum Live {
    Here(Arc<Row>),
    /// A tombstone of this version, or none at all.
    Gone(Option<Version>),
}

impl Session<'_> {
    /// The row of an entry with its value, wherever that is.
    pub(crate) async fn find(&self, identity: &Identity, partial: Partial) -> Result<Found, Error> {
        let mut silent = Vec::new();
        for _ in 0..ATTEMPTS {
            let row = self.store().find(identity).await?;
            let Some(known) = row.as_deref().filter(|row| is_elsewhere(row)) else {
                return Ok(Found::Row(row));
            };
            // Only a directory knows which other node may have the value.
            let Some(federation) = &self.federation else {
                return Ok(Found::Lost(known.version));
            };
            let place = match federation.replica.view().holder(known.version.incarnation) {
                ValueLocation::At(place) => place,
                // Perhaps it was written between the reading of the row and of the value.
                ValueLocation::Here => continue,
                ValueLocation::Gone => return Ok(Found::Lost(known.version)),
                ValueLocation::Silent { name } => return Err(partial.missing(identity, vec![name])),
                ValueLocation::Unclear { names } => return Err(partial.missing(identity, names)),
            };
            silent = vec![place.name.clone()];
            let Some(found) = self.ask_for(&place, identity).await? else {
                break;
            };
            if found.version < known.version {
                // That node went back behind a state that it had reported, and will find out.
                break;
            }
            if found.is_tombstone() {
                // The next write must come after it.
                self.catch_up(identity, found.version).await?;
                return Ok(Found::Row(Some(Arc::new(found))));
            }
            if !is_elsewhere(&found) {
                return Ok(Found::Row(Some(Arc::new(found))));
            }
            if found.version == known.version {
                // The owner itself has lost it.
                return Ok(Found::Lost(found.version));
            }
            self.catch_up(identity, found.version).await?;
        }
        match self.store().find(identity).await? {
            // The only copy should be here.
            Some(row) if silent.is_empty() && is_elsewhere(&row) => Ok(Found::Lost(row.version)),
            row if silent.is_empty() => Ok(Found::Row(row)),
            _ => Err(partial.missing(identity, silent)),
        }
    }

    /// The live row of an entry with its value.
    pub(crate) async fn find_live(
        &self,
        identity: &Identity,
        partial: Partial,
        purpose: Purpose,
    ) -> Result<Arc<Row>, Error> {
        for _ in 0..ATTEMPTS {
            let gone = match self.look_for_live(identity, partial).await? {
                Live::Here(row) => return Ok(row),
                Live::Gone(version) => version,
            };
            if purpose == Purpose::Reading || self.confirm(identity, gone).await? {
                return Err(Error::NotFound(identity.clone()));
            }
        }
        Err(Error::ChangedMeanwhile)
    }

    async fn look_for_live(&self, identity: &Identity, partial: Partial) -> Result<Live, Error> {
        let mut gone = None;
        for _ in 0..2 {
            match self.find(identity, partial).await? {
                Found::Row(Some(row)) if !row.is_tombstone() => return Ok(Live::Here(row)),
                Found::Lost(_) => return Err(Error::Lost(identity.clone())),
                // A deleted entry may have been created again elsewhere.
                Found::Row(row) => gone = row.map(|row| row.version),
            }
            if !self.make_current(identity, partial).await? {
                break;
            }
        }
        Ok(Live::Gone(gone))
    }

    /// Makes sure that the reason for a refused change is as durable as a commit, before the refusal is sent: that an entry has
    /// this version, or with `None` that it never existed. `false` where that has changed, so that the caller can try again.
    pub(crate) async fn confirm(
        &self,
        identity: &Identity,
        version: Option<Version>,
    ) -> Result<bool, Error> {
        Ok(self.store().confirm(identity, version).await?)
    }

    /// Refuses a taken name; for a free one, gives the state that a create may replace.
    pub(crate) async fn free_name(&self, identity: &Identity) -> Result<Expected, Error> {
        for _ in 0..ATTEMPTS {
            let row = self.store().find(identity).await?;
            let Some(row) = row.filter(|row| !row.is_tombstone()) else {
                return Ok(Expected::NothingLive);
            };
            if let Some(lost) = self.lost_elsewhere(&row).await? {
                return Ok(Expected::Lost(lost));
            }
            if self.confirm(identity, Some(row.version)).await? {
                return Err(Error::AlreadyExists(identity.clone()));
            }
        }
        Err(Error::ChangedMeanwhile)
    }

    /// The version of a live row whose value is lost with the node that had it; `None` where it is not lost, or no node reports
    /// it.
    async fn lost_elsewhere(&self, row: &Row) -> Result<Option<Version>, Error> {
        let Some(federation) = self.federation.as_ref().filter(|_| is_elsewhere(row)) else {
            return Ok(None);
        };
        match federation.replica.view().holder(row.version.incarnation) {
            // Where it was written between the reading of the row and of the value, the commit finds another version.
            ValueLocation::Here | ValueLocation::Gone => Ok(Some(row.version)),
            ValueLocation::Unclear { names } => Err(Error::MissingNodes { nodes: names }),
            // A disk that lost a value does not lock its name. Where the owner gives no answer, the directory decides.
            ValueLocation::At(_) => match self.find(&row.identity, Partial::Deny).await {
                Ok(Found::Lost(version)) => Ok(Some(version)),
                _ => Ok(None),
            },
            ValueLocation::Silent { .. } => Ok(None),
        }
    }
}

impl Entries {
    /// Waits a little until this node's directory has a version that another node reported.
    async fn catch_up(&self, identity: &Identity, version: Version) -> Result<(), Error> {
        let waited = tokio::time::timeout(CATCH_UP, self.store.wait_for(identity, version)).await;
        // Where the directory is still behind, the next look-up shows it.
        waited.map_or(Ok(()), |waited| Ok(waited?))
    }

    /// Makes sure that an entry which this node does not know does not exist; returns whether it had to wait for that, so
    /// that it must be looked for again.
    async fn make_current(&self, identity: &Identity, partial: Partial) -> Result<bool, Error> {
        let Some(federation) = &self.federation else {
            return Ok(false);
        };
        match federation.missing_from_directory().await {
            Directory::Current => Ok(false),
            Directory::CaughtUp => Ok(true),
            Directory::Lacks(nodes) => Err(partial.missing(identity, nodes)),
        }
    }

    /// Nodes whose entries this one may lack, although it waited for them.
    pub(crate) async fn nodes_lacking(&self) -> Vec<String> {
        match &self.federation {
            None => Vec::new(),
            Some(federation) => federation.missing_from_directory().await.lacking(),
        }
    }
}

impl Federation {
    /// Waits until this node's directory has caught up with the others' present state.
    async fn missing_from_directory(&self) -> Directory {
        let mut view = self.replica.watch_view();
        let now = Arc::clone(&view.borrow());
        let missing = now.not_heard();
        if !missing.is_empty() {
            return Directory::Lacks(missing);
        }
        let heads = now.heads();
        if now.holds(&heads) {
            return Directory::Current;
        }
        let caught_up = view.wait_for(|view| view.holds(&heads));
        match tokio::time::timeout(CATCH_UP, caught_up).await {
            Ok(Ok(_)) => Directory::CaughtUp,
            _ => Directory::Lacks(now.behind(&heads)),
        }
    }
}

/// Whether this node knows all entries.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Directory {
    /// It does.
    Current,
    /// It does now.
    CaughtUp,
    /// It may lack entries of these nodes.
    Lacks(Vec<String>),
}

impl Directory {
    /// The nodes whose entries may be missing.
    fn lacking(self) -> Vec<String> {
        match self {
            Self::Lacks(nodes) => nodes,
            Self::Current | Self::CaughtUp => Vec::new(),
        }
    }
}

/// Whether a row's value is not here.
pub(super) fn is_elsewhere(row: &Row) -> bool {
    matches!(row.content, Some(Content::Fingerprint(_)))
}
