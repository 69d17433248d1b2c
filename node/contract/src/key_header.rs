//! Headers that carry keys, in lower case as libraries want them.

/// The API key of clients.
pub const API_KEY: &str = "x-api-key";
/// The cluster key: of nodes and of the cluster admin.
pub const CLUSTER_KEY: &str = "x-cluster-key";
