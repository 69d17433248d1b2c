//! Shapes of bodies. Requests are read and answers are written elsewhere; only the shapes are used here.
#![expect(dead_code, reason = "only the shapes are used, for the document")]

use serde_json::Value;
use utoipa::ToSchema;

/// A new configuration.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct ConfigCreate {
    /// Its name; any characters.
    #[schema(min_length = 1, max_length = 255, example = "database_prod")]
    key: String,
    /// Any JSON but null; encrypted before it is stored.
    #[schema(value_type = Value, example = json!({"host": "prod-server.com", "port": 5432}))]
    value: Value,
    /// A label for grouping; not encrypted.
    #[schema(max_length = 100, example = "database")]
    category: Option<String>,
    /// The second part of its identity; not encrypted. Absent or empty is the default environment.
    #[schema(max_length = 100, example = "production")]
    environment: Option<String>,
}

/// A new value.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct ConfigUpdate {
    /// Any JSON but null.
    #[schema(value_type = Value, example = json!({"host": "new-server.com", "port": 5432}))]
    value: Value,
    /// Absent or null keeps the stored one.
    #[schema(max_length = 100, example = "database")]
    category: Option<String>,
    /// The environment of the configuration, where the query does not name it.
    #[schema(max_length = 100, example = "production")]
    environment: Option<String>,
}

/// One change of a batch. No two are of one configuration.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct BatchRow {
    /// What to do: `create` as `POST /configs`, `update` as `PUT`, `upsert` as `PUT` with `upsert=true`, `delete` as `DELETE`.
    #[schema(pattern = "^(create|update|upsert|delete)$", example = "upsert")]
    op: String,
    /// The name of the configuration.
    #[schema(min_length = 1, max_length = 255, example = "database_prod")]
    key: String,
    /// Any JSON but null; not for a delete.
    #[schema(value_type = Value, required = false, example = json!({"host": "prod-server.com", "port": 5432}))]
    value: Value,
    /// A label for grouping; not encrypted. Absent or null keeps the stored one.
    #[schema(max_length = 100, example = "database")]
    category: Option<String>,
    /// The environment of the configuration; absent or empty is the default one.
    #[schema(max_length = 100, example = "production")]
    environment: Option<String>,
    /// Act only on this version, or on any that exists (`*`). Not for a create.
    #[schema(example = "019bc1e8d2a40000-3f1d2c5b7a904e21")]
    if_match: Option<String>,
    /// Not on this version; with `*` an update only creates. Not for a create.
    #[schema(example = "*")]
    if_none_match: Option<String>,
}

/// What became of a row of a batch.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct BatchLine {
    /// The number of the row, counted from 0.
    row: u64,
    /// The status that a request of its own would have had.
    #[schema(example = 201)]
    status: u16,
    /// The name, unless the row is not valid.
    #[schema(required = false, example = "database_prod")]
    key: String,
    /// Null for the default environment.
    #[schema(example = "production")]
    environment: Option<String>,
    /// The new version, as `X-OSC-Version` names it; of a delete that of the delete.
    #[schema(required = false, example = "019bc1e8d2a40000-3f1d2c5b7a904e21")]
    version: String,
    /// Of what was created or updated.
    #[schema(format = DateTime, required = false, example = "2026-01-15T10:10:45.000001Z")]
    created_at: String,
    /// Of what was created or updated.
    #[schema(format = DateTime, required = false, example = "2026-01-15T10:10:45.000001Z")]
    updated_at: String,
    /// How many nodes hold it, of how many; in a cluster.
    #[schema(required = false, example = "2/3")]
    acked: String,
    /// Why it was refused.
    #[schema(value_type = Value, required = false, example = "Configuration with key 'database_prod' not found")]
    detail: Value,
    /// Finds the cause in the node's log.
    #[schema(required = false, example = "9f0c2b7d11aa4e35")]
    error_id: String,
    /// What the refusal of a request of its own would have had in its headers, such as `x-osc-missing-nodes`.
    #[schema(value_type = Object, required = false)]
    headers: Value,
}

/// A configuration.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct ConfigResponse {
    /// Informational: made from environment and key.
    #[schema(example = 3_819_502_410_021_257_u64)]
    id: u64,
    /// Its name.
    #[schema(example = "database_prod")]
    key: String,
    /// Its label.
    #[schema(example = "database")]
    category: Option<String>,
    /// Null for the default environment.
    #[schema(example = "production")]
    environment: Option<String>,
    /// Absent with `keys_only=true`.
    #[schema(value_type = Value, example = json!({"host": "prod-server.com", "port": 5432}), required = false)]
    value: Value,
    /// In answers to POST, PUT and `mode=full`.
    #[schema(format = DateTime, required = false, example = "2026-01-15T10:10:45.000001Z")]
    created_at: String,
    /// In answers to POST, PUT and `mode=full`.
    #[schema(format = DateTime, required = false, example = "2026-01-15T10:10:45.000001Z")]
    updated_at: String,
}

