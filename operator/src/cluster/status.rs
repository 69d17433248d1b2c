//! From observations to the status. Pure, except for the one function at the end that writes it.

mod endpoint;
mod failing;
mod unseen;
mod upgrade;
mod verdicts;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};

use super::{
    api_key::KeyRotation,
    dereference::{OptionalKind, PendingClaim},
    downgrade,
    hibernation::Rest,
    pause::Pause,
    pod_creation::RefusedPod,
    rebuild::RebuildPlan,
    resource::{ClusterStatus, MemberStatus, OpenSecureConfCluster},
    rollout::RolloutPlan,
    secrets::ManagedSecret,
    stalled::Stalled,
    validate::ValidatedCluster,
    volumes::{Growth, VolumeClaim},
};
use crate::{
    names::STATUS_FIELD_MANAGER,
    node::{NodeCertificates, NodeDetails, Unverified},
    pki::Waiting,
};
pub use failing::failing;
pub use unseen::{Asked, Glimpse, unseen};
pub use upgrade::Upgrade;
use verdicts::Verdict;
pub(super) use verdicts::{
    AUTHORITY_REFUSED, NOT_VERIFIED, PLANNED, ROLLING_OUT, ROLLOUT_BLOCKED, VOLUMES_GROWING,
    last_words,
};

/// Everything that a status is made from.
#[derive(Debug)]
pub struct Observation<'a> {
    /// The wanted state.
    pub cluster: &'a ValidatedCluster,
    /// The workload of the nodes.
    pub running: Running<'a>,
    /// The existing pods, each with its node's answer.
    pub pods: &'a [(Pod, Option<NodeDetails>)],
    /// The nodes that answered a short while ago, by their names: the last report of one that is away stands.
    pub last_reports: &'a [String],
    /// Fingerprint of the salt Secret.
    pub salt_fingerprint: Option<&'a str>,
    /// The state of the ServiceMonitor.
    pub monitoring: Monitoring,
    /// The state of certificates.
    pub tls: Tls<'a>,
    /// Why the cluster stands still, where it does.
    pub stalled: Option<&'a Stalled>,
    /// The step that a user has to take before nodes can be removed.
    pub blocked: Option<&'a str>,
    /// The claims that have no volume yet.
    pub pending_claims: &'a [PendingClaim],
    /// The claims of its nodes.
    pub claims: &'a [VolumeClaim],
    /// The plan for nodes that a user wants to rebuild.
    pub rebuild: &'a RebuildPlan,
    /// The pods that Kubernetes may not make.
    pub refused_pods: &'a [RefusedPod],
    /// The plan for pods of another template.
    pub rollout: &'a RolloutPlan,
    /// The changes of the pod template that wait.
    pub upgrade: Upgrade,
    /// The state of the cluster as a whole.
    pub course: Course<'a>,
}

/// The workload of the nodes in the API server, where it exists.
#[derive(Debug, Clone, Copy)]
pub enum Running<'a> {
    /// Nodes that have volumes.
    StatefulSet(Option<&'a StatefulSet>),
    /// Nodes that share a database.
    Deployment(Option<&'a Deployment>),
}

impl Running<'_> {
    /// How many pods there are, and how many of them have the wanted template.
    fn counts(self) -> (i32, i32) {
        let counts = match self {
            Self::StatefulSet(set) => set
                .and_then(|set| set.status.as_ref())
                .map(|status| (Some(status.replicas), status.updated_replicas)),
            Self::Deployment(deployment) => deployment
                .and_then(|deployment| deployment.status.as_ref())
                .map(|status| (status.replicas, status.updated_replicas)),
        };
        let (replicas, updated) = counts.unwrap_or_default();
        (replicas.unwrap_or_default(), updated.unwrap_or_default())
    }
}

/// The state of a cluster as a whole.
#[derive(Debug, Clone, Copy, Default)]
pub struct Course<'a> {
    /// Whether its nodes run or sleep.
    pub rest: Rest,
    /// Whether its volumes become larger.
    pub growth: Option<&'a Growth>,
    /// The changes that wait, where it is paused.
    pub pause: Option<&'a Pause>,
    /// How far a change of the clients' key has come.
    pub api_key: Option<&'a KeyRotation>,
}

