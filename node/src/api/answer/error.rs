//! Everything that a request can be refused with, in the words of the original.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::problem::Problem;
use crate::{
    api::{extract::conditional::FailedPrecondition, ports::OtherPort},
    budget::NoRoom,
    cluster::AdminRefusal,
    log::logged_name,
    store::{ReadError, StoreLoss, WriteError},
};

/// Says that a value, or so many of a list, are lost with the node that had them.
pub(in crate::api) const LOST: HeaderName = HeaderName::from_static("x-osc-lost");
/// Says that an answer is not the whole truth.
pub(in crate::api) const PARTIAL: HeaderName = HeaderName::from_static("x-osc-partial");
/// Says that a write may have been made.
const OUTCOME: HeaderName = HeaderName::from_static("x-osc-outcome");
const MISSING_NODES: HeaderName = HeaderName::from_static("x-osc-missing-nodes");

const CHANGED_MEANWHILE: &str =
    "The configuration is being changed by others; nothing was written, try again";
const OUTCOME_UNKNOWN: &str =
    "The database did not say in time whether this was written: it may have been";
const BEHIND: &str = "This node does not have the version of X-OSC-Min-Version yet; try again";
const NOT_REPLICATING: &str = "The nodes share a database: none of them is a member of a cluster, sends others changes or has \
     versions that lost";
const NO_ACK_LEVELS: &str =
    "X-OSC-Ack has no meaning here: the nodes share a database, which acknowledges by itself";
const TOO_MANY_ROWS: &str = "Too many rows were listed from this address; try again later";
const ANOTHER_LIST: &str =
    "Another list is being made for this address; try again, or ask for pages (limit)";

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

impl ApiError {
    /// Whether the fault is none of the request's: this node could not do it.
    pub(in crate::api) fn is_not_carried_out(&self) -> bool {
        matches!(
            self.status(),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE
        )
    }

