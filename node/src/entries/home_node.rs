//! Questions to the node that has a value.

use std::{sync::Arc, time::Duration};

use super::{Error, Session, WriteTerms};
use crate::{
    cluster::{
        AckLevel, Address, FoundValue, MemberName, NewValue, OwnersWrite, Place, Question,
        ValueAnswer, ValueRefusal, ValueRequest, WireIdentity, Written,
    },
    domain::{Identity, Row},
    peers::PeerClient,
    replica::Replica,
    store::WriteError,
};

/// How long an owner may take to give values.
const FETCH: Duration = Duration::from_secs(2);
/// How long a list waits for one owner.
const FETCH_MANY: Duration = Duration::from_secs(5);
/// How long an owner may take to write, beside its wait for acknowledgements.
const WRITE: Duration = Duration::from_secs(3);

/// The connections of a node of a federated cluster to the others.
#[derive(Debug, Clone)]
pub struct Federation {
    /// Speaks to them.
    pub peers: Arc<PeerClient>,
    /// This node's name.
    pub name: MemberName,
    /// Knows which node has which value, and publishes this node's changes to the cluster.
    pub replica: Replica,
}

impl Session<'_> {
    /// Asks a node for an entry; `None` when it does not answer, or does not know it.
    pub(super) async fn ask_for(
        &self,
        place: &Place,
        identity: &Identity,
    ) -> Result<Option<Row>, Error> {
        let Some(federation) = &self.federation else {
            return Ok(None);
        };
        let question = Question::Fetch(vec![WireIdentity::from(identity)]);
        let answer = self.ask(federation, &place.address, question, FETCH).await;
        match answer {
            Some(ValueAnswer::Found(found)) => found
                .into_iter()
                .next()
                .flatten()
                .map(FoundValue::into_row)
                .transpose()
                .map_err(Error::Damaged),
            _ => Ok(None),
        }
    }

    /// Asks a node; `None` when it does not answer.
    pub(super) async fn ask(
        &self,
        federation: &Federation,
        to: &Address,
        question: Question,
        timeout: Duration,
    ) -> Option<ValueAnswer> {
        let request = ValueRequest {
            name: federation.name.clone(),
            cluster_uid: federation.replica.view().cluster_uid?,
            principal: self.principal,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            question,
        };
        let answer = federation.peers.ask(to, &request).await;
        self.metrics.asked_owner(answer.is_ok());
        answer
            .inspect_err(
                |error| tracing::warn!(peer = to.as_str(), error = %error, "home_node_unreachable"),
            )
            .ok()
    }

    /// Asks one owner for many entries; gives the first of them, as many as it answers at once: each row, or that it has none.
    /// Nothing where it does not answer.
    pub(super) async fn fetch(
        &self,
        federation: &Federation,
        place: &Place,
        wanted: &[Identity],
    ) -> Result<Vec<Option<Row>>, Error> {
        let question = Question::Fetch(wanted.iter().map(WireIdentity::from).collect());
        let answer = self
            .ask(federation, &place.address, question, FETCH_MANY)
            .await;
        let Some(ValueAnswer::Found(found)) = answer else {
            return Ok(Vec::new());
        };
        let rows = found.into_iter().take(wanted.len());
        let rows = rows.map(|found| found.map(FoundValue::into_row).transpose());
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Changes an entry at its owner; `None` when it has another version there.
    pub(super) async fn write_at(
        &self,
        federation: &Federation,
        place: &Place,
        row: &Row,
        put: Option<NewValue>,
        WriteTerms { level, named }: WriteTerms,
    ) -> Result<Option<Written>, Error> {
        let question = Question::Write(OwnersWrite {
            entry: WireIdentity::from(&row.identity),
            over: row.version,
            named,
            level,
            put,
        });
        let timeout = WRITE + AckLevel::timeout(level);
        let answer = self
            .ask(federation, &place.address, question, timeout)
            .await;
        match answer {
            Some(ValueAnswer::Written(written)) => Ok(Some(written)),
            Some(ValueAnswer::Refused(ValueRefusal::Changed)) => Ok(None),
            Some(ValueAnswer::Refused(ValueRefusal::DiskFull)) => Err(WriteError::DiskFull.into()),
            Some(_) => Err(Error::MissingNodes {
                nodes: vec![place.name.clone()],
            }),
            None => Err(Error::HomeNodeSilent {
                name: place.name.clone(),
            }),
        }
    }
}
