//! The status of a resource that is refused as a whole, or in whose namespace the operator lacks rights: why, and what its pods
//! and nodes say where they could be asked all the same.

use k8s_openapi::{
    api::core::v1::Pod,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};

use super::{
    Course, Monitoring, Observation, Running, Tls, Upgrade, conditions, observed,
    verdicts::{self, Truth, Verdict},
};
use crate::{
    cluster::{
        rebuild::RebuildPlan,
        resource::{CONDITIONS, ClusterStatus, MemberStatus},
        rollout::RolloutPlan,
        stalled::Stalled,
        validate::ValidatedCluster,
    },
    node::{NodeDetails, Unverified},
};

/// The reason of conditions that nothing was asked about.
const NOT_LOOKED_AT: &str = "NotLookedAt";

/// What could be read of the cluster.
#[derive(Debug)]
pub struct Glimpse<'a> {
    /// Its identity, and as many nodes as its workload has.
    pub cluster: &'a ValidatedCluster,
    /// Its workload.
    pub running: Running<'a>,
    /// Its pods, each with its node's answer.
    pub pods: &'a [(Pod, Option<NodeDetails>)],
    /// What nodes are judged by; `None` where they could not be asked.
    pub asked: Option<Asked<'a>>,
}

/// What the answers of nodes are judged by.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Fingerprint of the salt Secret.
    pub salt_fingerprint: Option<&'a str>,
    /// The pods at whose address another program than a node of the cluster answers.
    pub unverified: &'a [(String, Unverified)],
}

/// Why the cluster stands still, and what was seen of it; `None` where not even its pods could be read.
pub fn unseen(
    stalled: &Stalled,
    generation: Option<i64>,
    before: &ClusterStatus,
    glimpse: Option<&Glimpse<'_>>,
    now: &Time,
) -> ClusterStatus {
    let seen = glimpse.map(|glimpse| seen(glimpse, before, now));
    let is_asleep = glimpse
        .is_some_and(|glimpse| glimpse.cluster.spec.replicas == 0 && glimpse.pods.is_empty());
    let told = verdicts::standstill(stalled).to_vec();
    let mut after = conditions(told, generation, before, now);
    for type_ in CONDITIONS {
        let is_of_nodes = match type_ {
            "Available" => glimpse.is_some(),
            "SaltMatches" | "Replicated" | "DatabaseReachable" => {
                glimpse.is_some_and(|glimpse| glimpse.asked.is_some())
            }
            _ => false,
        };
        let fresh = seen.as_ref().filter(|_| is_of_nodes && !is_asleep);
        if let Some(fresh) = fresh.and_then(|seen| find(seen, type_)) {
            let observed_generation = generation;
            after.push(Condition {
                observed_generation,
                ..fresh.clone()
            });
        } else if let Some(earlier) = find(before, type_) {
            if type_ == "Paused" || is_of_nodes {
                // What the resource said last stands, and what was known when the last node went to sleep.
                after.push(earlier.clone());
                continue;
            }
            let told = not_looked_at(type_, earlier);
            after.extend(conditions(told, generation, before, now));
        }
    }
    let before = ClusterStatus {
        observed_generation: generation,
        conditions: after,
        ..before.clone()
    };
    match seen {
        Some(_) if is_asleep => before,
        Some(seen) => ClusterStatus {
            replicas: seen.replicas,
            ready_replicas: seen.ready_replicas,
            updated_replicas: seen.updated_replicas,
            nodes_ready: seen.nodes_ready,
            entries: seen.entries,
            members: with_incarnations(seen.members, &before),
            ..before
        },
        None => unknown(before),
    }
}

fn find<'a>(status: &'a ClusterStatus, type_: &str) -> Option<&'a Condition> {
    let mut conditions = status.conditions.iter();
    conditions.find(|condition| condition.type_ == type_)
}

/// The status by the nodes and pods alone.
fn seen(glimpse: &Glimpse<'_>, before: &ClusterStatus, now: &Time) -> ClusterStatus {
    let asked = glimpse.asked;
    let seen = Observation {
        cluster: glimpse.cluster,
        running: glimpse.running,
        pods: glimpse.pods,
        last_reports: &[],
        salt_fingerprint: asked.and_then(|asked| asked.salt_fingerprint),
        monitoring: Monitoring::Unknown,
        tls: Tls {
            unverified: asked.map(|asked| asked.unverified).unwrap_or_default(),
            ..Tls::default()
        },
        stalled: None,
        blocked: None,
        pending_claims: &[],
        claims: &[],
        rebuild: &RebuildPlan::Finished,
        refused_pods: &[],
        rollout: &RolloutPlan::Finished,
        upgrade: Upgrade::default(),
        course: Course::default(),
    };
    observed(&seen, before, now)
}

/// A condition that the operator did not look into; none where it passes with the work that it is about.
fn not_looked_at(type_: &'static str, earlier: &Condition) -> Vec<Verdict> {
    let verdict = |holds, message: &str| Verdict {
        type_,
        holds,
        reason: NOT_LOOKED_AT,
        message: message.to_owned(),
    };
    match type_ {
        "Ready" | "Stalled" | "Reconciling" => Vec::new(),
        // Never Unknown: clients wait for it.
        "Available" if earlier.status == "True" => vec![verdict(
            Truth::True,
            "at least one node served when the operator last looked; it cannot look now, and condition Stalled says why",
        )],
        "Available" => vec![verdict(
            Truth::False,
            "no node served when the operator last looked; it cannot look now, and condition Stalled says why",
        )],
        _ => vec![verdict(
            Truth::Unknown,
            "the operator does not look into this now; condition Stalled says why",
        )],
    }
}

/// A node that does not answer is the one that it was.
fn with_incarnations(mut members: Vec<MemberStatus>, before: &ClusterStatus) -> Vec<MemberStatus> {
    for member in &mut members {
        let mut earlier = before.members.iter();
        let earlier = earlier.find(|earlier| earlier.name == member.name);
        let earlier = earlier.and_then(|earlier| earlier.incarnation.clone());
        member.incarnation = member.incarnation.take().or(earlier);
    }
    members
}

/// How many nodes serve is not known.
fn unknown(mut before: ClusterStatus) -> ClusterStatus {
    for member in &mut before.members {
        member.reachable = false;
    }
    if let Some((_, wanted)) = before.nodes_ready.split_once('/') {
        before.nodes_ready = format!("?/{wanted}");
    }
    before
}