    /// Whether the store did not answer: another call would wait as long for the same.
    pub(in crate::api) fn is_of_silent_store(&self) -> bool {
        matches!(
            self,
            Self::DatabaseAway(_) | Self::StoreLost(_) | Self::NotWritten(_) | Self::OutcomeUnknown
        )
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

    pub(in crate::api) fn status(&self) -> StatusCode {
        match self {
            Self::MissingApiKey
            | Self::InvalidApiKey
            | Self::MissingClusterKey
            | Self::InvalidClusterKey
            | Self::MissingClientCertificate
            | Self::OrderOfNode
            | Self::CertificateWithdrawn
            | Self::MessageOfOperator
            | Self::ProofRequired
            | Self::WrongUserKey { .. } => StatusCode::FORBIDDEN,
            Self::TooManyFailures { .. } | Self::TooManyRows { .. } | Self::AnotherList => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::PreconditionFailed(_) => StatusCode::PRECONDITION_FAILED,
            Self::OfRow { error, .. } => error.status(),
            Self::OtherSalt
            | Self::Refused(_)
            | Self::OfAnotherNode { .. }
            | Self::ChangedMeanwhile => StatusCode::CONFLICT,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::MissingUserKey { .. } | Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::ShortUserKey { .. } | Self::ProofWanted => StatusCode::UNAUTHORIZED,
            Self::UnreadableBody
            | Self::UnreadableProof
            | Self::TooManyValues { .. }
            | Self::AlreadyExists { .. }
            | Self::NoAckLevels
            | Self::RepeatedKey(_)
            | Self::Host(_) => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge { .. } | Self::ValueTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound { .. }
            | Self::NotFoundHere { .. }
            | Self::Lost { .. }
            | Self::UnknownRoute
            | Self::ServedElsewhere(_)
            | Self::NotReplicating
            | Self::NoSaltYet => StatusCode::NOT_FOUND,
            Self::TooManyHeaders | Self::HeadTooLarge => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Busy
            | Self::PeersBusy
            | Self::ListsBusy
            | Self::ValuesBusy
            | Self::NoRoom(_)
            | Self::NotReady { .. }
            | Self::Behind
            | Self::MissingNodes { .. }
            | Self::OwnerSilent { .. }
            | Self::OutcomeUnknown
            | Self::DatabaseAway(_)
            | Self::StoreLost(_)
            | Self::NotWritten(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::Unreadable { .. } | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn detail(&self) -> Value {
        match self {
            Self::MissingApiKey => "API key required but missing. Provide X-API-Key header.".into(),
            Self::InvalidApiKey => "Invalid API key".into(),
            Self::MissingClusterKey => {
                "Cluster key required but missing. Provide X-Cluster-Key header.".into()
            }
            Self::InvalidClusterKey => "Invalid cluster key".into(),
            Self::MissingClientCertificate => "This route demands a TLS client certificate".into(),
            Self::OrderOfNode => "A node's certificate gives orders on its own machine only: run osc-node there".into(),
            Self::MessageOfOperator => "This route is for nodes; the operator's certificate is none of theirs".into(),
            Self::ServedElsewhere(place) => place.to_string().into(),
            Self::ProofWanted => "Sign the request with the challenge in X-OSC-Challenge".into(),
            Self::UnreadableProof => "X-OSC-Proof was not made for this request".into(),
            Self::ProofRequired => "Nodes and programs sign what they ask here (OSC_PEER_PROOF=require); the key itself does not count".into(),
            Self::PeersBusy => "Too much is under way between nodes; try again".into(),
            Self::TooManyFailures { .. } => {
                "Too many wrong keys from this address; try again later".into()
            }
            Self::TooManyRows { .. } => TOO_MANY_ROWS.into(),
            Self::AnotherList => ANOTHER_LIST.into(),
            Self::PreconditionFailed(precondition) => precondition.to_string().into(),
            Self::OtherSalt => "Salt file already exists and differs from received salt".into(),
            Self::NoSaltYet => "This node has no salt yet; it gets it when it joins".into(),
            Self::SlowBody => "The request body did not arrive in time".into(),
            Self::MissingUserKey { times } => {
                json!(vec![Problem::missing(&["header", "x-user-key"]); *times])
            }
            Self::ShortUserKey { minimum } => {
                format!("x-user-key header missing or too short (minimum {minimum} characters)")
                    .into()
            }
            Self::WrongUserKey { key } => {
                format!("X-User-Key does not open configuration '{key}'").into()
            }
            Self::TooManyValues { most } => format!("Value has more than {most} parts").into(),
            Self::UnreadableBody => "There was an error parsing the body".into(),
            Self::BodyTooLarge { limit } => {
                format!("Request body is larger than {limit} bytes").into()
            }
            Self::ValueTooLarge { length, most } => too_large(*length, *most).into(),
            Self::Invalid(problems) => json!(problems),
            Self::AlreadyExists { key, environment } => format!(
                "Configuration with key '{key}' already exists{}",
                in_environment(environment.as_deref())
            )
            .into(),
            Self::NotFound { key, environment }
            | Self::NotFoundHere {
                key, environment, ..
            }
            | Self::Lost { key, environment } => format!(
                "Configuration with key '{key}' not found{}",
                in_environment(environment.as_deref())
            )
            .into(),
            Self::MissingNodes { nodes } => silent(nodes).into(),
            Self::OwnerSilent { name } => format!(
                "Node '{name}', which has the value, did not answer; the change may have been made"
            )
            .into(),
            Self::OfAnotherNode {
                key,
                environment,
                name,
            } => of_another_node(key, environment.as_deref(), name).into(),
            Self::OfRow { error, .. } => error.detail(),
            Self::ChangedMeanwhile => CHANGED_MEANWHILE.into(),
            Self::UnknownRoute => "Not Found".into(),
            Self::TooManyHeaders => "Too many headers".into(),
            Self::RepeatedKey(name) => format!("Header {name} is given more than once").into(),
            Self::CertificateWithdrawn => "The certificate of this connection is not accepted any more; connect again".into(),
            Self::HeadTooLarge => "The headers of this request are too large".into(),
            Self::Host(number) => format!("The request has {number} Host header").into(),
            Self::MethodNotAllowed => "Method Not Allowed".into(),
            Self::Busy => "Too many key derivations are waiting; try again".into(),
            Self::ListsBusy => "Too many lists are being read; try again".into(),
            Self::ValuesBusy => "Too many large values are being worked on; try again".into(),
            Self::NoRoom(NoRoom { share }) => {
                let what = share.replace('_', " ");
                format!("This node has no room for more {what}; try again").into()
            }
            Self::DiskFull => "The disk is full; nothing was written".into(),
            Self::NotReady { reason } => format!("This node is not ready: {reason}").into(),
            Self::Behind => BEHIND.into(),
            Self::NotReplicating => NOT_REPLICATING.into(),
            Self::NoAckLevels => NO_ACK_LEVELS.into(),
            Self::Refused(refusal) => sentence(&refusal.to_string()).into(),
            Self::NotWritten(_) => "This node cannot write now; nothing was written".into(),
            Self::OutcomeUnknown => OUTCOME_UNKNOWN.into(),
            Self::DatabaseAway(_) => "The database does not answer; try again".into(),
            Self::StoreLost(loss) => sentence(&loss.to_string()).into(),
            Self::Unreadable {
                key, environment, ..
            } => format!(
                "The value of configuration '{key}'{} is not readable",
                in_environment(environment.as_deref())
            )
            .into(),
            Self::Internal(_) => "Internal error".into(),
        }
    }

    /// What a program wants to know beside the status.
    pub(in crate::api) fn headers(&self) -> HeaderMap {
        let yes = HeaderValue::from_static("true");
        let mut headers = HeaderMap::new();
        match self {
            Self::OfRow { error, .. } => return error.headers(),
            Self::Lost { .. } => drop(headers.insert(LOST, yes)),
            Self::MissingNodes { nodes } => headers.extend(missing_nodes(nodes)),
            Self::OwnerSilent { name } => headers.extend(missing_nodes([name])),
            Self::OutcomeUnknown => {
                headers.insert(OUTCOME, HeaderValue::from_static("unknown"));
            }
            Self::NotFoundHere { nodes, .. } => {
                headers.insert(PARTIAL, yes);
                headers.extend(missing_nodes(nodes));
            }
            _ => {}
        }
        headers
    }

    /// When it is worth another try, in seconds.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Busy
            | Self::PeersBusy
            | Self::ValuesBusy
            | Self::NoRoom(_)
            | Self::NotReady { .. }
            | Self::Behind
            | Self::MissingNodes { .. }
            | Self::OutcomeUnknown
            | Self::DatabaseAway(_)
            | Self::OwnerSilent { .. } => Some(1),
            Self::ListsBusy | Self::AnotherList | Self::StoreLost(_) | Self::NotWritten(_) => {
                Some(5)
            }
            // Rounded up: who comes back on time must not be turned away again.
            Self::TooManyFailures { retry_after } | Self::TooManyRows { retry_after } => {
                Some(retry_after.as_secs() + 1)
            }
            Self::OfRow { error, .. } => error.retry_after(),
            _ => None,
        }
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

/// The header that names nodes which could not be asked.
pub(in crate::api) fn missing_nodes<'n>(
    names: impl IntoIterator<Item = &'n String>,
) -> Option<(HeaderName, HeaderValue)> {
    let names: Vec<_> = names.into_iter().map(String::as_str).collect();
    // A name with other characters than a header takes is better left out than the header.
    let value = HeaderValue::try_from(names.join(", ")).ok()?;
    Some((MISSING_NODES, value))
}

/// The text with its first letter in upper case.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}", first.unwrap_or_default(), letters.as_str())
}

fn silent(nodes: &[String]) -> String {
    let names: Vec<_> = nodes.iter().map(|name| format!("'{name}'")).collect();
    format!(
        "This can only be answered with {}, which cannot be asked now; try again",
        names.join(", ")
    )
}

fn too_large(length: usize, most: usize) -> String {
    format!(
        "The value is stored as {length} bytes, and this node has memory for {most} at most (OSC_MEMORY_BYTES)"
    )
}

fn of_another_node(key: &str, environment: Option<&str>, name: &str) -> String {
    let place = in_environment(environment);
    format!(
        "The value of configuration '{key}'{place} is at node '{name}', and a batch that is all or nothing changes values of this node \
         alone; nothing was written"
    )
}

fn in_environment(environment: Option<&str>) -> String {
    environment
        .map(|name| format!(" in environment '{name}'"))
        .unwrap_or_default()
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
