//! Rules of the resource that its types cannot say, each once as CEL for the API server and once as Rust for everyone
//! who has no API server. A test holds the two together.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::OpenSecureConfCluster;
use crate::names::ClusterName;

/// A rule that a resource breaks, in words for its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Violation {
    /// Which field.
    pub field: &'static str,
    /// What is wrong and what is right.
    pub message: &'static str,
}

/// One rule.
pub(super) struct Rule {
    pub(super) field: &'static str,
    pub(super) cel: &'static str,
    pub(super) message: &'static str,
    /// Whether a resource keeps it; `None` where it compares with the resource before.
    pub(super) holds: Option<fn(&OpenSecureConfCluster) -> bool>,
}

/// Rules about the whole resource.
pub(super) const ROOT_RULES: &[Rule] = &[Rule {
    field: "metadata.name",
    cel: "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 40 && !self.metadata.name.endsWith('-nodes')",
    message: "the name must begin with a letter, hold only a-z, 0-9 and '-', have at most 40 characters and not end in '-nodes'",
    holds: Some(|cluster| {
        ClusterName::new(cluster.metadata.name.as_deref().unwrap_or_default()).is_some()
    }),
}];

/// Rules about the spec.
pub(super) const SPEC_RULES: &[Rule] = &[
    Rule {
        field: "spec.replicas",
        cel: "self.replicas >= 1 && self.replicas <= 15",
        message: "replicas must be from 1 to 15",
        holds: Some(|cluster| (1..=15).contains(&cluster.spec.replicas)),
    },
    Rule {
        field: "spec.mode",
        cel: "self.mode == oldSelf.mode",
        message: "mode cannot be changed; create another cluster and copy the entries",
        holds: None,
    },
    Rule {
        field: "spec.storage.size",
        cel: "isQuantity(self.storage.size) && quantity(self.storage.size).isGreaterThan(quantity('0'))",
        message: "storage.size must be a size such as 1Gi",
        holds: Some(|cluster| is_size(&Quantity(cluster.spec.storage.size.clone()))),
    },
    Rule {
        field: "spec.storage.size",
        cel: "!isQuantity(self.storage.size) || !isQuantity(oldSelf.storage.size) || quantity(self.storage.size).compareTo(quantity(oldSelf.storage.size)) == 0",
        message: "storage.size cannot be changed: volumes never shrink, and growing them is not supported yet",
        holds: None,
    },
    Rule {
        field: "spec.storage.storageClassName",
        cel: "has(self.storage.storageClassName) == has(oldSelf.storage.storageClassName) && (!has(self.storage.storageClassName) || self.storage.storageClassName == oldSelf.storage.storageClassName)",
        message: "storage.storageClassName cannot be changed; create another cluster and copy the entries",
        holds: None,
    },
    Rule {
        field: "spec.storage.retention.whenDeleted",
        cel: "self.storage.retention.whenDeleted == oldSelf.storage.retention.whenDeleted",
        message: "storage.retention.whenDeleted cannot be changed: the keys were made to stay or to go with the volumes",
        // The operator, which sees no resource before, asks the owner of the keys' Secrets: `secret_plan.rs`.
        holds: None,
    },
    Rule {
        field: "spec.monitoring.serviceMonitor.interval",
        cel: "self.monitoring.serviceMonitor.interval.matches('^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$') && size(self.monitoring.serviceMonitor.interval) > 0",
        message: "monitoring.serviceMonitor.interval must be a duration such as 30s or 1m30s",
        holds: Some(|cluster| is_duration(&cluster.spec.monitoring.service_monitor.interval)),
    },
    Rule {
        field: "spec.apiKey",
        cel: "self.apiKey.required || !has(self.apiKey.secretRef)",
        message: "apiKey.secretRef has no use while apiKey.required is false; remove one of the two",
        holds: Some(|cluster| {
            cluster.spec.api_key.required || cluster.spec.api_key.secret_ref.is_none()
        }),
    },
];

/// Checks every rule that needs only the resource itself.
pub fn check(cluster: &OpenSecureConfCluster) -> Result<(), Vec<Violation>> {
    let violations: Vec<_> = ROOT_RULES
        .iter()
        .chain(SPEC_RULES)
        .filter(|rule| rule.holds.is_some_and(|holds| !holds(cluster)))
        .map(|rule| Violation {
            field: rule.field,
            message: rule.message,
        })
        .collect();
    if violations.is_empty() {
        Ok(())
    } else {
        Err(violations)
    }
}

/// Numbers with Prometheus' units, each unit once at most and from the longest to the shortest.
fn is_duration(text: &str) -> bool {
    let rest = ["y", "w", "d", "h", "m", "s", "ms"]
        .iter()
        .fold(text, |rest, unit| {
            let number = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            match number.strip_prefix(unit) {
                // `5ms` is no `5m` with an `s` behind it.
                Some(after) if number.len() < rest.len() && !(*unit == "m" && after == "s") => {
                    after
                }
                _ => rest,
            }
        });
    rest.is_empty() && !text.is_empty()
}

/// A positive decimal number with one of Kubernetes' suffixes for sizes.
fn is_size(Quantity(text): &Quantity) -> bool {
    const SUFFIXES: &[&str] = &[
        "", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = text.get(number.len()..).unwrap_or_default();
    SUFFIXES.contains(&suffix)
        && number
            .parse::<f64>()
            .is_ok_and(|number| number > 0.0 && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(yaml: &str) -> Vec<&'static str> {
        let cluster: OpenSecureConfCluster = serde_saphyr::from_str(yaml).unwrap();
        check(&cluster)
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|violation| violation.field)
            .collect()
    }

    fn spec(name: &str, spec: &str) -> Vec<&'static str> {
        fields(&format!(
            "apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        ))
    }

    #[test]
    fn an_empty_spec_is_a_cluster() {
        assert_eq!(spec("prod", "{}"), Vec::<&str>::new());
    }

    #[test]
    fn durations_are_prometheus_own() {
        for text in ["30s", "1m30s", "5ms", "1h5ms", "2m5ms", "1y2w3d4h5m6s7ms"] {
            assert!(is_duration(text), "{text}");
        }
        for text in [
            "", "30", "s", "30 s", "s30", "30s1m", "1m1m", "-1s", "1.5s", "30sec",
        ] {
            assert!(!is_duration(text), "{text}");
        }
    }

    #[test]
    fn each_rule_names_its_field() {
        assert_eq!(
            spec("prod", "{monitoring: {serviceMonitor: {interval: often}}}"),
            ["spec.monitoring.serviceMonitor.interval"]
        );
        assert_eq!(spec("prod-nodes", "{}"), ["metadata.name"]);
        assert_eq!(spec("prod", "{replicas: 0}"), ["spec.replicas"]);
        assert_eq!(spec("prod", "{replicas: 16}"), ["spec.replicas"]);
        assert_eq!(
            spec("prod", "{storage: {size: lots}}"),
            ["spec.storage.size"]
        );
        assert_eq!(
            spec("prod", "{storage: {size: '0'}}"),
            ["spec.storage.size"]
        );
        assert_eq!(
            spec("prod", "{apiKey: {required: false, secretRef: {name: s}}}"),
            ["spec.apiKey"]
        );
        assert_eq!(
            spec("Prod", "{replicas: 99}"),
            ["metadata.name", "spec.replicas"]
        );
    }
}
