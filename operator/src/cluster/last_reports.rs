//! Nodes that reported a short while ago. While such a node is replaced or starts again, its last report stands: a restart is no
//! news about salts and certificates.

use std::{collections::HashMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::time::Instant;

use super::resource::ClusterStatus;
use crate::node::NodeDetails;

/// How long the last report of a node stands: as long as a pod may take to come back before a user has to look.
const STANDS: Duration = Duration::from_mins(10);

/// When each node last answered, by its name; `None` before the first look of this process.
#[derive(Debug, Default)]
pub(super) struct LastReports(Option<HashMap<String, Instant>>);

impl LastReports {
    /// Notes the nodes that answer now, and gives the names of those whose last report stands. An operator that starts goes on
    /// from the nodes of the last status.
    pub(super) fn note(
        &mut self,
        pods: &[(Pod, Option<NodeDetails>)],
        before: &ClusterStatus,
        now: Instant,
    ) -> Vec<String> {
        let reports = self.0.get_or_insert_with(|| {
            let members = before.members.iter();
            members.map(|member| (member.name.clone(), now)).collect()
        });
        reports.retain(|_, at| now.saturating_duration_since(*at) < STANDS);
        let answered = pods.iter().filter(|(_, details)| details.is_some());
        reports.extend(answered.map(|(pod, _)| (pod.name_any(), now)));
        let mut names: Vec<_> = reports.keys().cloned().collect();
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::resource::MemberStatus;

    fn pod(name: &str, answers: bool) -> (Pod, Option<NodeDetails>) {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.to_owned());
        (pod, answers.then(NodeDetails::default))
    }

    #[test]
    fn a_report_stands_for_ten_minutes_also_where_its_pod_is_gone() {
        let (mut memory, start) = (LastReports::default(), Instant::now());
        let mut at = |minute: u64, pods: &[(Pod, Option<NodeDetails>)]| {
            let now = start + Duration::from_mins(minute);
            memory.note(pods, &ClusterStatus::default(), now)
        };
        assert_eq!(at(0, &[pod("a", true), pod("b", false)]), ["a"]);
        assert_eq!(at(5, &[pod("b", true)]), ["a", "b"]);
        assert_eq!(at(9, &[pod("a", false), pod("b", false)]), ["a", "b"]);
        assert_eq!(at(10, &[pod("a", false), pod("b", false)]), ["b"]);
        assert_eq!(at(15, &[]), Vec::<String>::new());
    }

    #[test]
    fn an_operator_that_starts_goes_on_from_the_nodes_of_the_last_status() {
        let mut memory = LastReports::default();
        let member = MemberStatus {
            name: "a".to_owned(),
            ..MemberStatus::default()
        };
        let before = ClusterStatus {
            members: vec![member],
            ..ClusterStatus::default()
        };
        let start = Instant::now();
        assert_eq!(memory.note(&[], &before, start), ["a"]);
        // Once only: what this process saw counts from then on.
        let later = start + Duration::from_mins(10);
        assert_eq!(memory.note(&[], &before, later), Vec::<String>::new());
    }
}
