//! The Secrets of a cluster: one list for reading, planning, building and creating.

mod build;
mod create;
mod observed;
mod plan;

pub use build::{build_certificate_secret, build_key_secret, build_salt_secret};
pub(in crate::cluster) use create::{create, read_key};
pub use observed::{BootstrapRecord, ObservedSecret, ObservedSecrets};
pub use plan::{Error, NewSecret, SaltPlan, SecretPlan, plan};

use super::{resource::Retention, validate::ValidatedCluster};
use crate::names::{API_KEY_ENTRY, CERTIFICATE_ENTRY, CLUSTER_KEY_ENTRY, ClusterName, SALT_ENTRY};

/// A Secret that the operator makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ManagedSecret {
    /// The salt from which every data key of the cluster is derived.
    Salt,
    /// The key that clients show.
    ApiKey,
    /// The key that nodes show each other.
    ClusterKey,
    /// The authority of the nodes' certificates. Never mounted.
    NodeAuthority,
    /// The nodes' certificate, its key, and the authorities that they accept: in one Secret, so that they change together.
    NodeTls,
}

/// How long a Secret stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// The garbage collector never deletes it.
    Forever,
    /// It goes with the resource.
    Resource,
}

impl ManagedSecret {
    /// All Secrets, in the order of their creation: the salt is the vote between two operators.
    pub const ALL: [Self; 5] = [
        Self::Salt,
        Self::ApiKey,
        Self::ClusterKey,
        Self::NodeAuthority,
        Self::NodeTls,
    ];

    /// Its name in the cluster's namespace.
    pub fn name(self, cluster: &ClusterName) -> String {
        let suffix = match self {
            Self::Salt => "salt",
            Self::ApiKey => "api-key",
            Self::ClusterKey => "cluster-key",
            Self::NodeAuthority => "node-ca",
            Self::NodeTls => "node-tls",
        };
        format!("{cluster}-{suffix}")
    }

    /// The entry that it must have.
    pub fn entry(self) -> &'static str {
        match self {
            Self::Salt => SALT_ENTRY,
            Self::ApiKey => API_KEY_ENTRY,
            Self::ClusterKey => CLUSTER_KEY_ENTRY,
            Self::NodeAuthority | Self::NodeTls => CERTIFICATE_ENTRY,
        }
    }

    /// How long it stays: keys and authority outlive the resource exactly when its volumes do.
    pub fn lifetime(self, cluster: &ValidatedCluster) -> Lifetime {
        match (self, cluster.spec.storage.retention.when_deleted) {
            // The authority issues another certificate where one is needed.
            (Self::NodeTls, _) => Lifetime::Resource,
            (Self::Salt, _) | (_, Retention::Retain) => Lifetime::Forever,
            (Self::ApiKey | Self::ClusterKey | Self::NodeAuthority, Retention::Delete) => {
                Lifetime::Resource
            }
        }
    }

    /// Whether the cluster needs one.
    pub fn is_wanted(self, cluster: &ValidatedCluster) -> bool {
        let api_key = &cluster.spec.api_key;
        match self {
            Self::Salt | Self::ClusterKey | Self::NodeAuthority | Self::NodeTls => true,
            Self::ApiKey => api_key.required && api_key.secret_ref.is_none(),
        }
    }
}
