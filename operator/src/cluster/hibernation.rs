//! Whether nodes run or sleep. Before they sleep, the operator makes sure that nothing deletes their volumes and records their
//! number; all of them come back before any other number is applied. Pure.

use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy},
    core::v1::Pod,
};
use kube::ResourceExt;

use super::{
    observe,
    volumes::{Kept, VolumeClaim, is_kept},
};
use crate::names::ANNOTATION_HIBERNATED;

/// Whether nodes run or sleep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rest {
    /// They run.
    #[default]
    Awake,
    /// Nodes run until nothing deletes their volumes any more.
    Holding {
        /// How many there are.
        nodes: i32,
    },
    /// They sleep, or end just now.
    Asleep {
        /// How many there are.
        nodes: i32,
    },
    /// They come back.
    Waking {
        /// How many there are.
        nodes: i32,
    },
}

impl Rest {
    /// The number of nodes, where it differs from the requested one.
    pub(super) fn nodes(self) -> Option<i32> {
        match self {
            Self::Awake => None,
            Self::Holding { nodes } | Self::Asleep { nodes } | Self::Waking { nodes } => {
                Some(nodes)
            }
        }
    }

    /// Writes it into the StatefulSet that is wanted.
    pub(super) fn shape(self, wanted: &mut StatefulSet) {
        let Some(spec) = wanted.spec.as_mut() else {
            return;
        };
        if self != Self::Awake {
            let policy = spec
                .persistent_volume_claim_retention_policy
                .get_or_insert_with(StatefulSetPersistentVolumeClaimRetentionPolicy::default);
            policy.when_scaled = Some("Retain".to_owned());
        }
        match self {
            Self::Awake | Self::Holding { .. } => {}
            Self::Asleep { nodes } => {
                spec.replicas = Some(0);
                record(wanted, nodes);
            }
            Self::Waking { nodes } => record(wanted, nodes),
        }
    }
}

fn record(wanted: &mut StatefulSet, nodes: i32) {
    let annotations = wanted.metadata.annotations.get_or_insert_default();
    annotations.insert(ANNOTATION_HIBERNATED.to_owned(), nodes.to_string());
}

/// The input of the decision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation<'a> {
    /// Whether nodes are to sleep.
    pub(super) hibernate: bool,
    /// The number of nodes in the resource.
    pub(super) wanted: i32,
    /// The present StatefulSet.
    pub(super) there: Option<&'a StatefulSet>,
    /// The cluster's claims.
    pub(super) claims: &'a [VolumeClaim],
}

/// Decides.
pub(super) fn plan<'a>(
    situation: Situation<'_>,
    pods: impl Iterator<Item = &'a Pod> + Clone,
) -> Rest {
    let Situation {
        hibernate,
        wanted,
        there,
        claims,
    } = situation;
    let recorded = there.and_then(recorded);
    if !hibernate {
        return match recorded {
            Some(nodes) if !are_all_ready(nodes, there, pods) => Rest::Waking { nodes },
            _ => Rest::Awake,
        };
    }
    let Some(set) = there else {
        let nodes = orphans(pods).unwrap_or(wanted);
        return Rest::Asleep { nodes };
    };
    let running = replicas(set).filter(|running| *running > 0);
    let nodes = recorded.or(running).unwrap_or(wanted);
    if running.is_none() || is_kept(Kept::WhenScaled, set, claims) {
        Rest::Asleep { nodes }
    } else {
        Rest::Holding { nodes }
    }
}

/// The state in the StatefulSet itself, whatever the resource asks for.
pub(super) fn as_it_is(there: Option<&StatefulSet>) -> Rest {
    let Some((set, nodes)) = there.and_then(|set| Some((set, recorded(set)?))) else {
        return Rest::Awake;
    };
    match replicas(set) {
        Some(0) => Rest::Asleep { nodes },
        _ => Rest::Waking { nodes },
    }
}

/// The number of nodes of a cluster whose StatefulSet is away, by the pods that it left: none of them goes before it has left
/// its cluster.
pub(super) fn orphans<'a>(pods: impl Iterator<Item = &'a Pod>) -> Option<i32> {
    let staying = pods.filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let highest = staying.filter_map(observe::ordinal).max()?;
    i32::try_from(highest.saturating_add(1)).ok()
}

fn recorded(set: &StatefulSet) -> Option<i32> {
    let nodes = set.annotations().get(ANNOTATION_HIBERNATED)?;
    nodes.parse().ok().filter(|nodes| *nodes > 0)
}

fn replicas(set: &StatefulSet) -> Option<i32> {
    set.spec.as_ref()?.replicas
}

