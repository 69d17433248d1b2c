//! The metrics of a cluster, from its status.

use super::resource::{CONDITIONS, ClusterStatus, PENDING_REASONS};
use crate::metrics::ClusterFigures;

/// The reason of a condition about a feature that the resource switches off.
const SWITCHED_OFF: &str = "Disabled";

/// The figures of a status.
pub(super) fn figures(status: &ClusterStatus) -> ClusterFigures {
    let conditions = CONDITIONS.map(|type_| {
        let found = status.conditions.iter().find(|found| found.type_ == type_);
        let holds = found.and_then(|found| match found.status.as_str() {
            "True" => Some(true),
            "False" if found.reason != SWITCHED_OFF => Some(false),
            // Some conditions exist only while they are true; others are unknown or switched off, which is no alarm.
            _ => None,
        });
        (type_, holds)
    });
    let pending = status.pending_rollout.as_ref();
    let pending = PENDING_REASONS.map(|reason| {
        let waits = pending.is_some_and(|pending| pending.reason == reason);
        (reason, waits)
    });
    let members = &status.members;
    ClusterFigures {
        conditions: conditions.into(),
        pending: pending.into(),
        present: members.len(),
        ready: members.iter().filter(|member| member.ready).count(),
        reachable: members.iter().filter(|member| member.reachable).count(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

    use super::*;
    use crate::{
        cluster::resource::{MemberStatus, PendingRollout},
        metrics::Metrics,
    };

    fn status(conditions: &[(&str, &str)]) -> ClusterStatus {
        let conditions = conditions.iter().map(|(type_, status)| {
            serde_json::from_value::<Condition>(serde_json::json!({
                "type": type_, "status": status, "reason": "R", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }))
            .unwrap()
        });
        let member = MemberStatus {
            ready: true,
            ..MemberStatus::default()
        };
        ClusterStatus {
            conditions: conditions.collect(),
            members: vec![member, MemberStatus::default()],
            ..ClusterStatus::default()
        }
    }

    #[test]
    fn a_cluster_is_shown_as_its_status_says_and_not_after_its_end() {
        let metrics = Metrics::new().unwrap();
        let first = status(&[
            ("Ready", "False"),
            ("Reconciling", "True"),
            ("SaltMatches", "True"),
        ]);
        let second = status(&[("Ready", "True"), ("SaltMatches", "Unknown")]);
        metrics.observed("shop", "prod", &figures(&first));
        metrics.observed("shop", "prod", &figures(&second));
        let page = metrics.page().unwrap();
        for line in [
            "osc_operator_cluster_condition{condition=\"Ready\",name=\"prod\",namespace=\"shop\"} 1",
            "osc_operator_cluster_members{name=\"prod\",namespace=\"shop\",state=\"present\"} 2",
            "osc_operator_cluster_members{name=\"prod\",namespace=\"shop\",state=\"ready\"} 1",
            "osc_operator_cluster_members{name=\"prod\",namespace=\"shop\",state=\"reachable\"} 0",
        ] {
            assert!(page.contains(line), "{line} is not in {page}");
        }
        let looked =
            "osc_operator_cluster_last_look_timestamp_seconds{name=\"prod\",namespace=\"shop\"} ";
        let at = page.lines().find_map(|line| line.strip_prefix(looked));
        let ago = jiff::Timestamp::now().as_second() - at.unwrap().parse::<i64>().unwrap();
        assert!((0..60).contains(&ago), "{ago}");
        assert!(!page.contains("Reconciling"), "{page}");
        assert!(!page.contains("SaltMatches"), "{page}");

        metrics.forget("shop", "prod");
        let page = metrics.page().unwrap();
        assert!(!page.contains("prod"), "{page}");
    }

    #[test]
    fn a_cluster_whose_pods_wait_for_a_change_is_shown_with_what_it_waits_for() {
        let metrics = Metrics::new().unwrap();
        let mut told = status(&[("Ready", "True")]);
        let shown = |metrics: &Metrics| {
            let page = metrics.page().unwrap();
            let prefix = "osc_operator_cluster_pending_rollout{";
            let lines = page.lines().filter_map(|line| line.strip_prefix(prefix));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        for reason in PENDING_REASONS {
            told.pending_rollout = Some(PendingRollout {
                reason: reason.to_owned(),
                ..PendingRollout::default()
            });
            metrics.observed("shop", "prod", &figures(&told));
            let line = format!("name=\"prod\",namespace=\"shop\",reason=\"{reason}\"}} 1");
            assert_eq!(shown(&metrics), [line]);
        }
        metrics.forget("shop", "prod");
        assert_eq!(shown(&metrics), Vec::<String>::new());
        metrics.observed("shop", "prod", &figures(&told));
        told.pending_rollout = None;
        metrics.observed("shop", "prod", &figures(&told));
        assert_eq!(shown(&metrics), Vec::<String>::new());
    }

    #[test]
    fn what_the_resource_switches_off_is_no_alarm() {
        let metrics = Metrics::new().unwrap();
        let mut told = status(&[("Ready", "True"), ("TlsReady", "False")]);
        metrics.observed("shop", "prod", &figures(&told));
        assert!(metrics.page().unwrap().contains("TlsReady"));
        // `tls.mode: Disabled`.
        told.conditions[1].reason = "Disabled".to_owned();
        metrics.observed("shop", "prod", &figures(&told));
        assert!(!metrics.page().unwrap().contains("TlsReady"));
    }
}
