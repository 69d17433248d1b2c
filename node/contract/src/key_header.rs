//! Headers that carry keys, in lower case as libraries want them.

/// The API key of clients.
pub const API_KEY: &str = "x-api-key";
/// The cluster key: nodes, and whoever runs them.
pub const CLUSTER_KEY: &str = "x-cluster-key";
