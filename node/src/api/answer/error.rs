//! Everything that a request can be refused with, in the words of the original.

mod detail;
mod headers;
mod status;

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

pub(in crate::api) use headers::{LOST, PARTIAL, missing_nodes};

use super::problem::Problem;
use crate::{
    api::{extract::conditional::FailedPrecondition, ports::OtherPort},
    budget::NoRoom,
    cluster::AdminRefusal,
    log::logged_name,
    store::{ReadError, StoreLoss, WriteError},
};

/// A refusal.
#[derive(Debug)]
pub(in crate::api) enum ApiError {
    MissingApiKey,
    InvalidApiKey,
    MissingClusterKey,
    InvalidClusterKey,
    MissingClientCertificate,
    /// A node's certificate, from another machine, on a route for the operator.
    OrderOfNode,
    /// The operator's certificate on a route for nodes.
    MessageOfOperator,
    /// The route is at another port.
    ServedElsewhere(OtherPort),
    /// A challenge goes with it: the caller signs that.
    ProofWanted,
    /// What was signed is not this request.
    UnreadableProof,
    /// The key itself does not count here.
    ProofRequired,
    /// Too much is under way between nodes.
    PeersBusy,
    /// Too many wrong keys from this address.
    TooManyFailures {
        retry_after: Duration,
    },
    /// Lists looked at too many rows for this address.
    TooManyRows {
        retry_after: Duration,
    },
    /// Another list without a limit is being made for this address.
    AnotherList,
    /// The original declares the header once or twice, and its clients may count the items.
    MissingUserKey {
        times: usize,
    },
    ShortUserKey {
        minimum: usize,
    },
    /// The user key does not open what is stored under this name.
    WrongUserKey {
        key: String,
    },
    UnreadableBody,
    /// The value of the entry has too many parts.
    TooManyValues {
        most: usize,
    },
    BodyTooLarge {
        limit: usize,
    },
    /// There is never memory to store the value.
    ValueTooLarge {
        /// Its length as it would be stored, in bytes.
        length: usize,
        most: usize,
    },
    Invalid(Vec<Problem>),
    AlreadyExists {
        key: String,
        environment: Option<String>,
    },
    NotFound {
        key: String,
        environment: Option<String>,
    },
    /// What only these nodes know was asked for, and counts as absent because the caller said so.
    NotFoundHere {
        key: String,
        environment: Option<String>,
        nodes: Vec<String>,
    },
    /// The value is lost with the node that had it.
    Lost {
        key: String,
        environment: Option<String>,
    },
    /// These nodes would have to answer.
    MissingNodes {
        nodes: Vec<String>,
    },
    /// The node that owns the entry did not answer to a change.
    OwnerSilent {
        name: String,
    },
    /// A batch that is all or nothing would change the value of another node.
    OfAnotherNode {
        key: String,
        environment: Option<String>,
        name: String,
    },
    /// A row of a batch that is all or nothing is refused, and so is all of it.
    OfRow {
        row: usize,
        error: Box<ApiError>,
    },
    /// Others change the entry all the time.
    ChangedMeanwhile,
    /// A condition of the request does not hold (`If-Match`, `If-None-Match`).
    PreconditionFailed(FailedPrecondition),
    /// The salt that a node was sent is not the one that it has.
    OtherSalt,
    /// A blank node has none.
    NoSaltYet,
    UnknownRoute,
    TooManyHeaders,
    /// This header with a key is there twice.
    RepeatedKey(&'static str),
    HeadTooLarge,
    /// What the client showed when it connected is not accepted any more.
    CertificateWithdrawn,
    /// So many Host headers.
    Host(&'static str),
    MethodNotAllowed,
    /// The body did not arrive in time.
    SlowBody,
    /// Too many new user keys at once.
    Busy,
    /// Too many lists at once, or their readers are slow.
    ListsBusy,
    /// Too many large values are being opened or sealed.
    ValuesBusy,
    /// A share of the memory is full.
    NoRoom(NoRoom),
    DiskFull,
    /// This node serves no entries just now.
    NotReady {
        reason: String,
    },
    /// The version that the caller asked for is not here yet.
    Behind,
    /// Something of nodes that replicate was asked of one that keeps nothing.
    NotReplicating,
    /// A level of acknowledgement was asked for where there is none.
    NoAckLevels,
    /// An order that the cluster cannot follow.
    Refused(AdminRefusal),
    /// The store takes no writes now.
    NotWritten(WriteError),
    /// The store does not know whether the write was made.
    OutcomeUnknown,
    /// The database of the store does not answer.
    DatabaseAway(ReadError),
    /// The database is not this store any more.
    StoreLost(StoreLoss),
    /// What the caller's key opened is no JSON. Only the caller learns which entry it is, and the caller knows its name.
    Unreadable {
        key: String,
        environment: Option<String>,
        reason: String,
    },
    /// The fault is ours; the cause goes to the log only.
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

/// What the log gets to know about an answer that hides its cause.
#[derive(Debug, Clone)]
pub(in crate::api) struct Failure {
    pub(in crate::api) error_id: String,
    pub(in crate::api) cause: Arc<str>,
}

/// What the security log gets to know: which key was not accepted, and why. Never the key.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct AuthRefusal {
    pub(in crate::api) key: &'static str,
    pub(in crate::api) reason: &'static str,
}

/// What a store did not answer. One that reads may still not write; one that writes also reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::api) enum Unanswered {
    Read,
    Write,
}

impl ApiError {
    /// Whether the fault is none of the request's: this node could not do it.
    pub(in crate::api) fn is_not_carried_out(&self) -> bool {
        matches!(
            self.status(),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE
        )
    }

