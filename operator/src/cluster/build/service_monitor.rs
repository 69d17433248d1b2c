//! The object that makes the Prometheus Operator scrape each node once.

use k8s_openapi::api::core::v1::ConfigMapKeySelector;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::metadata;
use crate::{
    cluster::validate::ValidatedCluster,
    names::{LABEL_AUTHORITIES, LABEL_SCRAPE, METRICS_PORT_NAME, NODE_AUTHORITIES_ENTRY},
    service_monitor::{
        Authorities, Endpoint, NamespaceSelector, ServiceMonitor, ServiceMonitorSpec, TlsConfig,
    },
};

/// `authorities`: the certificates with which to verify nodes, in PEM.
pub(super) fn build(cluster: &ValidatedCluster, authorities: &str) -> ServiceMonitor {
    let wanted = &cluster.spec.monitoring.service_monitor;
    let mut metadata = metadata::owned(cluster, cluster.name.as_str().to_owned());
    let labels = metadata.labels.get_or_insert_default();
    for (name, value) in &wanted.labels {
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    labels.insert(LABEL_AUTHORITIES.to_owned(), authorities_label(authorities));
    let mut selector = metadata::pod_selector(cluster);
    selector
        .match_labels
        .get_or_insert_default()
        .insert(LABEL_SCRAPE.to_owned(), "true".to_owned());
    ServiceMonitor {
        metadata,
        spec: ServiceMonitorSpec {
            selector,
            namespace_selector: NamespaceSelector {
                match_names: vec![cluster.namespace.clone()],
            },
            endpoints: vec![Endpoint {
                port: METRICS_PORT_NAME.to_owned(),
                path: "/metrics".to_owned(),
                scheme: "https".to_owned(),
                tls_config: TlsConfig {
                    server_name: format!("{}.{}.svc", cluster.name, cluster.namespace),
                    ca: Authorities {
                        config_map: ConfigMapKeySelector {
                            name: cluster.name.ca(),
                            key: NODE_AUTHORITIES_ENTRY.to_owned(),
                            optional: None,
                        },
                    },
                },
                interval: wanted.interval.clone(),
                scrape_timeout: wanted.scrape_timeout.clone(),
                relabelings: [vec![without_endpoint()], wanted.relabelings.clone()].concat(),
                metric_relabelings: wanted.metric_relabelings.clone(),
            }],
        },
    }
}

/// The Prometheus Operator gives targets a label `endpoint`, the name of the port. Metrics of requests have a label of the same
/// name, which Prometheus would then rename.
fn without_endpoint() -> Value {
    json!({ "action": "labeldrop", "regex": "endpoint" })
}

/// The value of the label that changes with the authorities: not every Prometheus Operator watches the ConfigMap, and each copies
/// authorities when a ServiceMonitor changes in spec or labels.
pub(super) fn authorities_label(authorities: &str) -> String {
    let digest = Sha256::digest(authorities);
    let first = digest
        .first_chunk::<8>()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes));
    format!("{first:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::validate::validate;

    #[test]
    fn other_authorities_change_a_label_so_that_they_are_copied_at_once() {
        let resource = serde_json::from_value(json!({
            "apiVersion": "opensecureconf.io/v1alpha1", "kind": "OpenSecureConfCluster",
            "metadata": { "name": "config", "namespace": "team", "uid": "1" }, "spec": {},
        }));
        let cluster = validate(&resource.unwrap(), "node:1").unwrap();
        let [old, both] = ["old", "old and new"].map(|roots| build(&cluster, roots));
        assert_ne!(old.metadata.labels, both.metadata.labels);
        assert_eq!(old, build(&cluster, "old"));
    }
}
