//! Federated: entries whose values are with other nodes. Each request asks one node at most once or twice, and only the
//! owner of the entry; what it sends is opened here, so that user keys stay here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    NodeState,
    answer::{error::ApiError, problem::Problem},
    extract::{entry_path::not_found, query::Query, write_terms::WriteTerms},
};
use crate::{
    cluster::{
        AckLevel, Address, Change, FoundValue, Holder, MemberName, NewValue, OwnersWrite, Place,
        Question, Seen, ValueAnswer, ValueRefusal, ValueRequest, WireIdentity, Write, Written,
    },
    domain::{Content, Identity, Row, Version},
    peers::PeerClient,
    store::WriteError,
};

/// How long an owner may take to give values.
const FETCH: Duration = Duration::from_secs(2);
/// How long a list waits for one owner.
const FETCH_MANY: Duration = Duration::from_secs(5);
/// How long an owner may take to write, beside its wait for acknowledgements.
const WRITE: Duration = Duration::from_secs(3);
/// How long a node waits until its directory holds what the others had at the time of the request.
const CATCH_UP: Duration = Duration::from_millis(500);
/// How often an entry is looked at again that changes its version or its owner meanwhile.
const ATTEMPTS: usize = 3;
/// How often a change is tried over an entry that others change too.
const COMMITS: usize = 5;

/// What a node of a federated cluster needs towards the others.
#[derive(Debug, Clone)]
pub struct Federation {
    /// Speaks to them.
    pub peers: Arc<PeerClient>,
    /// This node's name.
    pub name: MemberName,
}

/// What a request settles for where nodes do not answer (`?partial=allow`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Partial {
    /// Nothing less than the truth.
    Deny,
    /// What cannot be found counts as absent.
    Allow,
}

impl Partial {
    pub(super) fn of(query: &Query) -> Result<Self, ApiError> {
        match query.get("partial") {
            None | Some("deny") => Ok(Self::Deny),
            Some("allow") => Ok(Self::Allow),
            Some(_) => Err(ApiError::Invalid(vec![Problem::no_choice(
                &["query", "partial"],
                "'allow' or 'deny'",
            )])),
        }
    }

    /// The refusal of an entry about which only these nodes know.
    fn missing(self, identity: &Identity, nodes: Vec<String>) -> ApiError {
        match self {
            Self::Deny => ApiError::MissingNodes { nodes },
            Self::Allow => ApiError::NotFoundHere {
                key: identity.key.as_str().to_owned(),
                environment: identity.environment.name().map(str::to_owned),
                nodes,
            },
        }
    }
}

/// Counts how often a change was tried over an entry that others change too.
#[derive(Debug, Default)]
pub(super) struct Attempts(usize);

impl Attempts {
    /// One more; refused when it is enough. Where every try goes through another node, others may win for ever.
    pub(super) fn again(&mut self, node: &NodeState) -> Result<(), ApiError> {
        self.0 += 1;
        if node.federation.is_some() && self.0 >= COMMITS {
            return Err(ApiError::ChangedMeanwhile);
        }
        Ok(())
    }
}

/// What is known of an entry.
#[derive(Debug)]
pub(super) enum Found {
    /// A row with its value, a tombstone, or nothing that this node knows of.
    Row(Option<Arc<Row>>),
    /// A live row whose value is lost with the node that had it.
    Lost(Version),
}

impl Found {
    /// The live row.
    pub(super) fn live(&self) -> Option<&Arc<Row>> {
        match self {
            Self::Row(Some(row)) if !row.is_tombstone() => Some(row),
            Self::Row(_) | Self::Lost(_) => None,
        }
    }
}

/// The row of an entry with its value, wherever that is.
pub(super) async fn find(
    node: &NodeState,
    identity: &Identity,
    partial: Partial,
) -> Result<Found, ApiError> {
    let mut silent = Vec::new();
    for _ in 0..ATTEMPTS {
        let row = node.store.find(identity).await?;
        let Some(known) = row.as_deref().filter(|row| is_elsewhere(row)) else {
            return Ok(Found::Row(row));
        };
        let place = match node.store.view().holder(known.version.incarnation) {
            Holder::At(place) => place,
            // Perhaps it was written between the reading of the row and of the value.
            Holder::Here => continue,
            Holder::Gone => return Ok(Found::Lost(known.version)),
            Holder::Silent { name } => return Err(partial.missing(identity, vec![name])),
            Holder::Unclear { names } => return Err(partial.missing(identity, names)),
        };
        silent = vec![place.name.clone()];
        let Some(found) = node.ask_for(&place, identity).await? else {
            break;
        };
        if found.version < known.version {
            // It went back behind what it had told, and will find out.
            break;
        }
        if found.is_tombstone() {
            // What is written next must come after it.
            node.catch_up(identity, found.version).await?;
            return Ok(Found::Row(Some(Arc::new(found))));
        }
        if !is_elsewhere(&found) {
            return Ok(Found::Row(Some(Arc::new(found))));
        }
        if found.version == known.version {
            // The owner itself has lost it.
            return Ok(Found::Lost(found.version));
        }
        node.catch_up(identity, found.version).await?;
    }
    match node.store.find(identity).await? {
        // The only copy should be here.
        Some(row) if silent.is_empty() && is_elsewhere(&row) => Ok(Found::Lost(row.version)),
        row if silent.is_empty() => Ok(Found::Row(row)),
        _ => Err(partial.missing(identity, silent)),
    }
}