fn are_all_ready<'a>(
    nodes: i32,
    there: Option<&StatefulSet>,
    pods: impl Iterator<Item = &'a Pod>,
) -> bool {
    let wanted = usize::try_from(nodes).unwrap_or_default();
    let ready = pods.filter(|pod| {
        observe::ordinal(pod).is_some_and(|ordinal| ordinal < wanted)
            && super::status::is_ready(pod)
    });
    there.and_then(replicas) == Some(nodes) && ready.count() == wanted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(replicas: i32, recorded: Option<&str>, policy: &str) -> StatefulSet {
        let annotations = recorded.map(|nodes| json!({ ANNOTATION_HIBERNATED: nodes }));
        serde_json::from_value(json!({
            "metadata": { "generation": 2, "annotations": annotations },
            "spec": {
                "selector": {}, "template": {}, "serviceName": "prod-nodes", "replicas": replicas,
                "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Delete", "whenScaled": policy },
            },
            "status": { "replicas": replicas, "observedGeneration": 2 },
        }))
        .unwrap()
    }

    fn claims(owner: &str) -> Vec<VolumeClaim> {
        let owners = json!([{ "apiVersion": "v1", "kind": owner, "name": "x", "uid": "u" }]);
        let claim = json!({ "metadata": { "name": "data-prod-0", "ownerReferences": owners } });
        vec![VolumeClaim::read(&serde_json::from_value(claim).unwrap()).unwrap()]
    }

    fn pods(count: usize, ready: bool) -> Vec<Pod> {
        let ready = if ready { "True" } else { "False" };
        let pod = |ordinal| {
            json!({ "metadata": { "name": format!("prod-{ordinal}") },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] } })
        };
        (0..count)
            .map(|ordinal| serde_json::from_value(pod(ordinal)).unwrap())
            .collect()
    }

    fn decide(hibernate: bool, there: &StatefulSet, claims: &[VolumeClaim], pods: &[Pod]) -> Rest {
        let situation = Situation {
            hibernate,
            wanted: 3,
            there: Some(there),
            claims,
        };
        plan(situation, pods.iter())
    }

    #[test]
    fn nodes_sleep_only_once_nothing_deletes_their_volumes() {
        let running = pods(3, true);
        let sleep = |there: &StatefulSet, owner| decide(true, there, &claims(owner), &running);
        let holding = Rest::Holding { nodes: 3 };
        assert_eq!(sleep(&set(3, None, "Delete"), "StatefulSet"), holding);
        assert_eq!(sleep(&set(3, None, "Retain"), "Pod"), holding);
        let asleep = Rest::Asleep { nodes: 3 };
        assert_eq!(sleep(&set(3, None, "Retain"), "StatefulSet"), asleep);
        assert_eq!(sleep(&set(0, Some("3"), "Retain"), "StatefulSet"), asleep);
    }

    #[test]
    fn as_many_come_back_as_fell_asleep_whatever_is_asked_for_meanwhile() {
        let asleep = set(0, Some("5"), "Retain");
        let none = claims("StatefulSet");
        assert_eq!(decide(true, &asleep, &none, &[]), Rest::Asleep { nodes: 5 });
        let waking = Rest::Waking { nodes: 5 };
        assert_eq!(decide(false, &asleep, &none, &[]), waking);
        let back = set(5, Some("5"), "Retain");
        assert_eq!(decide(false, &back, &none, &pods(5, false)), waking);
        assert_eq!(decide(false, &back, &none, &pods(4, true)), waking);
        assert_eq!(decide(false, &back, &none, &pods(5, true)), Rest::Awake);
        assert_eq!(
            decide(true, &back, &none, &pods(4, true)),
            Rest::Asleep { nodes: 5 }
        );
    }

    #[test]
    fn a_set_that_was_emptied_by_hand_is_no_record() {
        let emptied = set(0, None, "Delete");
        assert_eq!(
            decide(true, &emptied, &claims("Pod"), &[]),
            Rest::Asleep { nodes: 3 }
        );
        assert_eq!(decide(false, &emptied, &claims("Pod"), &[]), Rest::Awake);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut wanted = set(3, None, "Delete");
        Rest::Holding { nodes: 3 }.shape(&mut wanted);
        assert_eq!(as_it_is(Some(&wanted)), Rest::Awake);
        let asleep = Rest::Asleep { nodes: 3 };
        asleep.shape(&mut wanted);
        assert_eq!(as_it_is(Some(&wanted)), asleep);
        assert!(is_kept(Kept::WhenScaled, &wanted, &[]));
        let mut back = set(3, None, "Delete");
        let waking = Rest::Waking { nodes: 3 };
        waking.shape(&mut back);
        assert_eq!(as_it_is(Some(&back)), waking);
    }

    #[test]
    fn pods_whose_set_is_away_are_counted_unless_they_end() {
        assert_eq!(orphans(pods(3, true).iter()), Some(3));
        assert_eq!(orphans([].iter()), None);
        let mut ending = pods(1, true);
        let when = "2026-01-01T00:00:00Z".parse().unwrap();
        ending[0].metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(when));
        assert_eq!(orphans(ending.iter()), None);
    }
}
