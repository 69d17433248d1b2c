//! Federated: what other nodes ask of the values that this node owns. Answered from what is here, never passed on.

use std::time::Duration;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use opensecureconf_contract::status::Sharing;

use crate::{
    api::{
        Node, NodeState,
        answer::{
            error::ApiError,
            exact_json,
            untaken::{AnswerRoom, Taker},
        },
        extract::{auth::Peer, peer_proof},
    },
    budget::{NoRoom, Reservation, SMALL_ANSWER},
    cluster::{FoundValue, Question, VALUES_PATH, ValueAnswer, ValueRefusal, ValueRequest},
    entries::Session,
    peers::COPIES,
};

/// Where questions go.
pub(in crate::api) const PATH: &str = VALUES_PATH;
/// Bytes of ciphertext after which an answer ends: a node that makes a list holds one of each other node.
const ANSWER: usize = 1 << 20;
/// What an entry counts beside its ciphertext, also an unknown one.
const ROW: usize = 512;

/// Answers another node. No part of the public document: clients have no business here.
pub(in crate::api) async fn values(
    State(node): State<Node>,
    _: Peer,
    taker: Taker,
    request: Request,
) -> Result<Response, ApiError> {
    if node.entries.sharing() != Sharing::Federated {
        return Err(ApiError::UnknownRoute);
    }
    let body = peer_proof::body(&node, request).await?;
    let request: ValueRequest =
        serde_json::from_slice(&body.bytes).map_err(|_| ApiError::UnreadableBody)?;
    if !node.entries.is_of(request.cluster_uid) {
        return Ok(Json(ValueAnswer::Refused(ValueRefusal::OtherCluster)).into_response());
    }
    // The asking node does not read a later answer.
    let timeout = Duration::from_millis(request.timeout_ms);
    let mut room = None;
    let session = node.entries.of(request.principal);
    let answer = answer(&node, session, &taker, request.question, &mut room);
    let answer = tokio::time::timeout(timeout, answer).await;
    let answer = answer.map_err(|_| ApiError::SlowBody)??;
    let length = exact_json::length(&answer)?;
    let mut response = exact_json::answer(answer, length)?;
    if let Some(mut room) = room {
        room.shrink_to(length);
        response.extensions_mut().insert(AnswerRoom::new(room));
    }
    Ok(response)
}

/// Reserves so many bytes for the values of one answer, and returns whether there is room. Waits only for its first room: who
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
    session: Session<'_>,
    taker: &Taker,
    question: Question,
    room: &mut Option<Reservation>,
) -> Result<ValueAnswer, ApiError> {
    match question {
        Question::Fetch(entries) => {
            let (mut found, mut size) = (Vec::new(), 0_usize);
            for entry in entries {
                size = size.saturating_add(session.length_here(&entry).await? + ROW);
                // Who asks asks again for the others.
                let is_enough = match has_room(node, taker, room, size * COPIES).await {
                    Ok(has_room) => size > ANSWER || !has_room,
                    Err(refusal) if found.is_empty() => return Err(refusal.into()),
                    Err(_) => true,
                };
                if is_enough && !found.is_empty() {
                    break;
                }
                let row = session.find_here(entry).await?;
                found.push(row.map(|row| FoundValue::new(&row)));
            }
            Ok(ValueAnswer::Found(found))
        }
        Question::Write(write) => Ok(session.change(write).await),
        Question::Adopt(values) => Ok(ValueAnswer::Adopted(session.adopt(values).await)),
    }
}
