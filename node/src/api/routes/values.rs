//! Federated: what other nodes ask of the values that this node owns. Answered from what is here, never passed on.

use std::time::Duration;

use axum::{
    Json,
    body::HttpBody,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use futures::future::join_all;

use crate::{
    api::{
        Node, NodeState,
        answer::{
            error::ApiError,
            untaken::{AnswerRoom, Taker},
        },
        extract::{auth::Peer, peer_proof},
    },
    budget::{NoRoom, Reservation, SMALL_ANSWER},
    cluster::{
        AckLevel, Change, FoundValue, HandedOver, OwnersWrite, Question, Seen, VALUES_PATH,
        ValueAnswer, ValueRefusal, ValueRequest, Write,
    },
    domain::Content,
    store::{ReadError, WriteError},
};

/// Where questions go.
pub(in crate::api) const PATH: &str = VALUES_PATH;
/// Bytes of ciphertext in one answer, unless a single value has more.
const ANSWER: usize = 16 << 20;

/// How often a value lies in memory while its answer is made: as what is written, and as the text.
const COPIES: usize = 2;

/// Answers another node. No part of the public document: clients have no business here.
pub(in crate::api) async fn values(
    State(node): State<Node>,
    _: Peer,
    taker: Taker,
    request: Request,
) -> Result<Response, ApiError> {
    if node.federation.is_none() {
        return Err(ApiError::UnknownRoute);
    }
    let body = peer_proof::body(&node, request).await?;
    let request: ValueRequest =
        serde_json::from_slice(&body.bytes).map_err(|_| ApiError::UnreadableBody)?;
    if node.store.view().founding != Some(request.founding) {
        return Ok(Json(ValueAnswer::Refused(ValueRefusal::OtherCluster)).into_response());
    }
    // Nobody reads a later answer.
    let patience = Duration::from_millis(request.patience_ms);
    let mut room = None;
    let answer = answer(&node, &taker, request.question, &mut room);
    let answer = tokio::time::timeout(patience, answer).await;
    let mut response = Json(answer.map_err(|_| ApiError::SlowBody)??).into_response();
    if let Some(mut room) = room {
        let length = response.body().size_hint().upper().unwrap_or(0);
        room.shrink_to(usize::try_from(length).unwrap_or(usize::MAX));
        response.extensions_mut().insert(AnswerRoom::new(room));
    }
    Ok(response)
}

/// Reserves so many bytes for the values of one answer, and tells whether there is room. Waits only for its first room: who
/// waits holds nothing that another one waits for.
async fn has_room(
    node: &NodeState,
    taker: &Taker,
    room: &mut Option<Reservation>,
    bytes: usize,
) -> Result<bool, NoRoom> {
    match room {
        None if bytes <= SMALL_ANSWER => {}
        None => *room = Some(node.answers.reserve_large(taker.address, bytes).await?),
        Some(room) => return Ok(room.grow_now(bytes.saturating_sub(room.bytes()))),
    }
    Ok(true)
}

async fn answer(
    node: &NodeState,
    taker: &Taker,
    question: Question,
    room: &mut Option<Reservation>,
) -> Result<ValueAnswer, ApiError> {
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
                // Who asks asks again for the others.
                let is_enough = match has_room(node, taker, room, size * COPIES).await {
                    Ok(has_room) => size > ANSWER || !has_room,
                    Err(refusal) if found.is_empty() => return Err(refusal.into()),
                    Err(_) => true,
                };
                if is_enough && !found.is_empty() {
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