/// The state of certificates, beside the nodes' reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tls<'a> {
    /// The nodes for which a renewal of the authority waits.
    pub waiting: Option<&'a Waiting>,
    /// Whether the Secret with the certificate that clients see is there, where it is not the nodes' own.
    pub client_secret_found: bool,
    /// Whether cert-manager's Certificates can be worked with.
    pub certificates: Option<&'a OptionalKind>,
    /// The names of the Service, where that certificate is for none of them.
    pub unnamed: &'a [String],
    /// That this certificate has ended or not begun, where that is so.
    pub not_valid: Option<&'a str>,
    /// Why the authority that a user had put into its Secret is of no use, where the operator's stands in its place.
    pub authority_refused: Option<&'a str>,
    /// The pods at whose address another program than a node of the cluster answers.
    pub unverified: &'a [(String, Unverified)],
}

/// The state of the ServiceMonitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Monitoring {
    /// Not wanted.
    Off,
    /// It is there.
    Applied,
    /// It is wanted and not there.
    Missing,
    /// It is there, and the ConfigMap with the authorities that it names is not.
    WithoutAuthorities,
    /// This Kubernetes does not know ServiceMonitors.
    Unknown,
    /// The operator may not write them, in the API server's words.
    Forbidden(String),
}

/// The status of a cluster whose nodes were asked, even one that stands still.
pub fn observed(seen: &Observation<'_>, before: &ClusterStatus, now: &Time) -> ClusterStatus {
    let Observation {
        cluster,
        running,
        pods,
        salt_fingerprint,
        upgrade,
        ..
    } = seen;
    let members: Vec<_> = pods
        .iter()
        .map(|(pod, details)| member(pod, details.as_ref(), seen.claims))
        .collect();
    let (replicas, updated_replicas) = running.counts();
    let ready = members.iter().filter(|member| member.ready).count();
    let staying = verdicts::staying(seen, &members);
    let staying_ready = staying.iter().filter(|member| member.ready).count();
    // While pods are replaced, some come before others go.
    let wanted = usize::try_from(cluster.spec.replicas).unwrap_or_default();
    let staying_ready = staying_ready.min(wanted);
    let versions: Vec<_> = members
        .iter()
        .filter_map(|member| member.version.clone())
        .collect();
    let same_version = versions
        .iter()
        .all(|version| Some(version) == versions.first());
    ClusterStatus {
        observed_generation: cluster.generation,
        replicas,
        ready_replicas: i32::try_from(ready).unwrap_or(i32::MAX),
        updated_replicas,
        nodes_ready: format!("{staying_ready}/{}", cluster.spec.replicas),
        entries: members
            .iter()
            .filter_map(|member| member.entries)
            .max()
            .or(before.entries),
        selector: cluster
            .name
            .selector()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(","),
        version: versions.first().filter(|_| same_version).cloned(),
        image: upgrade.image.as_ref().unwrap_or(&cluster.image).clone(),
        written_by: downgrade::written_by(pods, before),
        pending_rollout: upgrade.pending.clone(),
        // Also while the Secret is lost: a member with this very salt can put it back at once.
        salt_fingerprint: salt_fingerprint
            .map(str::to_owned)
            .or_else(|| before.salt_fingerprint.clone()),
        api_key_secret_name: match &cluster.spec.api_key.secret_ref {
            Some(reference) => reference.name.clone(),
            None if cluster.spec.api_key.required => ManagedSecret::ApiKey.name(&cluster.name),
            None => String::new(),
        },
        endpoint: endpoint::endpoint(seen),
        ca_config_map_name: cluster.name.ca(),
        conditions: conditions(
            verdicts::verdicts(seen, before, &members, ready),
            cluster.generation,
            before,
            now,
        ),
        members,
    }
}

