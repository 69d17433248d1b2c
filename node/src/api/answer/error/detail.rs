//! The words of each refusal.

use serde_json::{Value, json};

use super::{ApiError, Problem};
use crate::budget::NoRoom;

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

impl ApiError {
    /// The words of `detail`: those of the original, where it has them.
    pub(super) fn detail(&self) -> Value {
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
