//! Decisions about a cluster before its children are built: the present number of nodes, whether they sleep, and the sizes of
//! their volumes. Writes nothing.

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::Client;

use super::{
    api_key::{AcceptedKeys, KeyRotation},
    converge::Plans,
    dereference::DereferencedObjects,
    hibernation::{self, Rest},
    membership::{self, MembershipPlan},
    namespace_end,
    pause::Pause,
    rebuild::{self, RebuildPlan},
    resource::ClusterStatus,
    rollout::Accepted,
    rules::Rule,
    stalled::Stalled,
    status::Course,
    validate::ValidatedCluster,
    volumes::{self, Growth},
};
use crate::{node::NodeDetails, pki::Trust};

/// The decisions.
pub(super) struct Planned {
    pub(super) membership: MembershipPlan,
    pub(super) rebuild: RebuildPlan,
    rest: Rest,
    growth: Growth,
    restarted_at: Option<String>,
    may_remake: bool,
    is_ending: bool,
}

/// Decides.
///
/// # Errors
/// Where storage classes are needed and cannot be read.
pub(super) async fn plan(
    client: &Client,
    valid: &ValidatedCluster,
    found: &DereferencedObjects,
    pods: &[(Pod, Option<NodeDetails>)],
) -> Result<Planned, kube::Error> {
    let there = found.stateful_set.as_deref();
    let own_pods = pods.iter().map(|(pod, _)| pod);
    let situation = hibernation::Situation {
        hibernate: valid.spec.hibernate,
        wanted: valid.spec.replicas,
        there,
        claims: &found.volumes,
    };
    let mut rest = hibernation::plan(situation, own_pods.clone());
    if let Rest::Holding { nodes } = rest
        && !valid.installation.rules.hold(Rule::VolumesAreKeptInSleep)
    {
        rest = Rest::Asleep { nodes };
    }
    let rebuild = rebuild::plan_rebuild(valid, there, pods, &found.volumes, rest);
    let membership = membership::plan(valid, found, there, pods, (rest, rebuild.keeps()));
    let growth = match rest {
        Rest::Awake => {
            volumes::look(client, valid, there, &found.volumes, membership.replicas()).await?
        }
        // File systems grow where pods use them.
        Rest::Holding { .. } | Rest::Asleep { .. } | Rest::Waking { .. } => Growth::Settled,
    };
    Ok(Planned {
        rebuild,
        rest,
        growth,
        restarted_at: volumes::restarted_at(there, own_pods),
        may_remake: rest == Rest::Awake && membership.is_at_rest(valid.spec.replicas, there),
        membership,
        is_ending: is_ending(client, valid, found, pods).await,
    })
}

/// Whether a namespace is being deleted in the middle of a rollout. Kubernetes begins the deletion with the pods, and one of
/// them runs in every other rollout, at least before and after.
async fn is_ending(
    client: &Client,
    valid: &ValidatedCluster,
    found: &DereferencedObjects,
    pods: &[(Pod, Option<NodeDetails>)],
) -> bool {
    let is_rolling_out = found
        .accepted
        .as_ref()
        .is_some_and(Accepted::is_rolling_out);
    let all_go = pods
        .iter()
        .all(|(pod, _)| pod.metadata.deletion_timestamp.is_some());
    is_rolling_out && all_go && namespace_end::has_begun(client, &valid.namespace).await
}

impl Planned {
    /// The plans by which children are built and written.
    pub(super) fn plans<'a>(
        &'a self,
        (running, api_keys): (&'a [Trust], &'a [AcceptedKeys]),
        is_rolled_out: bool,
    ) -> Plans<'a> {
        Plans {
            running,
            api_keys,
            rest: self.rest,
            growth: &self.growth,
            may_remake: self.may_remake,
            restarted_at: self.restarted_at.as_deref(),
            is_rolled_out,
            is_ending: self.is_ending,
        }
    }

    /// Notes that the operator may not have volumes grow, where that is so.
    pub(super) fn note(&mut self, forbidden_growth: Option<Stalled>) {
        if let Some(why) = forbidden_growth {
            self.growth = Growth::Stalled {
                why,
                template: None,
            };
        }
    }

    /// Why volumes stay as they are, where a user has to act.
    pub(super) fn stalled(&self) -> Option<Stalled> {
        self.growth.stalled().cloned()
    }

    /// The plans in the form of the status. For a paused cluster only those that are in force already.
    pub(super) fn course<'a>(
        &'a self,
        there: Option<&StatefulSet>,
        (pause, api_key): (Option<&'a Pause>, Option<&'a KeyRotation>),
    ) -> Course<'a> {
        let (rest, growth) = match pause {
            None => (self.rest, Some(&self.growth)),
            Some(_) => (hibernation::as_it_is(there), None),
        };
        Course {
            rest,
            growth,
            pause,
            api_key,
        }
    }
}

/// The generation of a resource that was never applied, as the definition's default says.
const UNSEEN: i64 = -1;

/// The cluster as its status reports it: while changes wait, that is the spec that was applied last, with the StatefulSet's
/// number of nodes.
pub(super) fn told(
    valid: &ValidatedCluster,
    pause: Option<&Pause>,
    before: &ClusterStatus,
    there: Option<&StatefulSet>,
) -> ValidatedCluster {
    let waits = pause.is_some_and(|pause| !pause.waits.is_empty());
    let generation = if waits {
        before.observed_generation.or(Some(UNSEEN))
    } else {
        valid.generation
    };
    let applied = there.and_then(|set| set.spec.as_ref()?.replicas);
    let replicas = applied.filter(|applied| waits && *applied > 0);
    ValidatedCluster {
        generation,
        ..valid.with_replicas(replicas.unwrap_or(valid.spec.replicas))
    }
}