/// The status before, where the operator did not ask the nodes: these verdicts, and the other conditions of the last
/// observation.
fn beside_what_was_seen(
    told: Vec<Verdict>,
    generation: Option<i64>,
    before: &ClusterStatus,
    now: &Time,
) -> ClusterStatus {
    let mut after = conditions(told, generation, before, now);
    let kept = |condition: &&Condition| {
        !["Ready", "Stalled", "Reconciling"].contains(&condition.type_.as_str())
    };
    after.extend(before.conditions.iter().filter(kept).cloned());
    ClusterStatus {
        observed_generation: generation,
        conditions: after,
        ..before.clone()
    }
}

/// The incarnation of a node on its volume: from its own report, otherwise from its last one.
pub(super) fn incarnation(
    pod: &str,
    details: Option<&NodeDetails>,
    claims: &[VolumeClaim],
) -> Option<String> {
    let said = details.filter(|details| !details.incarnation.is_empty());
    let of_pod = |claim: &&VolumeClaim| claim.name.strip_prefix("data-") == Some(pod);
    let remembered = || claims.iter().find(of_pod)?.incarnation.clone();
    said.map(|details| details.incarnation.clone())
        .or_else(remembered)
}

fn member(pod: &Pod, details: Option<&NodeDetails>, claims: &[VolumeClaim]) -> MemberStatus {
    let certificates: Option<&NodeCertificates> =
        details.and_then(|details| details.tls.as_ref()?.node.as_ref());
    MemberStatus {
        name: pod.name_any(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        ready: is_ready(pod),
        reachable: details.is_some(),
        state: details.map(|details| details.state.to_string()),
        incarnation: incarnation(&pod.name_any(), details, claims),
        version: details.map(|details| details.version.clone()),
        schema: details.and_then(|details| details.schema),
        salt_fingerprint: details.and_then(|details| details.salt_fingerprint.clone()),
        entries: details.map(|details| i64::try_from(details.entries).unwrap_or(i64::MAX)),
        // Set by the code that remembers when it last had everything.
        lag_seconds: None,
        certificate_fingerprint: certificates.and_then(|node| node.leaf.clone()),
        authority_fingerprints: certificates
            .and_then(|node| node.authorities.clone())
            .unwrap_or_default(),
        api_key_fingerprints: details
            .and_then(|details| details.api_keys.clone())
            .unwrap_or_default(),
    }
}

/// An ending pod serves no more, whatever its condition still says.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions
            .into_iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn conditions(
    verdicts: Vec<Verdict>,
    generation: Option<i64>,
    before: &ClusterStatus,
    now: &Time,
) -> Vec<Condition> {
    verdicts
        .into_iter()
        .map(
            |Verdict {
                 type_,
                 holds,
                 reason,
                 message,
             }| {
                let status = holds.text();
                let same = before
                    .conditions
                    .iter()
                    .find(|condition| condition.type_ == type_ && condition.status == status);
                Condition {
                    type_: type_.to_owned(),
                    status: status.to_owned(),
                    reason: reason.to_owned(),
                    message,
                    observed_generation: generation,
                    last_transition_time: same.map_or_else(
                        || now.clone(),
                        |condition| condition.last_transition_time.clone(),
                    ),
                }
            },
        )
        .collect()
}

/// Writes the status where it differs from the stored one, and returns whether it did.
pub async fn write(
    client: &Client,
    cluster: &OpenSecureConfCluster,
    status: &ClusterStatus,
) -> Result<bool, kube::Error> {
    if cluster.status.as_ref() == Some(status) {
        return Ok(false);
    }
    let namespace = cluster.namespace().unwrap_or_default();
    // The answer is ignored: that of a resource that does not parse would not parse either.
    let kind = ApiResource::erase::<OpenSecureConfCluster>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &kind);
    let patch = serde_json::json!({
        "apiVersion": "opensecureconf.io/v1alpha1",
        "kind": "OpenSecureConfCluster",
        "metadata": { "name": cluster.name_any() },
        "status": status,
    });
    let parameters = PatchParams::apply(STATUS_FIELD_MANAGER).force();
    api.patch_status(&cluster.name_any(), &parameters, &Patch::Apply(patch))
        .await
        .map(|_| true)
}

#[cfg(test)]
mod tests;
