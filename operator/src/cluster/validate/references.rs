//! The Secrets and claims that a pod template names, wherever a pod can name one.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Error, pod_template::foreign_hands};
use crate::{
    cluster::{resource::ClusterSpec, secrets::ManagedSecret},
    names::{ClusterName, DATA_CLAIM},
};

/// Names of Secrets and claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cluster) struct References {
    /// Secrets.
    pub(in crate::cluster) secrets: BTreeSet<String>,
    /// Claims: mounted, or copied from.
    pub(in crate::cluster) claims: BTreeSet<String>,
}

impl References {
    /// The references in these parts of a pod. By the names of fields and not by types: a field that a later Kubernetes adds is
    /// found too.
    pub(super) fn of<'a>(parts: impl Iterator<Item = &'a Value>) -> Self {
        let mut found = Self::default();
        for part in parts {
            found.walk("", part);
        }
        found
    }

    /// Whether there is no reference that another object could own.
    pub(in crate::cluster) fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.claims.is_empty()
    }

    fn walk(&mut self, parent: &str, value: &Value) {
        match value {
            Value::Array(items) => {
                for item in items {
                    self.walk(parent, item);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        Value::String(text) => self.text(parent, name, text),
                        other => self.walk(name, other),
                    }
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, parent: &str, name: &str, text: &str) {
        let of_secret = parent.to_ascii_lowercase().contains("secret");
        match name {
            "secretName" => self.secrets.insert(text.to_owned()),
            "name" if of_secret => self.secrets.insert(text.to_owned()),
            "claimName" => self.claims.insert(text.to_owned()),
            // A volume can be made as a copy of another one.
            "name" if parent.starts_with("dataSource") => self.claims.insert(text.to_owned()),
            _ => false,
        };
    }

    /// Refuses objects that belong to one of these clusters, or are one of these Secrets and claims.
    pub(in crate::cluster) fn check(
        &self,
        clusters: &[ClusterName],
        labelled: &[(String, String)],
        claims: &[(String, String)],
    ) -> Result<(), Error> {
        for name in &self.secrets {
            if let Some(owner) = secret_owner(name, clusters, labelled) {
                return Err(foreign_hands("Secret", name, owner));
            }
        }
        for name in &self.claims {
            let of = claim_owner(name);
            let mut present = clusters.iter().map(ClusterName::as_str);
            let mut left = claims.iter().filter(|(claim, _)| claim == name);
            let owner = present.find(|cluster| of == Some(*cluster));
            if let Some(owner) = owner.or_else(|| Some(left.next()?.1.as_str())) {
                return Err(foreign_hands("PersistentVolumeClaim", name, owner));
            }
        }
        Ok(())
    }
}

/// Whether the spec names Secrets, whose owners depend on the other objects in the namespace.
pub(in crate::cluster) fn names_secrets(spec: &ClusterSpec) -> bool {
    spec.tls.secret_ref.is_some() || spec.api_key.secret_ref.is_some() || spec.database.is_some()
}

/// Refuses references of the spec to a Secret that is part of a cluster: a user who may write the resource need not be allowed
/// to read it.
pub(in crate::cluster) fn check_own_secrets(
    spec: &ClusterSpec,
    clusters: &[ClusterName],
    labelled: &[(String, String)],
) -> Result<(), Error> {
    let certificate = spec.tls.secret_ref.as_ref().map(|secret| {
        let advice = "or choose tls.mode Auto for the nodes' certificate";
        ("spec.tls.secretRef", &secret.name, advice)
    });
    let api_key = spec.api_key.secret_ref.as_ref().map(|secret| {
        let advice = "or leave apiKey.secretRef out for a key that the operator makes";
        ("spec.apiKey.secretRef", &secret.name, advice)
    });
    let database = spec.database.iter().flat_map(|database| {
        let advice = "with the address of the database";
        let authorities = database.ca_secret_ref.as_ref().map(|ca| &ca.name);
        let migration = database.migration_secret_ref.as_ref();
        let named = [
            ("spec.database.secretRef", Some(&database.secret_ref.name)),
            ("spec.database.caSecretRef", authorities),
            (
                "spec.database.migrationSecretRef",
                migration.map(|secret| &secret.name),
            ),
        ];
        let given = named.into_iter();
        given.filter_map(move |(field, name)| Some((field, name?, advice)))
    });
    for (field, name, advice) in certificate.into_iter().chain(api_key).chain(database) {
        if let Some(owner) = secret_owner(name, clusters, labelled) {
            return Err(Error::Spec(format!(
                "{field}: Secret '{name}' is part of cluster {owner}, which only the operator and its nodes use; name one of your own, \
                 {advice}"
            )));
        }
    }
    Ok(())
}

/// The cluster whose Secret this is, by its name or by its label.
fn secret_owner<'a>(
    name: &str,
    clusters: &'a [ClusterName],
    labelled: &'a [(String, String)],
) -> Option<&'a str> {
    let is_of = |cluster: &&ClusterName| {
        let mut managed = ManagedSecret::ALL.iter();
        managed.any(|secret| secret.name(cluster) == name)
            || [cluster.client_tls(), cluster.database()].contains(&name.to_owned())
    };
    let by_name = clusters.iter().find(is_of).map(ClusterName::as_str);
    by_name.or_else(|| {
        let mut labelled = labelled.iter();
        let (_, cluster) = labelled.find(|(secret, _)| secret == name)?;
        Some(cluster)
    })
}

