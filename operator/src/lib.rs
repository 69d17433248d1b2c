//! Runs OpenSecureConf clusters: as objects of Kubernetes, or as local processes, from the same resource through the same
//! validation and builders.
//!
//! | module | what it holds |
//! |---|---|
//! | [`names`] | every name, label, port and path |
//! | [`object_names`] | the texts that Kubernetes accepts as names |
//! | [`cluster`] | the kind `OpenSecureConfCluster`: resource, reconcile steps, driver |
//! | [`controller`] | what a controller of any kind needs |
//! | [`node`] | the client for nodes, and their configuration |
//! | [`local`] | a cluster as processes on this machine |
//! | [`manifests`] | the objects that are installed into Kubernetes |
//! | [`pki`] | certificates of nodes: their issue and their renewal |
//! | [`rights`] | the operator's rights, and those that it lacks |
//! | [`duration`] | durations of a command line |
//! | [`random`] | bytes for salts and keys |
//! | [`leader`], [`admin`], [`metrics`], [`api_requests`], [`run`], [`health`] | the running operator |
//! | [`wait`] | waiting until a cluster or the operator is ready |

pub mod admin;
pub mod api_requests;
pub mod certificate;
pub mod cluster;
pub mod cluster_domain;
pub mod controller;
pub mod duration;
mod hangup;
pub mod health;
pub mod leader;
pub mod local;
pub mod manifests;
pub mod metrics;
pub mod names;
pub mod node;
pub mod object_names;
pub mod pki;
pub mod random;
pub mod rights;
pub mod run;
mod service_account;
pub mod service_monitor;
pub mod wait;
