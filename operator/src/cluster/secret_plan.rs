//! Which Secrets are to be made. Pure, because a wrong answer here would make every value unreadable.

use super::{
    dereference::{Found, SaltSecret},
    validate::ValidatedCluster,
};

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
        "Secret {secret} is missing, but volumes of this cluster exist: without their salt no value on them can be opened. Restore the Secret from a backup (entry 'salt', 64 bytes: the file encryption.salt on any of the volumes), or delete the claims {claims}* to begin anew"
    )]
    SaltMissing {
        /// The Secret's name.
        secret: String,
        /// What the claims' names begin with.
        claims: String,
    },
    /// A Secret of that name that holds no salt.
    #[error("Secret {0} does not hold 64 bytes under 'salt'; put back the right one")]
    SaltMalformed(String),
    /// The user's own Secret is not there.
    #[error("Secret {secret} with entry '{entry}' does not exist (apiKey.secretRef)")]
    ApiKeyMissing {
        /// The Secret's name.
        secret: String,
        /// Its entry.
        entry: String,
    },
}

impl Error {
    /// The reason of condition `Stalled`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::SaltMissing { .. } => "SaltMissing",
            Self::SaltMalformed(_) => "SaltMalformed",
            Self::ApiKeyMissing { .. } => "ApiKeyMissing",
        }
    }
}

/// Decides. One salt ever: it is made only where neither a salt nor a volume exists.
pub fn plan(cluster: &ValidatedCluster, found: &Found) -> Result<SecretPlan, Error> {
    let salt = match &found.salt {
        SaltSecret::Present { fingerprint } => SaltPlan::Use(fingerprint.clone()),
        SaltSecret::Malformed => return Err(Error::SaltMalformed(cluster.name.salt())),
        SaltSecret::Missing if found.claims_exist => {
            return Err(Error::SaltMissing {
                secret: cluster.name.salt(),
                claims: cluster.name.claim_prefix(),
            });
        }
        SaltSecret::Missing => SaltPlan::Create,
    };
    let api_key = &cluster.spec.api_key;
    if let (Some(reference), None) = (&api_key.secret_ref, &found.api_key) {
        return Err(Error::ApiKeyMissing {
            secret: reference.name.clone(),
            entry: reference.key.clone(),
        });
    }
    Ok(SecretPlan {
        salt,
        create_api_key: api_key.required
            && api_key.secret_ref.is_none()
            && !found.api_key_secret_exists,
        create_cluster_key: !found.cluster_key_secret_exists,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{dereference::ApiKey, validate::validate};

    fn cluster(spec: &str) -> ValidatedCluster {
        let yaml = format!(
            "apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: {{name: prod}}\nspec: {spec}\n"
        );
        validate(&serde_saphyr::from_str(&yaml).unwrap(), "node:1").unwrap()
    }

    fn found(salt: SaltSecret, claims_exist: bool) -> Found {
        Found {
            salt,
            claims_exist,
            api_key: None,
            api_key_secret_exists: false,
            cluster_key_secret_exists: false,
            children: Vec::new(),
            service_monitors_served: false,
        }
    }

    #[test]
    fn a_salt_is_made_only_where_nothing_was_ever_stored() {
        let cluster = cluster("{}");
        let present = SaltSecret::Present {
            fingerprint: "f".into(),
        };
        assert_eq!(
            plan(&cluster, &found(SaltSecret::Missing, false))
                .unwrap()
                .salt,
            SaltPlan::Create
        );
        assert_eq!(
            plan(&cluster, &found(SaltSecret::Missing, true))
                .unwrap_err()
                .reason(),
            "SaltMissing"
        );
        for claims_exist in [false, true] {
            assert_eq!(
                plan(&cluster, &found(present.clone(), claims_exist))
                    .unwrap()
                    .salt,
                SaltPlan::Use("f".into())
            );
            assert_eq!(
                plan(&cluster, &found(SaltSecret::Malformed, claims_exist))
                    .unwrap_err()
                    .reason(),
                "SaltMalformed"
            );
        }
    }

    #[test]
    fn keys_are_made_once_and_never_where_the_user_has_his_own() {
        let nothing = || found(SaltSecret::Missing, false);
        let plan_of = |spec, found| plan(&cluster(spec), &found).unwrap();
        assert!(plan_of("{}", nothing()).create_api_key);
        assert!(
            !plan_of(
                "{}",
                Found {
                    api_key_secret_exists: true,
                    ..nothing()
                }
            )
            .create_api_key
        );
        assert!(!plan_of("{apiKey: {required: false}}", nothing()).create_api_key);
        assert!(
            !plan_of(
                "{}",
                Found {
                    cluster_key_secret_exists: true,
                    ..nothing()
                }
            )
            .create_cluster_key
        );
        let own = "{apiKey: {secretRef: {name: mine}}}";
        assert_eq!(
            plan(&cluster(own), &nothing()).unwrap_err().reason(),
            "ApiKeyMissing"
        );
        let with_key = Found {
            api_key: Some(ApiKey(b"k".to_vec())),
            api_key_secret_exists: true,
            ..nothing()
        };
        assert!(!plan_of(own, with_key).create_api_key);
    }
}