/// The cluster to which a claim of this name would belong: `data-prod-0` belongs to `prod`.
pub(in crate::cluster) fn claim_owner(name: &str) -> Option<&str> {
    let (cluster, ordinal) = name
        .strip_prefix(DATA_CLAIM)?
        .strip_prefix('-')?
        .rsplit_once('-')?;
    (!ordinal.is_empty() && ordinal.chars().all(|c| c.is_ascii_digit())).then_some(cluster)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::resource::prod;

    #[test]
    fn secrets_are_found_wherever_a_pod_can_name_one() {
        let parts = [
            json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "one", "key": "k"}}}]}),
            json!({"envFrom": [{"secretRef": {"name": "two"}}]}),
            json!({"secret": {"secretName": "three"}}),
            json!({"projected": {"sources": [{"secret": {"name": "four"}}]}}),
            json!({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "five"}}}),
            json!({"azureFile": {"secretName": "six", "shareName": "s"}}),
            json!({"persistentVolumeClaim": {"claimName": "seven"}}),
            json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"dataSource": {"kind": "PersistentVolumeClaim", "name": "eight"}}}}}),
            json!({"configMap": {"name": "no"}, "name": "no"}),
        ];
        let found = References::of(parts.iter());
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        assert_eq!(
            names(&found.secrets),
            ["five", "four", "one", "six", "three", "two"]
        );
        assert_eq!(names(&found.claims), ["eight", "seven"]);
    }

    #[test]
    fn what_another_cluster_owns_is_refused_by_its_name_and_by_its_label() {
        let references = |secret: &str, claim: &str| References {
            secrets: [secret.to_owned()].into(),
            claims: [claim.to_owned()].into(),
        };
        let clusters = [ClusterName::new("shop").unwrap()];
        let kept = [("gone-salt".to_owned(), "gone".to_owned())];
        let left = [("data-gone-0".to_owned(), "gone".to_owned())];
        for (secret, claim) in [
            ("shop-salt", "x"),
            ("shop-cluster-key", "x"),
            ("gone-salt", "x"),
            ("x", "data-shop-0"),
            ("x", "data-gone-0"),
        ] {
            let refused = references(secret, claim).check(&clusters, &kept, &left);
            assert!(refused.is_err(), "{secret} {claim}");
        }
        for (secret, claim) in [
            ("shop-salty", "data-shop-x"),
            ("other-salt", "data-shop-eu-0"),
        ] {
            let taken = references(secret, claim).check(&clusters, &kept, &left);
            assert_eq!(taken, Ok(()), "{secret} {claim}");
        }
    }

    #[test]
    fn neither_the_clients_certificate_nor_their_key_is_in_a_secret_of_a_cluster() {
        let clusters = [ClusterName::new("shop").unwrap()];
        let kept = [("gone-salt".to_owned(), "gone".to_owned())];
        let specs = |name: &str| {
            [
                format!("{{tls: {{mode: Secret, secretRef: {{name: {name}}}}}}}"),
                format!("{{apiKey: {{secretRef: {{name: {name}}}}}}}"),
            ]
        };
        let check = |spec: &str| check_own_secrets(&prod(spec).spec, &clusters, &kept);
        let managed = ManagedSecret::ALL.map(|secret| secret.name(&clusters[0]));
        let others = ["shop-client-tls".to_owned(), "gone-salt".to_owned()];
        for name in managed.iter().chain(&others) {
            for (spec, field) in specs(name).iter().zip(["spec.tls.", "spec.apiKey."]) {
                let refused = check(spec).unwrap_err();
                assert_eq!(refused.reason(), "InvalidSpec");
                let words = refused.to_string();
                assert!(words.starts_with(field) && words.contains(name), "{words}");
            }
        }
        for spec in specs("shop-tls") {
            assert_eq!(check(&spec), Ok(()));
        }
    }

    #[test]
    fn a_claim_says_whose_it_is() {
        assert_eq!(claim_owner("data-prod-0"), Some("prod"));
        assert_eq!(claim_owner("data-prod-eu-10"), Some("prod-eu"));
        for other in [
            "data-prod",
            "data-prod-",
            "data-0",
            "logs-prod-0",
            "data-prod-x1",
        ] {
            assert_eq!(claim_owner(other), None, "{other}");
        }
    }
}
