//! Nodes of `rebuildMembers` that are not rebuilt, each as the plan finds it.

use serde_json::json;

use super::{
    super::{answer, pod, seen, time},
    Means, States,
};
use crate::{
    cluster::{
        hibernation::Rest,
        rebuild::{RebuildPlan, plan_rebuild},
        resource::{ClusterStatus, prod},
        status::observed,
        validate::{ValidatedCluster, validate},
        volumes::VolumeClaim,
    },
    node::{MemberState, NodeDetails, NodeMember},
};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};

const LIFE: &str = "0123456789abcdef";

type Node = (Pod, Option<NodeDetails>);

/// Nodes of which this one is to be rebuilt.
struct Story {
    spec: String,
    nodes: Vec<Node>,
    rest: Rest,
}

impl Story {
    /// So many nodes that serve; the second one is to be rebuilt.
    fn of(count: i32) -> Self {
        let life = |ordinal| if ordinal == 1 { LIFE } else { "another life" };
        let nodes = (0..count).map(|ordinal| {
            let mut details = answer("aa", 1);
            details.as_mut().unwrap().incarnation = life(ordinal).to_owned();
            (pod(ordinal, true), details)
        });
        Self {
            spec: format!(
                "{{replicas: {count}, rebuildMembers: [{{name: prod-1, incarnation: {LIFE}}}]}}"
            ),
            nodes: nodes.collect(),
            rest: Rest::Awake,
        }
    }

    fn with(mut self, change: impl Fn(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn details(&mut self) -> &mut NodeDetails {
        self.nodes[1].1.as_mut().unwrap()
    }

    fn status(
        &self,
        outcome: impl Fn(RebuildPlan, &ValidatedCluster) -> RebuildPlan,
    ) -> ClusterStatus {
        let mut resource = prod(&self.spec);
        resource.metadata.namespace = Some("shop".to_owned());
        resource.metadata.generation = Some(4);
        let cluster = validate(&resource, "node:1").unwrap();
        let count = self.nodes.len();
        let set: StatefulSet = serde_json::from_value(json!({
            "metadata": { "generation": 1 },
            "spec": { "replicas": count, "selector": {}, "template": {}, "serviceName": "prod-nodes" },
            "status": { "observedGeneration": 1, "replicas": count, "updatedReplicas": count },
        }))
        .unwrap();
        let claims: Vec<_> = (0..count).map(claim).collect();
        let plan = plan_rebuild(&cluster, Some(&set), &self.nodes, &claims, self.rest);
        let plan = outcome(plan, &cluster);
        assert!(matches!(plan, RebuildPlan::Blocked(_)), "{plan:?}");
        let mut seen = seen(&cluster, &set, &self.nodes);
        seen.rebuild = &plan;
        observed(&seen, &ClusterStatus::default(), &time(1))
    }
}

fn claim(ordinal: usize) -> VolumeClaim {
    let life = if ordinal == 1 { LIFE } else { "another life" };
    let claim = json!({ "metadata": {
        "name": format!("data-prod-{ordinal}"), "annotations": { "opensecureconf.io/incarnation": life },
    } });
    VolumeClaim::read(&serde_json::from_value(claim).unwrap()).unwrap()
}

pub(super) fn add(states: &mut States) {
    let asleep = Rest::Asleep { nodes: 2 };
    for (name, means, story) in [
        (
            "there is no such node",
            Means::Ready,
            Story::of(2).with(|story| story.spec = story.spec.replace("prod-1", "other-1")),
        ),
        (
            "there is no other node",
            Means::Ready,
            Story::of(1).with(|story| {
                story.spec = story.spec.replace("prod-1", "prod-0");
                story.nodes[0].1.as_mut().unwrap().incarnation = LIFE.to_owned();
            }),
        ),
        (
            "no other node serves",
            Means::UnderWay,
            Story::of(2).with(|story| story.nodes[0] = (pod(0, false), None)),
        ),
        (
            "it does not answer",
            Means::UnderWay,
            Story::of(2).with(|story| story.nodes[1].1 = None),
        ),
        (
            "another one is down",
            Means::UnderWay,
            Story::of(3).with(|story| story.nodes[2] = (pod(2, false), None)),
        ),
        (
            "it is no member",
            Means::UnderWay,
            Story::of(2).with(|story| {
                story.details().state = MemberState::Blank;
                story.details().ready = false;
            }),
        ),
        (
            "others lack what it has",
            Means::UnderWay,
            Story::of(2).with(|story| {
                story.details().state = MemberState::Leaving;
                story.details().ready = false;
                story.details().members = vec![NodeMember {
                    name: "prod-0".to_owned(),
                    state: MemberState::Member,
                    reachable: true,
                    lag: 7,
                    ..NodeMember::default()
                }];
            }),
        ),
        (
            "the resource is paused",
            Means::Ready,
            Story::of(2).with(|story| story.spec = story.spec.replacen('{', "{paused: true, ", 1)),
        ),
        (
            "nodes sleep",
            Means::Ready,
            Story::of(2).with(|story| story.rest = asleep),
        ),
    ] {
        let name = format!("a node is not rebuilt: {name}");
        states.add(&name, means, &story.status(|plan, _| plan));
    }
    let refused = |plan: RebuildPlan, cluster: &_| plan.refused(cluster, "claims is forbidden");
    let words = "Cannot evict pod as it would violate the pod's disruption budget.";
    let held = |plan: RebuildPlan, cluster: &_| plan.held(cluster, ("prod-1", words));
    let refused = Story::of(2).status(|plan, cluster| refused(plan, cluster).unwrap());
    let name = "a node is not rebuilt: the operator may not";
    states.add(name, Means::Ready, &refused);
    let held = Story::of(2).status(|plan, cluster| held(plan, cluster).unwrap());
    let name = "a node is not rebuilt: its disruption budget does not let its pod go";
    states.add(name, Means::Ready, &held);
}
