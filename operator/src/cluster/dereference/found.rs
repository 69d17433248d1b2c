//! What was found, in words that later steps need.

use crate::cluster::founder_mark::FounderMark;

/// What is there.
#[derive(Debug)]
pub struct Found {
    /// The salt.
    pub salt: SaltSecret,
    /// Who was chosen to found the cluster.
    pub founder: Founder,
    /// Names of this cluster's volume claims.
    pub claims: Vec<String>,
    /// Those of them that have no volume yet.
    pub pending_claims: Vec<PendingClaim>,
    /// The Secret with the clients' key: the operator's, or the one that the resource names.
    pub api_key: Option<KeySecret>,
    /// The Secret with the cluster key.
    pub cluster_key: Option<KeySecret>,
    /// Children by kind and name.
    pub children: Vec<Child>,
    /// Whether this Kubernetes knows ServiceMonitors.
    pub service_monitors_served: bool,
}

impl Found {
    /// Whether this cluster has such a child.
    pub(in crate::cluster) fn has(&self, kind: &str, name: &str) -> bool {
        self.child(kind, name).is_some()
    }

    /// A child of this cluster.
    pub(in crate::cluster) fn child(&self, kind: &str, name: &str) -> Option<&Child> {
        self.children
            .iter()
            .find(|child| child.ours && child.kind == kind && child.name == name)
    }

    /// Whether volumes are there, and the salt that they need is not.
    pub(in crate::cluster) fn is_salt_lost(&self) -> bool {
        self.salt == SaltSecret::Missing && !self.claims.is_empty()
    }

    /// The key that nodes show each other.
    pub(in crate::cluster) fn nodes_key(&self) -> Option<&ApiKey> {
        let secret = self.cluster_key.as_ref().filter(|secret| secret.ours)?;
        secret.key.as_ref()
    }

    /// The key that the operator shows to nodes.
    pub(in crate::cluster) fn operators_key(&self) -> Option<&ApiKey> {
        let secret = self.api_key.as_ref().filter(|secret| secret.ours)?;
        secret.key.as_ref()
    }
}

/// A claim without a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingClaim {
    /// Its name.
    pub name: String,
    /// The storage class that it names; `None` where there was no default one.
    pub class: Option<String>,
}

/// The salt Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaltSecret {
    /// There is none.
    Missing,
    /// It holds a salt with this fingerprint.
    Present {
        /// First 8 bytes of the SHA-256, in hexadecimal.
        fingerprint: String,
    },
    /// It holds something else.
    Malformed,
}

impl SaltSecret {
    /// What may be shown of the salt, where there is one.
    pub(in crate::cluster) fn fingerprint(&self) -> Option<&str> {
        match self {
            Self::Present { fingerprint } => Some(fingerprint),
            Self::Missing | Self::Malformed => None,
        }
    }
}

/// What the salt Secret says of the founding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Founder {
    /// The mark.
    pub mark: FounderMark,
    /// Whether the Secret names nobody who manages it, as one that was restored by hand.
    pub unmanaged: bool,
    /// The Secret's version: the mark is only ever changed from what was read.
    pub resource_version: Option<String>,
}

/// A Secret with a key.
#[derive(Debug, Clone)]
pub struct KeySecret {
    /// Whether this cluster may use it.
    pub ours: bool,
    /// Whether it goes when the resource goes.
    pub owned: bool,
    /// The key; `None` where the entry is missing or empty.
    pub key: Option<ApiKey>,
}

/// An API key. Never printed.
#[derive(Clone)]
pub struct ApiKey(pub Vec<u8>);

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

/// An object that has the name of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its identity, so that nothing but this very object is ever deleted.
    pub uid: Option<String>,
    /// Whether it is this cluster's.
    pub ours: bool,
}
