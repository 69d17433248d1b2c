//! Which Secrets are to be made. Pure, because a wrong answer here would make every value unreadable.

use super::{Lifetime, ManagedSecret, ObservedSecret};
use crate::{
    cluster::{
        dereference::{DereferencedObjects, SaltSecret},
        resource::SecretKeyReference,
        rules::Rule,
        salt::{MemberSalt, SaltMissing, SaltReports, restorable},
        validate::ValidatedCluster,
    },
    names::{LABEL_INSTANCE, LABEL_MANAGED_BY, OPERATOR},
};

/// The plan for the Secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPlan {
    /// Make a salt, use the existing one, or restore a lost one.
    pub salt: SaltPlan,
    /// The Secrets to create, in this order.
    pub create: Vec<NewSecret>,
}

/// A Secret that the operator will make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewSecret {
    /// A salt that never was.
    Salt,
    /// The salt that this member has.
    RestoredSalt(MemberSalt),
    /// A random key.
    Key(ManagedSecret),
}

impl SecretPlan {
    /// The salt that has to be waited for.
    pub fn missing_salt(self) -> Option<SaltMissing> {
        match self.salt {
            SaltPlan::Await(missing) => Some(missing),
            SaltPlan::Create | SaltPlan::Use(_) | SaltPlan::Restore(_) => None,
        }
    }
}

/// The plan for the salt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaltPlan {
    /// Make a salt: nothing was ever stored under another.
    Create,
    /// Use the salt with this fingerprint.
    Use(String),
    /// Restore the salt of this member.
    Restore(MemberSalt),
    /// Wait for a salt that can be restored. The rest goes on: nodes never make a salt, and starting members bring theirs.
    Await(SaltMissing),
}

/// Why no Secret can be made before a user acts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A Secret of that name that holds no salt.
    #[error(
        "Secret {secret} does not hold 64 bytes under 'salt'; delete it, and the operator puts back the one that a node has: \
         `kubectl delete secret {secret} -n {namespace} --wait=false`"
    )]
    SaltMalformed {
        /// The Secret's name.
        secret: String,
        /// Its namespace.
        namespace: String,
    },
    /// The user's own Secret does not exist, or has no such entry.
    #[error(
        "Secret {secret} with entry '{entry}' does not exist (apiKey.secretRef). Create it, with the key in file KEY: `kubectl create secret \
         generic {secret} -n {namespace} --from-file={entry}=KEY`; where only the entry is missing, end that command with `--dry-run=client -o json | \
         kubectl patch secret {secret} -n {namespace} --patch-file /dev/stdin`. Or correct apiKey.secretRef, or leave it out for a key that the operator makes"
    )]
    ApiKeyMissing {
        /// The Secret's name.
        secret: String,
        /// Its namespace.
        namespace: String,
        /// Its entry.
        entry: String,
    },
    /// A Secret of the operator's that lost its entry.
    #[error(
        "Secret {secret} has no entry '{entry}'; put the key back, or delete the Secret to have a new key made: \
         `kubectl delete secret {secret} -n {namespace} --wait=false`"
    )]
    KeyMissing {
        /// The Secret's name.
        secret: String,
        /// Its namespace.
        namespace: String,
        /// Its entry.
        entry: &'static str,
    },
    /// A Secret that another writer made.
    #[error(
        "Secret {secret} exists and belongs to another owner; it is left alone. Copy what its owner needs of it to another name and delete it, or have it adopted: kubectl label secret {secret} {LABEL_MANAGED_BY}={OPERATOR} {LABEL_INSTANCE}={cluster} --overwrite"
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
            Self::SaltMalformed { .. } => "SaltMalformed",
            Self::ApiKeyMissing { .. } => "ApiKeyMissing",
            Self::KeyMissing { .. } => "KeyMissing",
            Self::NameTaken { .. } => "NameTaken",
            Self::RetentionChanged(_) => "RetentionChanged",
        }
    }
}

