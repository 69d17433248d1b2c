//! What nodes of one cluster exchange: one route, one message, one answer.

use axum::{
    extract::{Request, State},
    response::Response,
};

use crate::{
    api::{
        Node, NodeState,
        answer::{error::ApiError, exact_json, untaken::AnswerRoom},
        extract::{
            auth::Peer,
            peer_proof::{self, PeerBody},
        },
    },
    budget::{ROOM_WAIT, Reservation},
    cluster::{self, ENTRIES_BYTES, EXCHANGE_PATH, Envelope, WireIdentity},
    config::PeerAddress,
    entries::Replicating,
    peers::{COPIES, GREETING_BYTES},
    replica::Replica,
    store::Measured,
};

/// Where messages go.
pub(in crate::api) const PATH: &str = EXCHANGE_PATH;

/// Entries whose length is measured before an answer: it has no more.
const MEASURED: usize = 512;

/// Takes another node's message. No part of the public document: clients have no business here.
pub(in crate::api) async fn exchange(
    State(node): State<Node>,
    _: Peer,
    request: Request,
) -> Result<Response, ApiError> {
    let Replicating {
        replica, clustered, ..
    } = node.replicating()?;
    if !clustered {
        return Err(ApiError::UnknownRoute);
    }
    let PeerBody { bytes, room: taken } = peer_proof::body(&node, request).await?;
    let mut message: Envelope<cluster::Request> =
        serde_json::from_slice(&bytes).map_err(|_| ApiError::UnreadableBody)?;
    if !message.hello.is_of_a_nodes_length() {
        return Err(ApiError::UnreadableBody);
    }
    if matches!(message.body, cluster::Request::Heartbeat) && bytes.len() > GREETING_BYTES {
        return Err(ApiError::BodyTooLarge {
            limit: GREETING_BYTES,
        });
    }
    // It is dialled: only what is an address and nothing else may get that far.
    let address = message.hello.address.take();
    message.hello.address =
        address.filter(|address| PeerAddress::parse(address.as_str()).is_some());
    let room = room_for_answer(&node, replica, &message.body).await?;
    let answer = replica.request(Box::new(message), taken).await?;
    written(answer, room)
}

/// Takes the room of an answer before anything of it is there; none for a greeting, which is no longer than what it answers.
async fn room_for_answer(
    node: &NodeState,
    replica: &Replica,
    request: &cluster::Request,
) -> Result<Option<Reservation>, ApiError> {
    let first = match request {
        cluster::Request::Heartbeat | cluster::Request::Push { .. } => return Ok(None),
        cluster::Request::Roster(_) | cluster::Request::Digest { .. } => None,
        cluster::Request::Pull { after } => Some(Measured::ChangeAfter(*after)),
        cluster::Request::Snapshot { after, .. } => {
            let after = after.clone().and_then(WireIdentity::into_identity);
            Some(Measured::RowAfter(after))
        }
        cluster::Request::Entries(wanted) => {
            let wanted = wanted.iter().take(MEASURED).cloned();
            let wanted = wanted.filter_map(WireIdentity::into_identity);
            Some(Measured::These(wanted.collect()))
        }
    };
    // One that is longer than an ordinary answer goes alone.
    let first = match first {
        Some(first) => replica.content_bytes(&first).await?,
        None => 0,
    };
    let bytes = COPIES * ENTRIES_BYTES.max(first);
    // The nodes share it, whatever their addresses.
    let room = node.budgets.peers.large.reserve_for_many(bytes, ROOM_WAIT);
    room.await.map(Some).map_err(|_| ApiError::PeersBusy)
}

/// Writes an answer into room of its own length, which it keeps until its taker has it.
fn written(
    answer: Envelope<cluster::Answer>,
    mut room: Option<Reservation>,
) -> Result<Response, ApiError> {
    let length = exact_json::length(&answer)?;
    if let Some(room) = &mut room {
        // A row became longer after it was measured.
        let more = (COPIES * length).saturating_sub(room.bytes());
        if more > 0 && !room.is_whole_share() && !room.grow_now(more) {
            return Err(ApiError::PeersBusy);
        }
    }
    let mut response = exact_json::answer(answer, length)?;
    if let Some(mut room) = room {
        room.shrink_to(length);
        response.extensions_mut().insert(AnswerRoom::new(room));
    }
    Ok(response)
}
