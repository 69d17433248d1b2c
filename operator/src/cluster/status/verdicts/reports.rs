//! Whether all wanted nodes have reported what a condition is about. Where some have not, it is Unknown: an answer of others
//! proves nothing about them. A node that restarts changes nothing for a while: its last report stands.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::leaving::{ALL, stays};
use crate::{
    cluster::{
        resource::ClusterStatus,
        status::{Observation, Running, is_ready},
    },
    node::NodeDetails,
};

/// How many of the wanted nodes have reported.
pub(super) enum Reports {
    /// All.
    Whole,
    /// All but some that are away, whose last reports stand: the end of the message.
    Standing(String),
    /// Too few: the message.
    Lacking(String),
}

/// The reports that a condition is about, in a word for people, where `tells` is whether an answer has one.
pub(super) fn reports(
    seen: &Observation<'_>,
    before: &ClusterStatus,
    (type_, what): (&str, &str),
    tells: impl Fn(&NodeDetails) -> bool,
) -> Reports {
    let wanted = usize::try_from(seen.cluster.spec.replicas).unwrap_or_default();
    // Pods of a Deployment have other names each time; one that ends has been replaced already.
    let has_names = matches!(seen.running, Running::StatefulSet(_));
    let limit = if has_names { wanted } else { ALL };
    let counts = |pod: &Pod| {
        stays(&pod.name_any(), limit) && (has_names || pod.metadata.deletion_timestamp.is_none())
    };
    let pods = seen.pods.iter().filter(|(pod, _)| counts(pod));
    let (told, silent): (Vec<_>, Vec<_>) =
        pods.partition(|(_, details)| details.as_ref().is_some_and(&tells));
    let told: Vec<_> = told.iter().map(|(pod, _)| pod.name_any()).collect();
    let missing = wanted.saturating_sub(told.len());
    let serving: Vec<_> = silent.iter().filter(|(pod, _)| is_ready(pod)).collect();
    if missing == 0 && serving.is_empty() {
        return Reports::Whole;
    }
    if told.is_empty() {
        return Reports::Lacking(format!("no node has reported its {what} yet"));
    }
    if !serving.is_empty() {
        let names: Vec<_> = serving.iter().map(|(pod, _)| pod.name_any()).collect();
        return Reports::Lacking(format!(
            "no report on the {what} of {}; look at network policies and at the nodes' logs",
            names.join(" and ")
        ));
    }
    let standing = seen.last_reports.iter();
    let standing = standing.filter(|name| stays(name, limit) && !told.contains(name));
    let mut conditions = before.conditions.iter();
    let held = conditions.any(|before| before.type_ == type_ && before.status == "True");
    let silent: Vec<_> = if has_names {
        (0..seen.cluster.spec.replicas)
            .map(|ordinal| seen.cluster.name.pod(ordinal))
            .filter(|name| !told.contains(name))
            .collect()
    } else {
        silent.iter().map(|(pod, _)| pod.name_any()).collect()
    };
    if held && standing.count() >= missing {
        return Reports::Standing(match (has_names, missing) {
            (true, 1) => format!("; {} is away, and its last report stands", silent.join("")),
            (true, _) => format!(
                "; {} are away, and their last reports stand",
                silent.join(" and ")
            ),
            (false, 1) => "; 1 node is away, and its last report stands".to_owned(),
            (false, away) => format!("; {away} nodes are away, and their last reports stand"),
        });
    }
    Reports::Lacking(if silent.is_empty() {
        format!(
            "{} of {wanted} nodes have reported their {what}",
            told.len()
        )
    } else {
        format!(
            "no report on the {what} of {}; condition Ready says what is waited for",
            silent.join(" and ")
        )
    })
}