/// What was done.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct Message {
    message: String,
}

/// Why a request was refused.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct Refusal {
    #[schema(example = "Configuration with key 'database_prod' not found")]
    detail: String,
    /// Finds the cause in the node's log; in answers of 500 and 503.
    #[schema(required = false, example = "9f0c2b7d11aa4e35")]
    error_id: Option<String>,
}

/// What is wrong with a request.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct HTTPValidationError {
    detail: Vec<ValidationError>,
}

/// One thing that is wrong. The offending input is not repeated.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct ValidationError {
    /// Where: `body`, `header` or `query`, then the name.
    #[schema(value_type = Vec<Value>, example = json!(["body", "value"]))]
    loc: Vec<Value>,
    #[schema(example = "Field required")]
    msg: String,
    #[schema(example = "missing")]
    r#type: String,
    /// Limits and the like.
    #[schema(value_type = Object, required = false)]
    ctx: Option<Value>,
}

/// The service document.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct ServiceDocument {
    #[schema(example = "OpenSecureConf API")]
    service: String,
    /// The release of the original whose contract is kept.
    #[schema(example = "2.1.0")]
    version: String,
    features: Vec<String>,
    api_key_required: bool,
    cluster_enabled: bool,
    #[schema(example = "replica")]
    cluster_mode: Option<String>,
    #[schema(value_type = Object)]
    endpoints: Value,
}

/// What a node knows of its cluster. All but `enabled` are null outside a cluster.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct ClusterStatusResponse {
    enabled: bool,
    #[schema(example = "replica")]
    mode: Option<String>,
    node_id: Option<String>,
    /// The other nodes.
    total_nodes: Option<u64>,
    healthy_nodes: Option<u64>,
    /// With `details=true`.
    #[schema(value_type = Object, required = false)]
    details: Option<Value>,
}

/// The process lives.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct Health {
    #[schema(example = "healthy")]
    status: String,
    /// Whether creates and updates are accepted, and why not.
    #[schema(example = "accepted")]
    writes: String,
}

/// Whether the node should get traffic.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct Readiness {
    ready: bool,
    /// Why not.
    #[schema(required = false, example = json!(["draining"]))]
    reasons: Vec<String>,
    /// The reasons as a sentence, like every other refusal.
    #[schema(required = false, example = "not ready: draining")]
    detail: String,
    /// Nodes of its cluster that do not answer, each with `address` and `error`; has no part in `ready`.
    #[schema(required = false, value_type = Vec<Object>)]
    unreachable_nodes: Vec<Value>,
    /// Whether creates and updates are accepted, and why not; has no part in `ready`.
    #[schema(example = "accepted")]
    writes: String,
}

/// The node compared a salt with its own.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct SaltAnswer {
    #[schema(example = "Salt already present and matches")]
    message: String,
    #[schema(example = "ok")]
    status: String,
}

/// A log level.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct LogLevelBody {
    /// DEBUG, INFO, WARNING or ERROR.
    #[schema(example = "DEBUG")]
    level: String,
}

/// A version that lost against a concurrent write.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct ConflictResponse {
    #[schema(example = "database_prod")]
    key: String,
    environment: Option<String>,
    category: Option<String>,
    #[schema(value_type = Value)]
    value: Value,
    /// The losing version.
    #[schema(example = "019bc1e8d2a40000-3f1d2c5b7a904e21")]
    version: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// Which node is meant.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct BootstrapBody {
    /// The node's incarnation, as `/cluster/status?details=true` shows it.
    #[schema(example = "3f1d2c5b7a904e21")]
    incarnation: String,
}

/// What came of an order.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct MembershipAnswer {
    /// The cluster's uid.
    #[schema(required = false, example = "51b2c8d0e7f94a63")]
    cluster_uid: Option<String>,
    /// joining, member, leaving, left or removed.
    #[schema(required = false, example = "leaving")]
    state: Option<String>,
}

/// Which entries may have been deleted.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct UnfenceAnswer {
    /// What the node is now.
    #[schema(example = "member")]
    state: String,
    /// How many entries may have been deleted elsewhere.
    count: u64,
    /// The first thousand of them.
    entries: Vec<UnfencedEntry>,
}

/// An entry that may have been deleted.
#[derive(Debug, ToSchema)]
pub(in crate::api) struct UnfencedEntry {
    /// Its environment; null for the default one.
    environment: Option<String>,
    /// Its name.
    key: String,
}
