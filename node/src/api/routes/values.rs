//! Federated: what other nodes ask of the values that this node owns. Answered from what is here, never passed on.

use std::time::Duration;

use axum::{
    Json,
    extract::{Request, State},
};
use futures::future::join_all;

use crate::{
    api::{Node, NodeState, auth::Peer, error::ApiError, peer_proof},
    cluster::{AckLevel, Change, Seen, Write},
    domain::Content,
    peers::{
        FoundValue, HandedOver, OwnersWrite, Question, VALUES_PATH, ValueAnswer, ValueRefusal,
        ValueRequest,
    },
    store::{ReadError, WriteError},
};

/// Where questions go.
pub(in crate::api) const PATH: &str = VALUES_PATH;
/// Bytes of ciphertext in one answer, unless a single value has more.
const ANSWER: usize = 16 << 20;

/// Answers another node. No part of the public document: clients have no business here.
pub(in crate::api) async fn values(
    State(node): State<Node>,
    _: Peer,
    request: Request,
) -> Result<Json<ValueAnswer>, ApiError> {
    if node.federation.is_none() {
        return Err(ApiError::UnknownRoute);
    }
    let body = peer_proof::body(&node, request).await?;
    let request: ValueRequest =
        serde_json::from_slice(&body.bytes).map_err(|_| ApiError::UnreadableBody)?;
    if node.store.view().founding != Some(request.founding) {
        return Ok(Json(ValueAnswer::Refused(ValueRefusal::OtherCluster)));
    }
    // Nobody reads a later answer.
    let patience = Duration::from_millis(request.patience_ms);
    let answer = tokio::time::timeout(patience, answer(&node, request.question)).await;
    Ok(Json(answer.map_err(|_| ApiError::SlowBody)??))
}

async fn answer(node: &NodeState, question: Question) -> Result<ValueAnswer, ApiError> {
    match question {
        Question::Fetch(entries) => {
            let (mut found, mut size) = (Vec::new(), 0_usize);
            for entry in entries {
                let row = match entry.into_identity() {
                    Some(identity) => match node.store.find(&identity).await {
                        // The others that are asked for do not suffer.
                        Err(ReadError::Damaged { .. }) => None,
                        found => found?,
                    },
                    None => None,
                };
                let content = row.as_deref().and_then(|row| row.content.as_ref());
                size = size.saturating_add(content.map_or(0, |content| content.as_str().len()));
                if size > ANSWER && !found.is_empty() {
                    break;
                }
                found.push(row.map(|row| FoundValue::new(&row)));
            }
            Ok(ValueAnswer::Found(found))
        }
        Question::Write(write) => Ok(change(node, write).await),
        Question::Adopt(values) => {
            let adopted = join_all(values.into_iter().map(|value| adopt(node, value))).await;
            let adopted = adopted.into_iter().filter(|adopted| *adopted).count();
            Ok(ValueAnswer::Adopted(adopted))
        }
    }
}

/// Changes an entry that this node owns in the version that was checked.
async fn change(node: &NodeState, write: OwnersWrite) -> ValueAnswer {
    let OwnersWrite {
        entry,
        over,
        named,
        level,
        put,
    } = write;
    let Some(identity) = entry.into_identity() else {
        return ValueAnswer::Refused(ValueRefusal::Failed);
    };
    let is_owner = match node.store.find(&identity).await {
        Ok(row) => row.is_some_and(|row| matches!(row.content, Some(Content::Token(_)))),
        Err(_) => return ValueAnswer::Refused(ValueRefusal::Failed),
    };
    if !is_owner {
        return ValueAnswer::Refused(ValueRefusal::Changed);
    }
    let write = Write {
        identity,
        seen: Seen::Version(over),
        named,
        change: put.into(),
    };
    match node.store.write(write, level).await {
        Ok(written) => ValueAnswer::Written(written),
        Err(error) => ValueAnswer::Refused(match error {
            WriteError::Changed => ValueRefusal::Changed,
            WriteError::NotServing(reason) => ValueRefusal::NotServing(reason.to_owned()),
            WriteError::DiskFull => ValueRefusal::DiskFull,
            WriteError::Failed(_) | WriteError::Closed => ValueRefusal::Failed,
        }),
    }
}

/// Takes a value over whose owner leaves.
async fn adopt(node: &NodeState, value: HandedOver) -> bool {
    let Some(identity) = value.entry.into_identity() else {
        return false;
    };
    let write = Write {
        identity,
        seen: Seen::Version(value.version),
        named: None,
        change: Change::Adopt { token: value.token },
    };
    node.store.write(write, AckLevel::Local).await.is_ok()
}
