//! Answers of other nodes, read up to a bound: the program at a peer's address may send without end.

use bytes::BytesMut;
use reqwest::Response;
use serde::Deserialize;

use super::error::PeerError;

/// The largest greeting, error, or answer of a node without a proof.
pub(crate) const GREETING_BYTES: usize = 64 << 10;
/// How nodes refuse.
#[derive(Debug, Deserialize)]
struct Refusal {
    detail: String,
}

/// Any message between nodes at most, where their share of the memory allows it: a row at the size limit in base64, and then
/// some.
pub const MESSAGE_BYTES: usize = 64 << 20;
/// How often the content of a message is in memory while it is made or read: as the text, and in its parsed form.
pub(crate) const COPIES: usize = 2;
/// Of an error's text so many characters are shown.
const SHOWN: usize = 200;

/// Reads a whole body of so many bytes at most.
pub(super) async fn read(mut answer: Response, limit: usize) -> Result<BytesMut, PeerError> {
    let announced = answer
        .content_length()
        .and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(PeerError::TooLong { limit });
    }
    // Only a small part of the announced length is reserved: the rest may never come.
    let mut bytes = BytesMut::with_capacity(announced.unwrap_or_default().min(GREETING_BYTES));
    while let Some(chunk) = answer.chunk().await.map_err(PeerError::unreachable)? {
        if bytes.len() + chunk.len() > limit {
            return Err(PeerError::TooLong { limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The beginning of another node's answer for a log line: the text of a refusal, where it is one of ours.
pub(super) fn shown(text: &[u8]) -> String {
    let ours: Option<Refusal> = serde_json::from_slice(text).ok();
    let text = match ours {
        Some(refusal) => refusal.detail.into(),
        None => String::from_utf8_lossy(text),
    };
    let plain = text.chars().filter(|character| !character.is_control());
    plain.take(SHOWN).collect()
}
