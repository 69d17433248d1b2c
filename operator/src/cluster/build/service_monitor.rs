//! What makes the Prometheus Operator scrape each node once.

use k8s_openapi::api::core::v1::ConfigMapKeySelector;

use super::metadata;
use crate::{
    cluster::validate::ValidatedCluster,
    names::{LABEL_SCRAPE, METRICS_PORT_NAME, NODE_AUTHORITIES_ENTRY},
    service_monitor::{
        Authorities, Endpoint, NamespaceSelector, ServiceMonitor, ServiceMonitorSpec, TlsConfig,
    },
};

pub(super) fn build(cluster: &ValidatedCluster) -> ServiceMonitor {
    let wanted = &cluster.spec.monitoring.service_monitor;
    let mut metadata = metadata::owned(cluster, cluster.name.as_str().to_owned());
    let labels = metadata.labels.get_or_insert_default();
    for (name, value) in &wanted.labels {
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
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
                relabelings: wanted.relabelings.clone(),
                metric_relabelings: wanted.metric_relabelings.clone(),
            }],
        },
    }
}