    /// What the store did not answer, so that another call would wait as long for the same; `None` where the refusal is
    /// another one.
    pub(in crate::api) fn unanswered(&self) -> Option<Unanswered> {
        match self {
            Self::DatabaseAway(_) => Some(Unanswered::Read),
            Self::StoreLost(_) | Self::NotWritten(WriteError::Away(_)) | Self::OutcomeUnknown => {
                Some(Unanswered::Write)
            }
            _ => None,
        }
    }

    /// What the security log gets to know of it; `None` where no key was refused.
    pub(in crate::api) fn auth_refusal(&self) -> Option<AuthRefusal> {
        let (key, reason) = match self {
            Self::MissingApiKey => ("api_key", "missing"),
            Self::InvalidApiKey => ("api_key", "wrong"),
            Self::MissingClusterKey => ("cluster_key", "missing"),
            Self::InvalidClusterKey => ("cluster_key", "wrong"),
            Self::MissingClientCertificate => ("client_certificate", "missing"),
            Self::CertificateWithdrawn => ("client_certificate", "not accepted any more"),
            Self::OrderOfNode => ("client_certificate", "of a node, not of the operator"),
            Self::MessageOfOperator => ("client_certificate", "of the operator, not of a node"),
            Self::UnreadableProof => ("proof", "of another request"),
            Self::ProofRequired => ("proof", "missing"),
            Self::ShortUserKey { .. } => ("user_key", "too short"),
            Self::WrongUserKey { .. } => ("user_key", "wrong"),
            Self::TooManyFailures { .. } => ("any", "too many failures before"),
            Self::OfRow { error, .. } => return error.auth_refusal(),
            _ => return None,
        };
        Some(AuthRefusal { key, reason })
    }

    /// The body of the answer.
    pub(in crate::api) fn body(&self, error_id: Option<&str>) -> Value {
        let mut body = json!({ "detail": self.detail() });
        if let (Self::OfRow { row, .. }, Some(members)) = (self, body.as_object_mut()) {
            members.insert("row".into(), (*row).into());
        }
        if let (Some(error_id), Some(members)) = (error_id, body.as_object_mut()) {
            members.insert("error_id".into(), error_id.into());
        }
        body
    }

    /// What only the log may say; `None` where the answer says it all.
    pub(in crate::api) fn cause(&self) -> Option<String> {
        match self {
            Self::Internal(error) => {
                let sources = std::iter::successors(error.source(), |error| error.source());
                Some(sources.fold(error.to_string(), |text, source| {
                    format!("{text}: {source}")
                }))
            }
            Self::OfRow { error, .. } => error.cause(),
            Self::Unreadable { key, reason, .. } => {
                let key = logged_name(key);
                Some(format!("the plaintext of '{key}' is no JSON: {reason}"))
            }
            Self::NotWritten(error) => Some(error.to_string()),
            Self::StoreLost(loss) => Some(loss.to_string()),
            Self::DatabaseAway(error) => Some(match std::error::Error::source(error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            }),
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let auth_refusal = self.auth_refusal();
        let failure = self.cause().map(|cause| Failure {
            error_id: format!("{:016x}", rand::random::<u64>()),
            cause: cause.into(),
        });
        let body = self.body(failure.as_ref().map(|failure| failure.error_id.as_str()));
        let mut response = (self.status(), Json(body)).into_response();
        response.headers_mut().extend(self.headers());
        let retry_after = self.retry_after();
        if let Some(seconds) = retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(refusal) = auth_refusal {
            response.extensions_mut().insert(refusal);
        }
        if let Some(failure) = failure {
            response.extensions_mut().insert(failure);
        }
        response
    }
}