/// The live row of an entry with its value.
pub(super) async fn find_live(
    node: &NodeState,
    identity: &Identity,
    partial: Partial,
) -> Result<Arc<Row>, ApiError> {
    for _ in 0..2 {
        match find(node, identity, partial).await? {
            Found::Row(Some(row)) if !row.is_tombstone() => return Ok(row),
            Found::Lost(_) => return Err(lost(identity)),
            // A deleted one may have been created anew elsewhere.
            Found::Row(_) => {}
        }
        if !node.make_current(identity, partial).await? {
            break;
        }
    }
    Err(not_found(identity))
}

/// The refusal of an entry whose value is lost.
pub(super) fn lost(identity: &Identity) -> ApiError {
    ApiError::Lost {
        key: identity.key.as_str().to_owned(),
        environment: identity.environment.name().map(str::to_owned),
    }
}

/// Refuses a name that is taken; tells what may be created over where it is not.
pub(super) async fn free_name(node: &NodeState, identity: &Identity) -> Result<Seen, ApiError> {
    let row = node.store.find(identity).await?;
    let Some(row) = row.filter(|row| !row.is_tombstone()) else {
        return Ok(Seen::NothingLive);
    };
    if node.federation.is_some() && is_elsewhere(&row) {
        match node.store.view().holder(row.version.incarnation) {
            // Where it was written between the reading of the row and of the value, the commit finds another version.
            Holder::Here | Holder::Gone => return Ok(Seen::Lost(row.version)),
            Holder::Unclear { names } => return Err(ApiError::MissingNodes { nodes: names }),
            // A disk that lost a value does not lock its name. Where the owner does not tell, the directory's word stands.
            Holder::At(_) => {
                if let Ok(Found::Lost(version)) = find(node, identity, Partial::Deny).await {
                    return Ok(Seen::Lost(version));
                }
            }
            Holder::Silent { .. } => {}
        }
    }
    Err(ApiError::AlreadyExists {
        key: identity.key.as_str().to_owned(),
        environment: identity.environment.name().map(str::to_owned),
    })
}

/// Whether the node that writes over a live row keeps the seal of the new value.
pub(super) fn keeps_seals(node: &NodeState, live: Option<&Row>) -> bool {
    let (Some(row), Some(_)) = (live, &node.federation) else {
        return true;
    };
    match node.store.view().holder(row.version.incarnation) {
        Holder::At(place) => place.keeps_seals,
        Holder::Here | Holder::Silent { .. } | Holder::Gone | Holder::Unclear { .. } => true,
    }
}

/// Puts a value in the place of the row that was seen, or deletes it, at the node that owns it; `None` when the row changed
/// meanwhile and must be checked again.
pub(super) async fn commit_over(
    node: &NodeState,
    row: &Row,
    put: Option<NewValue>,
    terms: WriteTerms,
) -> Result<Option<Written>, ApiError> {
    if let Some(federation) = &node.federation
        && !row.is_tombstone()
    {
        match node.store.view().holder(row.version.incarnation) {
            // Whoever would lose the seal gets a value that needs none.
            Holder::At(place)
                if !place.keeps_seals && put.as_ref().is_some_and(|put| put.seal.is_some()) =>
            {
                return Ok(None);
            }
            Holder::At(place) => {
                return federation.write(node, &place, row, put, terms).await;
            }
            Holder::Silent { name } => return Err(ApiError::MissingNodes { nodes: vec![name] }),
            // A value of an earlier life is here.
            Holder::Here | Holder::Gone | Holder::Unclear { .. } => {}
        }
    }
    commit(node, &row.identity, Seen::of(Some(row)), put.into(), terms).await
}

