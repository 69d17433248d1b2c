//! Why another node gave no answer.

use std::time::Duration;

use reqwest::{Response, StatusCode};

use super::{
    answer::{self, GREETING_BYTES},
    parts::Unread,
    tls_fault,
};
use crate::{budget::NoRoom, tls::PLAIN_HTTP_REFUSED};

/// Why another node gave no answer that counts.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The text is no address.
    #[error("its address is no host:port")]
    NoAddress,
    /// This process has no cluster key to sign with.
    #[error("there is no cluster key to sign with")]
    NoKey,
    /// The message cannot be written.
    #[error("the message cannot be written")]
    Unwritable(#[source] serde_json::Error),
    /// No connection, or one that broke.
    #[error("no answer{}", tls_fault::meaning(.0))]
    Unreachable(#[source] reqwest::Error),
    /// It took longer.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Slow(Duration),
    /// It sent more than any answer may have.
    #[error("its answer is longer than {limit} bytes")]
    TooLong {
        /// The most that is read.
        limit: usize,
    },
    /// It sent more values than this node has memory for.
    #[error("its answer takes more than {limit} bytes of memory (OSC_PEER_MEMORY_BYTES)")]
    TooLarge {
        /// The most that one may take.
        limit: usize,
    },
    /// Too much of other nodes is in memory.
    #[error("this node has no room for its answer now (OSC_PEER_MEMORY_BYTES)")]
    NoRoom(#[source] NoRoom),
    /// The node refused the request.
    #[error("it answered {status}: {text}{}", advice(*.status))]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The beginning of its refusal.
        text: String,
    },
    /// The node handed out no challenge, so the caller has nothing to sign.
    #[error(
        "it is no node of this release, and the cluster key itself is not shown to it; while nodes of an older release are \
         upgraded, OSC_PEER_KEY_IN_CLEAR=true allows that"
    )]
    NoProof(#[source] Box<PeerError>),
    /// It speaks TLS, and this node dials it by plain HTTP.
    #[error("no answer{}", tls_fault::SPEAKS_TLS)]
    SpeaksTls(#[source] Box<PeerError>),
    /// It refused each challenge that it had just handed out.
    #[error("it takes none of the challenges that it hands out")]
    NeverFresh,
    /// The answer is not signed with this cluster's key, or differs from what was signed.
    #[error("its answer is not signed with this cluster's key (OSC_CLUSTER_KEY)")]
    FalseAnswer,
    /// Its answer is proven and makes no sense.
    #[error("its answer cannot be read")]
    Unreadable(#[source] serde_json::Error),
}

impl From<Unread> for PeerError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge { limit } => Self::TooLarge { limit },
            Unread::NoRoom(refusal) => Self::NoRoom(refusal),
        }
    }
}

impl PeerError {
    pub(super) fn unreachable(error: reqwest::Error) -> Self {
        Self::Unreachable(error.without_url())
    }

    pub(super) async fn refused(answer: Response) -> Self {
        let status = answer.status();
        let text = match answer::read(answer, GREETING_BYTES).await {
            Ok(bytes) => answer::shown(&bytes),
            Err(error) => error.to_string(),
        };
        Self::Refused { status, text }
    }

    /// Whether it is a node of this release that refused plain HTTP.
    pub(super) fn is_from_tls_port(&self) -> bool {
        matches!(self, Self::Refused { text, .. } if text.contains(PLAIN_HTTP_REFUSED))
    }

    /// The status of the refusal.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The error with all its causes.
    pub fn chain(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |error| error.source());
        causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"))
    }
}

/// The remedy for a refusal, where its status shows one.
fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::FORBIDDEN => " (the nodes of one cluster have the same OSC_CLUSTER_KEY)",
        status if status.is_redirection() => " (redirects are not followed)",
        _ => "",
    }
}
