//! Which Secrets are to be made. Pure, because a wrong answer here would make every value unreadable.

use super::{
    dereference::{Found, KeySecret, SaltSecret},
    resource::Retention,
    validate::ValidatedCluster,
};
use crate::names::{API_KEY_ENTRY, CLUSTER_KEY_ENTRY, LABEL_INSTANCE, LABEL_MANAGED_BY, OPERATOR};

/// What to do about the Secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPlan {
    /// Make a salt, or use the one that is there.
    pub salt: SaltPlan,
    /// Make an API key.
    pub create_api_key: bool,
    /// Make a cluster key.
    pub create_cluster_key: bool,
}

/// What to do about the salt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaltPlan {
    /// Make one: nothing was ever stored under another.
    Create,
    /// Use the one with this fingerprint.
    Use(String),
}

/// Why nothing can be made before somebody acts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Volumes without their salt.
    #[error(
        "Secret {secret} is missing, but volumes of this cluster exist ({claims}): without their salt no value on them can be opened. \
         Restore the Secret from a backup (entry 'salt', 64 bytes), or take the salt from a node that serves: \
         kubectl port-forward -n {namespace} svc/{cluster} 9000 & \
         curl -f --retry 5 --retry-connrefused -o salt -H \"X-Cluster-Key: $(kubectl get secret {cluster}-cluster-key -n {namespace} \
         -o jsonpath='{{.data.{CLUSTER_KEY_ENTRY}}}' | base64 -d | head -n 1)\" http://127.0.0.1:9000/cluster/salt && \
         kubectl create secret generic {secret} -n {namespace} --from-file=salt=salt. \
         If no copy of the salt is left anywhere, the entries are lost: then delete these claims to begin anew without them",
        claims = .claims.join(", ")
    )]
    SaltMissing {
        /// The Secret's name.
        secret: String,
        /// The cluster's name.
        cluster: String,
        /// Its namespace.
        namespace: String,
        /// The claims by name: a pattern would name another cluster's too.
        claims: Vec<String>,
    },
    /// A Secret of that name that holds no salt.
    #[error("Secret {0} does not hold 64 bytes under 'salt'; put back the right one")]
    SaltMalformed(String),
    /// The user's own Secret is not there, or has no such entry.
    #[error("Secret {secret} with entry '{entry}' does not exist (apiKey.secretRef)")]
    ApiKeyMissing {
        /// The Secret's name.
        secret: String,
        /// Its entry.
        entry: String,
    },
    /// A Secret of the operator's that lost its entry.
    #[error(
        "Secret {secret} has no entry '{entry}'; put the key back, or delete the Secret to have a new key made"
    )]
    KeyMissing {
        /// The Secret's name.
        secret: String,
        /// Its entry.
        entry: &'static str,
    },
    /// A Secret that somebody else made.
    #[error(
        "Secret {secret} exists and belongs to somebody else; it is left alone. Rename it, or have it adopted: kubectl label secret {secret} {LABEL_MANAGED_BY}={OPERATOR} {LABEL_INSTANCE}={cluster}"
    )]
    NameTaken {
        /// The Secret's name.
        secret: String,
        /// The cluster that wants it.
        cluster: String,
    },
    /// Volumes are to be kept, but the key Secrets were made to go.
    #[error(
        "storage.retention.whenDeleted cannot be changed from Delete to Retain: Secret {0} would be deleted with the resource. Set it back"
    )]
    RetentionChanged(String),
}

impl Error {
    /// The reason of condition `Stalled`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::SaltMissing { .. } => "SaltMissing",
            Self::SaltMalformed(_) => "SaltMalformed",
            Self::ApiKeyMissing { .. } => "ApiKeyMissing",
            Self::KeyMissing { .. } => "KeyMissing",
            Self::NameTaken { .. } => "NameTaken",
            Self::RetentionChanged(_) => "RetentionChanged",
        }
    }
}

/// Decides. One salt ever: it is made only where neither a salt nor a volume exists.
pub fn plan(cluster: &ValidatedCluster, found: &Found) -> Result<SecretPlan, Error> {
    let salt = match &found.salt {
        SaltSecret::Present { fingerprint } => SaltPlan::Use(fingerprint.clone()),
        SaltSecret::Malformed => return Err(Error::SaltMalformed(cluster.name.salt())),
        SaltSecret::Missing if !found.claims.is_empty() => {
            return Err(Error::SaltMissing {
                secret: cluster.name.salt(),
                cluster: cluster.name.to_string(),
                namespace: cluster.namespace.clone(),
                claims: found.claims.clone(),
            });
        }
        SaltSecret::Missing => SaltPlan::Create,
    };
    let api_key = &cluster.spec.api_key;
    let create_api_key = match (&api_key.secret_ref, &found.api_key) {
        _ if !api_key.required => false,
        (Some(_), Some(KeySecret { key: Some(_), .. })) => false,
        (Some(reference), _) => {
            return Err(Error::ApiKeyMissing {
                secret: reference.name.clone(),
                entry: reference.key.clone(),
            });
        }
        (None, found) => is_missing(
            cluster,
            found.as_ref(),
            cluster.name.api_key(),
            API_KEY_ENTRY,
        )?,
    };
    let create_cluster_key = is_missing(
        cluster,
        found.cluster_key.as_ref(),
        cluster.name.cluster_key(),
        CLUSTER_KEY_ENTRY,
    )?;
    Ok(SecretPlan {
        salt,
        create_api_key,
        create_cluster_key,
    })
}

/// Whether a key of the operator's is to be made; an error where what is there cannot be used.
fn is_missing(
    cluster: &ValidatedCluster,
    found: Option<&KeySecret>,
    secret: String,
    entry: &'static str,
) -> Result<bool, Error> {
    let Some(found) = found else { return Ok(true) };
    if !found.ours {
        let cluster = cluster.name.to_string();
        return Err(Error::NameTaken { secret, cluster });
    }
    if found.key.is_none() {
        return Err(Error::KeyMissing { secret, entry });
    }
    // What a resource cannot say in its schema once its old spec is gone: the owner of the Secret remembers it.
    if found.owned && cluster.spec.storage.retention.when_deleted == Retention::Retain {
        return Err(Error::RetentionChanged(secret));
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
