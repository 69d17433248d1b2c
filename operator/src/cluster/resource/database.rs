//! The database that the nodes of a cluster share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretReference;

/// A PostgreSQL database that all nodes use instead of volumes. Its replication, failover and backup are its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseSpec {
    /// Secret with its address, user and password: `uri`, or `host`, `port`, `dbname`, `user` and `password`, as CloudNativePG names them. Its
    /// change replaces the pods, a few at a time.
    pub secret_ref: SecretReference,
    /// Secret with the authorities of the server's certificate. Without it the address must say `sslmode=disable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<AuthoritiesReference>,
    /// Secret, with the same entries, of the role that makes the tables; without it the nodes' own role does. Only the step before a node reads
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration_secret_ref: Option<SecretReference>,
    /// Connections of each node for reading, and as many for writing. The database must have room for both of every node, and of those that
    /// come while pods are replaced.
    #[serde(default = "default_connections")]
    #[schemars(range(min = 2, max = 1000))]
    pub connections: i32,
    /// How many seconds one request may wait for the database, with everything.
    #[serde(default = "default_timeout_seconds")]
    #[schemars(range(min = 1, max = 60))]
    pub timeout_seconds: i32,
}

/// The entry of a Secret that has certificates of authorities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthoritiesReference {
    /// Name of the Secret.
    pub name: String,
    /// Which of its entries: certificates in PEM.
    #[serde(default = "default_authorities_entry")]
    pub key: String,
}

fn default_connections() -> i32 {
    8
}

fn default_timeout_seconds() -> i32 {
    5
}

fn default_authorities_entry() -> String {
    crate::names::AUTHORITIES_ENTRY.to_owned()
}
