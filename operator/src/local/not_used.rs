//! Fields of the resource that only Kubernetes supports: reported, so that no user waits for their effect.

use std::io::Write;

use anyhow::bail;
use serde_json::Value;

use crate::cluster::{
    Workload,
    resource::{ClusterSpec, TlsMode},
    validate::ValidatedCluster,
};

/// Fields of the spec that a process on this machine has no use for.
const ONLY_KUBERNETES: [&str; 21] = [
    "image",
    "imagePullPolicy",
    "imagePullSecrets",
    "storage",
    "monitoring",
    "service",
    "resources",
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "podDisruptionBudget",
    "networkPolicy",
    "podSecurity",
    "podTemplate",
    "paused",
    "hibernate",
    "upgrade",
    "restartedAt",
    "rebuildMembers",
];

/// Reports the unused fields, in one line.
///
/// # Errors
/// Where the resource needs a certificate that only Kubernetes provides.
pub(super) fn check(cluster: &ValidatedCluster, tls: bool) -> anyhow::Result<()> {
    let mode = cluster.spec.tls.mode;
    if tls && matches!(mode, TlsMode::Secret | TlsMode::Issuer) {
        bail!(
            "spec.tls.mode {mode:?} needs Kubernetes: there are no Secrets here. Use mode Auto, whose certificates are made below --data-dir"
        );
    }
    if cluster.workload() != Workload::StatefulSet {
        bail!(
            "spec.mode Shared needs Kubernetes: the address of the database is in a Secret. Start nodes with OSC_DATABASE_URL_FILE instead \
             (docs/shared-store.md)"
        );
    }
    let not_used = not_used(&cluster.spec, tls)?;
    if !not_used.is_empty() {
        writeln!(std::io::stdout(), "not used here: {}", not_used.join(", "))?;
    }
    Ok(())
}

fn not_used(spec: &ClusterSpec, tls: bool) -> anyhow::Result<Vec<String>> {
    let (given, default) = (
        serde_json::to_value(spec)?,
        serde_json::to_value(ClusterSpec::default())?,
    );
    let differs = |field: &&str| given.get(*field) != default.get(*field);
    let mut fields: Vec<_> = ONLY_KUBERNETES
        .iter()
        .copied()
        .filter(differs)
        .map(|field| format!("spec.{field}"))
        .collect();
    if !tls && given.get("tls") != default.get("tls") {
        fields.push("spec.tls (start with --tls)".to_owned());
    }
    for field in ["secretRef", "rotate"] {
        let value = given.pointer(&format!("/apiKey/{field}"));
        if value.is_some_and(|value| *value != Value::Null) {
            fields.push(format!("spec.apiKey.{field}"));
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{
        resource::{crd, prod},
        validate::validate,
    };

    fn spec(text: &str) -> ValidatedCluster {
        validate(&prod(text), "").unwrap()
    }

    #[test]
    fn what_only_kubernetes_has_is_named() {
        let cluster =
            spec("{service: {type: NodePort}, podSecurity: Platform, tls: {altNames: [a.test]}}");
        let named = |tls| not_used(&cluster.spec, tls).unwrap();
        assert_eq!(
            named(false),
            [
                "spec.service",
                "spec.podSecurity",
                "spec.tls (start with --tls)"
            ]
        );
        assert_eq!(named(true), ["spec.service", "spec.podSecurity"]);
        assert!(not_used(&spec("{}").spec, false).unwrap().is_empty());
        let cluster = spec("{apiKey: {rotate: '2027'}}");
        assert_eq!(
            not_used(&cluster.spec, false).unwrap(),
            ["spec.apiKey.rotate"]
        );
    }

    #[test]
    fn certificates_of_kubernetes_are_refused() {
        for tls in [
            "{mode: Secret, secretRef: {name: mine}}",
            "{mode: Issuer, issuerRef: {name: ours}}",
        ] {
            let cluster = spec(&format!("{{tls: {tls}}}"));
            let refused = check(&cluster, true).unwrap_err().to_string();
            assert!(refused.contains("mode Auto"), "{refused}");
        }
    }

    #[test]
    fn a_shared_database_is_refused() {
        let cluster = spec("{mode: Shared, database: {secretRef: {name: pg-app}}}");
        let refused = check(&cluster, false).unwrap_err().to_string();
        assert!(refused.contains("OSC_DATABASE_URL_FILE"), "{refused}");
    }

    #[test]
    fn the_documentation_covers_every_field() {
        let crd = serde_json::to_value(crd().unwrap()).unwrap();
        let fields = crd
            .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties")
            .unwrap();
        let page = include_str!("../../../docs/local.md");
        for field in fields.as_object().unwrap().keys() {
            let row = format!("| `{field}` | ");
            let line = page.lines().find(|line| line.starts_with(&row));
            let line = line.unwrap_or_else(|| panic!("docs/local.md has no row for {field}"));
            let says_unused = line.starts_with(&format!("{row}not used"));
            assert_eq!(
                says_unused,
                ONLY_KUBERNETES.contains(&field.as_str()),
                "{field}"
            );
        }
        for field in ONLY_KUBERNETES {
            assert!(fields.get(field).is_some(), "{field} is no field");
        }
    }
}
