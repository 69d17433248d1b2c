//! A small Kubernetes: the API server's objects, and the work of its controllers and kubelets.

pub(crate) mod claims;
pub(crate) mod evictions;
pub(crate) mod files;
pub(crate) mod garbage;
#[path = "../../it/api_server/json_patches.rs"]
pub(crate) mod json_patches;
pub(crate) mod kubelet;
pub(crate) mod names;
pub(crate) mod patches;
pub(crate) mod server;
pub(crate) mod store;
pub(crate) mod watches;
pub(crate) mod workloads;
