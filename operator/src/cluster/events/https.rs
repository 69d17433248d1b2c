//! The event that clients have no HTTPS because of a certificate that the resource names.

use kube::{
    Resource,
    runtime::events::{EventType, Recorder},
};

use super::publish;
use crate::cluster::resource::{ClusterStatus, OpenSecureConfCluster, TlsMode};
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};

/// Announces that `TlsReady` has become false, once for each reason.
pub(super) async fn announce(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    after: &ClusterStatus,
    recorder: &Recorder,
) {
    if !matches!(cluster.spec.tls.mode, TlsMode::Secret | TlsMode::Issuer) {
        return;
    }
    let Some(closed) = news(before, after) else {
        return;
    };
    let related = ObjectReference {
        resource_version: cluster.metadata.resource_version.clone(),
        ..cluster.object_ref(&())
    };
    let (type_, note) = (EventType::Warning, closed.message.clone());
    publish(cluster, type_, &closed.reason, note, related, recorder).await;
}

fn news<'a>(before: &ClusterStatus, after: &'a ClusterStatus) -> Option<&'a Condition> {
    let now = closed(after)?;
    let told = closed(before).is_some_and(|before| before.reason == now.reason);
    (!told).then_some(now)
}

fn closed(status: &ClusterStatus) -> Option<&Condition> {
    let mut conditions = status.conditions.iter();
    conditions.find(|condition| condition.type_ == "TlsReady" && condition.status == "False")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(status: &str, reason: &str) -> ClusterStatus {
        serde_json::from_value(json!({ "conditions": [{ "type": "TlsReady", "status": status, "reason": reason, "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z" }] }))
        .unwrap()
    }

    #[test]
    fn a_closed_port_is_announced_once_for_each_reason() {
        let reason = |before: &ClusterStatus, after: &ClusterStatus| {
            news(before, after).map(|condition| condition.reason.clone())
        };
        let (nothing, open) = (
            ClusterStatus::default(),
            status("True", "CertificatesServed"),
        );
        let missing = status("False", "CertificateMissing");
        let refused = status("False", "ClientCertificateRefused");
        let named = |reason: &str| Some(reason.to_owned());
        assert_eq!(reason(&nothing, &missing), named("CertificateMissing"));
        assert_eq!(reason(&open, &missing), named("CertificateMissing"));
        assert_eq!(reason(&missing, &missing), None);
        assert_eq!(
            reason(&missing, &refused),
            named("ClientCertificateRefused")
        );
        assert_eq!(reason(&missing, &open), None);
        let silent = status("Unknown", "NodesUnreachable");
        assert_eq!(reason(&nothing, &silent), None);
    }
}
