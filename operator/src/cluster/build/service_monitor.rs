//! What makes the Prometheus Operator scrape each node once.

use super::metadata;
use crate::{
    cluster::validate::ValidatedCluster,
    names::{LABEL_SCRAPE, NODE_PORT_NAME},
    service_monitor::{Endpoint, NamespaceSelector, ServiceMonitor, ServiceMonitorSpec},
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
                port: NODE_PORT_NAME.to_owned(),
                path: "/metrics".to_owned(),
                interval: wanted.interval.clone(),
                scrape_timeout: wanted.scrape_timeout.clone(),
                relabelings: wanted.relabelings.clone(),
                metric_relabelings: wanted.metric_relabelings.clone(),
            }],
        },
    }
}
