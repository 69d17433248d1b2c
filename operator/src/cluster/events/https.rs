//! The events that clients have no HTTPS because of a certificate that the resource names, and that another program answers in the
//! place of a node.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::EventType;

use super::{News, in_this_version};
use crate::cluster::{
    resource::{ClusterStatus, OpenSecureConfCluster, TlsMode},
    status::{AUTHORITY_REFUSED, NOT_VERIFIED},
};

/// That `TlsReady` has become false, once for each reason.
pub(super) fn news(
    cluster: &OpenSecureConfCluster,
    before: &ClusterStatus,
    after: &ClusterStatus,
) -> Option<News> {
    let closed = newly_closed(before, after)?;
    let is_named = matches!(cluster.spec.tls.mode, TlsMode::Secret | TlsMode::Issuer);
    if !is_named && closed.reason != NOT_VERIFIED {
        return None;
    }
    // The refusal itself had an event.
    if closed.reason == AUTHORITY_REFUSED {
        return None;
    }
    Some(News {
        type_: EventType::Warning,
        reason: closed.reason.clone(),
        note: closed.message.clone(),
        related: in_this_version(cluster),
    })
}

fn newly_closed<'a>(before: &ClusterStatus, after: &'a ClusterStatus) -> Option<&'a Condition> {
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
            newly_closed(before, after).map(|condition| condition.reason.clone())
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
        let impostor = status("False", "NodeNotVerified");
        assert_eq!(reason(&open, &impostor), named("NodeNotVerified"));
        let silent = status("Unknown", "NodesUnreachable");
        assert_eq!(reason(&nothing, &silent), None);
    }
}