/// Commits a change here; `None` when what was seen changed meanwhile and must be checked again.
pub(super) async fn commit(
    node: &NodeState,
    identity: &Identity,
    seen: Seen,
    change: Change,
    WriteTerms { level, named }: WriteTerms,
) -> Result<Option<Written>, ApiError> {
    let write = Write {
        identity: identity.clone(),
        seen,
        named,
        change,
    };
    match node.store.write(write, level).await {
        Ok(written) => Ok(Some(written)),
        Err(WriteError::Changed) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a row's value is not here.
pub(super) fn is_elsewhere(row: &Row) -> bool {
    matches!(row.content, Some(Content::Fingerprint(_)))
}

impl NodeState {
    /// Asks a node for an entry; `None` when it does not answer, or does not know it.
    async fn ask_for(&self, place: &Place, identity: &Identity) -> Result<Option<Row>, ApiError> {
        let Some(federation) = &self.federation else {
            return Ok(None);
        };
        let question = Question::Fetch(vec![WireIdentity::from(identity)]);
        let answer = federation.ask(self, &place.address, question, FETCH).await;
        match answer {
            Some(ValueAnswer::Found(found)) => found
                .into_iter()
                .next()
                .flatten()
                .map(FoundValue::into_row)
                .transpose()
                .map_err(|error| ApiError::Internal(error.into())),
            _ => Ok(None),
        }
    }

    /// Waits a little until this node's directory has a version that another node told of.
    async fn catch_up(&self, identity: &Identity, version: Version) -> Result<(), ApiError> {
        let waited = tokio::time::timeout(CATCH_UP, self.store.wait_for(identity, version)).await;
        // Where it is still behind, the next look tells.
        waited.map_or(Ok(()), |waited| Ok(waited?))
    }

    /// Makes sure that an entry which this node does not know does not exist; tells whether it had to wait for that, so
    /// that it must be looked for again.
    async fn make_current(&self, identity: &Identity, partial: Partial) -> Result<bool, ApiError> {
        if self.federation.is_none() {
            return Ok(false);
        }
        let missing = self.missing_from_directory().await;
        match missing {
            Directory::Current => Ok(false),
            Directory::CaughtUp => Ok(true),
            Directory::Lacks(nodes) => Err(partial.missing(identity, nodes)),
        }
    }

    /// Waits until this node's directory holds what the others had just now.
    pub(super) async fn missing_from_directory(&self) -> Directory {
        let mut view = self.store.watch_view();
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
pub(super) enum Directory {
    /// It does.
    Current,
    /// It does now.
    CaughtUp,
    /// It may lack entries of these nodes.
    Lacks(Vec<String>),
}

impl Directory {
    /// The nodes whose entries may be missing.
    pub(super) fn lacking(self) -> Vec<String> {
        match self {
            Self::Lacks(nodes) => nodes,
            Self::Current | Self::CaughtUp => Vec::new(),
        }
    }
}

impl Federation {
    /// Asks a node; `None` when it does not answer.
    async fn ask(
        &self,
        node: &NodeState,
        to: &Address,
        question: Question,
        patience: Duration,
    ) -> Option<ValueAnswer> {
        let request = ValueRequest {
            name: self.name.clone(),
            founding: node.store.view().founding?,
            patience_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
            question,
        };
        let answer = self.peers.ask(to, &request).await;
        node.metrics.cluster.asked_owner(answer.is_ok());
        answer
            .inspect_err(
                |error| tracing::warn!(peer = to.as_str(), error = %error, "home_node_unreachable"),
            )
            .ok()
    }

    /// Asks one owner for many entries; gives those that it had. Where it stops answering, the rest is missing.
    pub(super) async fn fetch(
        &self,
        node: &NodeState,
        place: &Place,
        mut wanted: &[Identity],
    ) -> Result<BTreeMap<Identity, Row>, ApiError> {
        let mut rows = BTreeMap::new();
        while !wanted.is_empty() {
            let question = Question::Fetch(wanted.iter().map(WireIdentity::from).collect());
            let answer = self.ask(node, &place.address, question, FETCH_MANY).await;
            let found = match answer {
                Some(ValueAnswer::Found(found)) if !found.is_empty() => found,
                _ => break,
            };
            wanted = wanted.get(found.len()..).unwrap_or_default();
            for found in found.into_iter().flatten() {
                let row = found
                    .into_row()
                    .map_err(|error| ApiError::Internal(error.into()))?;
                rows.insert(row.identity.clone(), row);
            }
        }
        Ok(rows)
    }

    /// Changes an entry at its owner; `None` when it has another version there.
    async fn write(
        &self,
        node: &NodeState,
        place: &Place,
        row: &Row,
        put: Option<NewValue>,
        WriteTerms { level, named }: WriteTerms,
    ) -> Result<Option<Written>, ApiError> {
        let question = Question::Write(OwnersWrite {
            entry: WireIdentity::from(&row.identity),
            over: row.version,
            named,
            level,
            put,
        });
        let patience = WRITE + AckLevel::patience(level);
        let answer = self.ask(node, &place.address, question, patience).await;
        match answer {
            Some(ValueAnswer::Written(written)) => Ok(Some(written)),
            Some(ValueAnswer::Refused(ValueRefusal::Changed)) => Ok(None),
            Some(ValueAnswer::Refused(ValueRefusal::DiskFull)) => Err(ApiError::DiskFull),
            Some(_) => Err(ApiError::MissingNodes {
                nodes: vec![place.name.clone()],
            }),
            None => Err(ApiError::OwnerSilent {
                name: place.name.clone(),
            }),
        }
    }
}