/// Decides. One salt ever: a new one is made only where neither a salt nor a volume exists. Where it is lost, `salt_reports`
/// has the nodes' salts, and `had` is the fingerprint that the status remembers.
///
/// # Errors
/// Where nothing may be written before a user acts.
pub fn plan(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    salt_reports: &SaltReports,
    had: Option<&str>,
) -> Result<SecretPlan, Error> {
    let salt = match found.salt() {
        SaltSecret::Present { fingerprint } => SaltPlan::Use(fingerprint),
        SaltSecret::Malformed => {
            return Err(Error::SaltMalformed {
                secret: ManagedSecret::Salt.name(&cluster.name),
                namespace: cluster.namespace.clone(),
            });
        }
        SaltSecret::Missing
            if found.is_salt_lost()
                && cluster
                    .installation
                    .rules
                    .hold(Rule::NoSaltIsMadeBesideVolumes) =>
        {
            match restorable(salt_reports, had) {
                Ok(salt) => SaltPlan::Restore(salt),
                Err(why) => SaltPlan::Await(SaltMissing::new(cluster, &found.claims, why)),
            }
        }
        SaltSecret::Missing => SaltPlan::Create,
    };
    let mut create = Vec::new();
    for secret in ManagedSecret::ALL {
        match secret {
            ManagedSecret::Salt => create.extend(match &salt {
                SaltPlan::Create => Some(NewSecret::Salt),
                SaltPlan::Restore(member) => Some(NewSecret::RestoredSalt(member.clone())),
                SaltPlan::Use(_) | SaltPlan::Await(_) => None,
            }),
            ManagedSecret::ApiKey | ManagedSecret::ClusterKey if secret.is_wanted(cluster) => {
                if is_missing(cluster, secret, found.secrets.get(&secret))? {
                    create.push(NewSecret::Key(secret));
                }
            }
            ManagedSecret::ApiKey | ManagedSecret::ClusterKey => {}
            // Certificates are renewed, not made once: `certificates/` does that.
            ManagedSecret::NodeAuthority | ManagedSecret::NodeTls => {
                if found.secrets.get(&secret).is_some_and(|found| !found.ours) {
                    return Err(Error::NameTaken {
                        secret: secret.name(&cluster.name),
                        cluster: cluster.name.to_string(),
                    });
                }
            }
        }
    }
    if let Some(reference) = api_key_reference(cluster)
        && found
            .user_api_key
            .as_ref()
            .and_then(|secret| secret.key(&reference.key))
            .is_none()
    {
        return Err(Error::ApiKeyMissing {
            secret: reference.name.clone(),
            namespace: cluster.namespace.clone(),
            entry: reference.key.clone(),
        });
    }
    Ok(SecretPlan { salt, create })
}

/// The user's own Secret with the clients' key, where the resource names one.
fn api_key_reference(cluster: &ValidatedCluster) -> Option<&SecretKeyReference> {
    let api_key = &cluster.spec.api_key;
    api_key.secret_ref.as_ref().filter(|_| api_key.required)
}

/// Whether the operator must make a key; an error where the existing one cannot be used.
fn is_missing(
    cluster: &ValidatedCluster,
    which: ManagedSecret,
    found: Option<&ObservedSecret>,
) -> Result<bool, Error> {
    let Some(found) = found else { return Ok(true) };
    let secret = which.name(&cluster.name);
    if !found.ours {
        let cluster = cluster.name.to_string();
        return Err(Error::NameTaken { secret, cluster });
    }
    if found.key(which.entry()).is_none() {
        return Err(Error::KeyMissing {
            secret,
            namespace: cluster.namespace.clone(),
            entry: which.entry(),
        });
    }
    // The schema cannot compare with a spec that is gone: the Secret's owner remembers it.
    if found.owned && which.lifetime(cluster) == Lifetime::Forever {
        return Err(Error::RetentionChanged(secret));
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
