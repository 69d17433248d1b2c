//! Parameters. Handlers read them themselves; only their description is used here.
#![expect(dead_code, reason = "only the descriptions are used, for the document")]

use utoipa::IntoParams;

/// Who is calling.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::api) struct KeyHeaders {
    /// The passphrase that values are encrypted under; at least `OSC_MIN_USER_KEY_LENGTH` characters.
    #[param(rename = "x-user-key")]
    user_key: String,
    /// Where API keys are required.
    #[param(rename = "x-api-key")]
    api_key: Option<String>,
}

/// Who is calling, where no value is touched.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::api) struct ApiKeyHeader {
    /// Where API keys are required.
    #[param(rename = "x-api-key")]
    api_key: Option<String>,
}

/// Who runs the node.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::api) struct OwnerHeaders {
    /// The cluster key.
    #[param(rename = "x-cluster-key")]
    cluster_key: String,
}

/// Conditional requests. Strict against the node that answers.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::api) struct PreconditionHeaders {
    /// Act only on one of these versions (entity tags), or on any that exists (`*`).
    #[param(rename = "if-match")]
    if_match: Option<String>,
    /// Not on these versions; with `*` a PUT only creates.
    #[param(rename = "if-none-match")]
    if_none_match: Option<String>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::api) struct EntryPath {
    /// The name, percent-encoded (`/` as `%2F`).
    key: String,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct EntryQuery {
    /// The environment; absent or empty is the default one.
    environment: Option<String>,
    /// `full` adds times.
    #[param(pattern = "short|full")]
    mode: Option<String>,
    /// `text` answers the value alone: a string's characters, anything else as JSON text.
    #[param(pattern = "json|text")]
    format: Option<String>,
    /// Federated: `allow` makes a 503 for want of another node a 404.
    #[param(pattern = "allow|deny")]
    partial: Option<String>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct EnvironmentQuery {
    /// The environment; absent or empty is the default one.
    environment: Option<String>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct PurgeQuery {
    /// The environment; absent or empty is the default one.
    environment: Option<String>,
    /// The name instead of that in the path, which cannot hold `.` and `..`.
    #[param(example = "..")]
    key: Option<String>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct DeleteQuery {
    /// The environment; absent or empty is the default one.
    environment: Option<String>,
    /// Federated: `allow` makes a 503 for want of another node a 404.
    #[param(pattern = "allow|deny")]
    partial: Option<String>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct UpdateQuery {
    /// The environment; absent or empty is the default one.
    environment: Option<String>,
    /// Create the configuration where it is absent.
    upsert: Option<bool>,
    /// Federated: `allow` makes a 503 for want of another node a 404.
    #[param(pattern = "allow|deny")]
    partial: Option<String>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct BatchQuery {
    /// Write all rows or none. The first row that is refused is the answer then, with its number in `row`.
    all_or_nothing: Option<bool>,
    /// Federated: `allow` makes a 503 for want of another node a 404.
    #[param(pattern = "allow|deny")]
    partial: Option<String>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ListQuery {
    /// Only this category.
    category: Option<String>,
    /// Only this environment; absent or empty covers all.
    environment: Option<String>,
    /// `full` adds times.
    #[param(pattern = "short|full")]
    mode: Option<String>,
    /// Names without values.
    keys_only: Option<bool>,
    /// Entries of one page at most, counted as returned. A page that looked at many rows has fewer, even none, and a `Link`.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The cursor of a `Link` header.
    after: Option<String>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ConflictQuery {
    /// Versions of one page at most, whether the key opens them or not; a page of large ones is shorter. 100 where it is not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The cursor of a `Link` header.
    after: Option<String>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct StatusQuery {
    /// Add what an operator wants to know.
    details: Option<bool>,
}

/// The cluster admin's key, where it makes an answer longer.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes headers")]
pub(in crate::api) struct OptionalOwnerHeaders {
    /// Shows also what concerns user keys: `osc_key_*` and `osc_auth_throttled_total`.
    #[param(rename = "X-Cluster-Key")]
    cluster_key: Option<String>,
}

/// What is asked of a write.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes headers")]
pub(in crate::api) struct WriteHeaders {
    /// Which nodes must hold the write before it is answered: `local`, `healthy` or `all`.
    #[param(rename = "X-OSC-Ack", example = "all")]
    ack: Option<String>,
    /// A version that the caller knows of: the write comes after it.
    #[param(
        rename = "X-OSC-Version",
        example = "019bc1e8d2a40000-3f1d2c5b7a904e21"
    )]
    version: Option<String>,
}

/// What is asked of a create.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes headers")]
pub(in crate::api) struct CreateHeaders {
    /// Where nodes share a database: names the create, so that it is the same one when it is repeated.
    #[param(rename = "X-OSC-Request-Id", example = "deploy-7")]
    request_id: Option<String>,
}

/// What is asked of a read.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes headers")]
pub(in crate::api) struct VersionHeaders {
    /// Waits until this node has the entry in this version or a later one; 503 when it has not after 500 ms.
    #[param(
        rename = "X-OSC-Min-Version",
        example = "019bc1e8d2a40000-3f1d2c5b7a904e21"
    )]
    min_version: Option<String>,
}

/// Which member is to be removed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query")]
pub(in crate::api) struct UnfenceQuery {
    /// Whether only the entries are listed.
    dry_run: Option<bool>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query")]
pub(in crate::api) struct RemoveQuery {
    /// The member's incarnation.
    #[param(example = "3f1d2c5b7a904e21")]
    incarnation: String,
    /// Whether it is dead and need not have left.
    force: Option<bool>,
    /// The name instead of that in the path, which cannot hold `.` and `..`.
    #[param(example = "..")]
    name: Option<String>,
}
