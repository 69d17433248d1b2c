//! The verdicts on a cluster, condition by condition.

mod api_key;
mod authority;
mod course;
mod fences;
mod leaving;
mod reports;
mod rolling;
mod salts;
mod shared;
mod tls;
mod uids;
mod unverified;
mod waiting;
mod writes;

use kube::ResourceExt;

use super::{Monitoring, Observation, Running, Stalled};
use crate::cluster::{
    downgrade::DATABASE_NEWER,
    pause::PAUSED,
    rebuild::{Blocked, RebuildPlan},
    resource::{ClusterStatus, MemberStatus, Mode},
    rollout::UNDER_WAY,
    secrets::ManagedSecret,
    validate::ValidatedCluster,
    volumes::Growth,
};
pub(in crate::cluster) use authority::AUTHORITY_REFUSED;
pub(super) use leaving::staying;
use leaving::stays;
use reports::{Reports, reports};
pub(in crate::cluster) use rolling::{ROLLING_OUT, ROLLOUT_BLOCKED};
pub(super) use tls::is_https_closed;
pub(in crate::cluster) use unverified::NOT_VERIFIED;
pub(in crate::cluster) use waiting::last_words;

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    /// Nodes could not be asked.
    Unknown,
}

impl Truth {
    /// As Kubernetes spells it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// A condition without its bookkeeping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) type_: &'static str,
    pub(super) holds: Truth,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

fn verdict(
    type_: &'static str,
    holds: impl Into<Truth>,
    reason: &'static str,
    message: impl Into<String>,
) -> Verdict {
    Verdict {
        type_,
        holds: holds.into(),
        reason,
        message: message.into(),
    }
}

/// `RebuildBlocked`, which is there only while it is true.
fn rebuild_blocked(seen: &Observation<'_>) -> Option<Verdict> {
    let RebuildPlan::Blocked(blocked) = seen.rebuild else {
        return None;
    };
    let Blocked {
        node,
        reason,
        missing,
    } = blocked;
    let message = format!("{node} is not rebuilt: {missing}");
    Some(verdict("RebuildBlocked", true, reason, message))
}

/// The two conditions of a cluster that stands still.
pub(super) fn standstill(Stalled { reason, message }: &Stalled) -> [Verdict; 2] {
    [
        verdict("Ready", false, reason, message),
        verdict("Stalled", true, reason, message),
    ]
}

/// `Ready`, and its companion: `Stalled` where the cluster stands still, otherwise the change under way. Pods from the ordinal
/// `wanted` on are ignored.
fn readiness(
    seen: &Observation<'_>,
    wanted: usize,
    under_way: impl FnOnce() -> Vec<Verdict>,
) -> Vec<Verdict> {
    match seen.stalled {
        Some(stalled) if stalled.reason == PAUSED => {
            // Its nodes serve as before.
            let mut verdicts = under_way();
            verdicts.retain(|verdict| verdict.type_ != "Reconciling");
            let [_, stalled] = standstill(stalled);
            verdicts.push(stalled);
            verdicts
        }
        // It has the words of its pod.
        Some(stalled) if stalled.reason == DATABASE_NEWER => standstill(stalled).into(),
        Some(stalled) => {
            let [mut ready, stalled] = standstill(stalled);
            // The reason why pods do not run may be the cause.
            let told = waiting::containers(seen, wanted);
            let told = told.iter().map(|reason| format!("; {reason}"));
            ready.message.extend(told);
            vec![ready, stalled]
        }
        None => under_way(),
    }
}

/// All conditions of a cluster whose nodes were asked.
pub(super) fn verdicts(
    seen: &Observation<'_>,
    before: &ClusterStatus,
    members: &[MemberStatus],
    ready: usize,
) -> Vec<Verdict> {
    if let Running::Deployment(deployment) = seen.running {
        return shared::verdicts((seen, before), deployment, members, ready);
    }
    let wanted = usize::try_from(seen.cluster.spec.replicas).unwrap_or_default();
    let salt = salt_matches(seen, before, members);
    let under_way =
        || course::resting(seen).unwrap_or_else(|| progress(seen, members, wanted, &salt));
    let mut verdicts = readiness(seen, wanted, under_way);
    let leaving = leaving::message(seen, wanted).map(|message| ("NodesLeaving", message));
    let growth = seen.course.growth.and_then(Growth::message);
    let growth = growth.map(|message| (VOLUMES_GROWING, message));
    let goes_on = leaving.into_iter().chain(growth);
    for (reason, message) in goes_on.filter(|_| seen.stalled.is_none()) {
        let mut told = verdicts.iter_mut();
        match told.find(|verdict| verdict.type_ == "Reconciling") {
            None => verdicts.push(verdict("Reconciling", true, reason, message)),
            // A full disk keeps nodes from serving, and grows: both are reported.
            Some(told) if reason == VOLUMES_GROWING => {
                told.message = format!("{}; {message}", told.message);
            }
            Some(_) => {}
        }
    }
    verdicts.extend([
        available(ready),
        salt,
        replicated(seen, wanted),
        tls::ready(seen, before),
        monitoring(&seen.monitoring, seen.cluster),
    ]);
    verdicts.extend(course::paused(seen));
    verdicts.extend(rebuild_blocked(seen));
    verdicts.extend(api_key::rotated(seen));
    course::asleep(seen, ready, &mut verdicts);
    verdicts
}

/// `Ready`, and `Reconciling` until then.
fn progress(
    seen: &Observation<'_>,
    members: &[MemberStatus],
    wanted: usize,
    salt: &Verdict,
) -> Vec<Verdict> {
    // A node that serves another cluster does not count for this one, however well it serves.
    if let Some(differ) = uids::differ(seen, wanted, "Ready") {
        return vec![differ];
    }
    let rollout = rolling::rollout(seen, wanted);
    let staying = staying(seen, members);
    let ready = staying.iter().filter(|member| member.ready).count();
    if ready < wanted || rollout.is_some() {
        let reasons = waiting::reasons(seen, wanted);
        let serve = format!("{ready} of {wanted} nodes serve");
        if let Some(blocked) = rolling::blocked(seen, wanted) {
            let told: Vec<_> = [blocked].into_iter().chain(reasons).collect();
            return vec![verdict("Ready", false, ROLLOUT_BLOCKED, told.join("; "))];
        }
        if let Some(message) = &rollout
            && reasons.is_empty()
            && (ready >= wanted || seen.rollout.is_under_way())
        {
            let summary = if ready >= wanted {
                message.clone()
            } else {
                format!("{message}; {serve}")
            };
            return vec![
                verdict("Ready", false, ROLLING_OUT, summary),
                verdict("Reconciling", true, ROLLING_OUT, message),
            ];
        }
        let mut told = vec![serve];
        told.extend(reasons);
        told.extend(unverified::message(seen));
        told.extend(waiting::where_to_look(seen, &staying));
        told.extend(waiting::without_pods(seen));
        let summary = told.join("; ");
        let message =
            rollout.unwrap_or_else(|| format!("waiting for {wanted} nodes to serve, {ready} do"));
        let (not_ready, starting) = course::reasons(seen);
        return vec![
            verdict("Ready", false, not_ready, summary),
            verdict("Reconciling", true, starting, message),
        ];
    }
    if let Some(suspended) = fences::suspended(seen, wanted) {
        return vec![suspended];
    }
    // A node without disk space lacks writes of others: the cause comes first.
    if let Some(refused) = writes::refused(seen, wanted) {
        return vec![refused];
    }
    let sync = replicated(seen, wanted);
    if salt.reason == DIFFERENT_SALT || sync.holds != Truth::True {
        let Verdict {
            reason, message, ..
        } = if salt.reason == DIFFERENT_SALT {
            salt.clone()
        } else {
            sync
        };
        return vec![verdict("Ready", false, reason, message)];
    }
    let plain = if seen.cluster.spec.tls.serves_http() {
        tls::PLAIN_HTTP
    } else {
        ""
    };
    let closed = if is_https_closed(seen) {
        tls::HTTPS_CLOSED
    } else {
        ""
    };
    let plain = format!("{closed}{plain}");
    let message = if wanted == 1 {
        format!("the node serves{plain}")
    } else {
        let hold = match seen.cluster.spec.mode {
            Mode::Replica => "hold the same",
            Mode::Federated => "know where each entry is",
            Mode::Shared => "share one database",
        };
        format!("all {wanted} nodes serve and {hold}{plain}")
    };
    vec![verdict("Ready", true, "AllNodesReady", message)]
}

fn available(ready: usize) -> Verdict {
    if ready > 0 {
        verdict("Available", true, "NodeReady", "at least one node serves")
    } else {
        verdict(
            "Available",
            false,
            "NoNodeReady",
            "no node serves; condition Ready says what they wait for",
        )
    }
}

/// Whether every node holds the rows of the others, by their reports on each other.
fn replicated(seen: &Observation<'_>, wanted: usize) -> Verdict {
    let Some(blocked) = seen.blocked else {
        return unverified::condition(seen, "Replicated", Truth::Unknown)
            .unwrap_or_else(|| known_replication(seen, wanted));
    };
    verdict("Replicated", false, "MemberUnavailable", blocked)
}

fn known_replication(seen: &Observation<'_>, wanted: usize) -> Verdict {
    let answers: Vec<_> = seen
        .pods
        .iter()
        .filter(|(pod, _)| stays(&pod.name_any(), wanted))
        .filter_map(|(pod, details)| Some((pod.name_any(), details.as_ref()?)))
        .collect();
    if answers.is_empty() {
        let message =
            "no node answers the operator; look at network policies and at the nodes' logs";
        return verdict("Replicated", Truth::Unknown, "NodesUnreachable", message);
    }
    if answers
        .iter()
        .all(|(_, details)| details.cluster_uid.is_none())
    {
        let message = if seen.salt_fingerprint.is_some() {
            "no node belongs to a cluster yet; the operator instructs one to bootstrap it"
        } else {
            "no node belongs to a cluster yet; the operator instructs one to bootstrap it once its salt is there"
        };
        return verdict("Replicated", false, "NotBootstrapped", message);
    }
    if let Some(differ) = uids::differ(seen, wanted, "Replicated") {
        return differ;
    }
    if let Some((name, details)) = answers.iter().find(|(_, details)| !details.ready) {
        let why = details.reasons.join("; ");
        return verdict("Replicated", false, "CatchingUp", format!("{name}: {why}"));
    }
    let behind = answers.iter().find_map(|(name, details)| {
        let member = details
            .members
            .iter()
            .filter(|member| stays(&member.name, wanted))
            .find(|member| !member.reachable || member.lag > UNDER_WAY)?;
        Some(if member.reachable {
            let lag = member.lag;
            (
                "CatchingUp",
                format!("{} lacks {lag} changes of {name}", member.name),
            )
        } else {
            (
                "MemberUnreachable",
                format!("{name} does not reach {}", member.name),
            )
        })
    });
    match behind {
        Some((reason, message)) => verdict("Replicated", false, reason, message),
        None if answers.len() < wanted => {
            let message = format!("{} of {wanted} nodes answer", answers.len());
            verdict("Replicated", Truth::Unknown, "NodesUnreachable", message)
        }
        None if wanted == 1 => verdict("Replicated", true, "SingleNode", "there is one node"),
        None => verdict(
            "Replicated",
            true,
            "Replicated",
            match seen.cluster.spec.mode {
                Mode::Replica => "every node holds what the others hold",
                Mode::Federated => "every node knows of every entry that the others hold",
                Mode::Shared => "every node uses the same database",
            },
        ),
    }
}

/// The reason while volumes become larger.
pub(in crate::cluster) const VOLUMES_GROWING: &str = "VolumesGrowing";
/// The reasons of work that is planned: no alarm.
pub(in crate::cluster) const PLANNED: [&str; 4] = [
    ROLLING_OUT,
    course::HIBERNATING,
    course::WAKING,
    course::REBUILDING,
];
const DIFFERENT_SALT: &str = "DifferentSalt";

/// Whether every node has the salt of the Secret.
fn salt_matches(
    seen: &Observation<'_>,
    before: &ClusterStatus,
    members: &[MemberStatus],
) -> Verdict {
    let secret = ManagedSecret::Salt.name(&seen.cluster.name);
    let condition = |holds: Truth, reason, message| verdict("SaltMatches", holds, reason, message);
    let mut told = members
        .iter()
        .filter(|member| member.salt_fingerprint.is_some())
        .peekable();
    if told.peek().is_some() && seen.salt_fingerprint.is_none() {
        let message = format!("Secret {secret} holds no salt to compare the nodes' with");
        return condition(Truth::False, "NoSalt", message);
    }
    if let Some(odd) =
        told.find(|member| member.salt_fingerprint.as_deref() != seen.salt_fingerprint)
    {
        let message = match seen.running {
            Running::StatefulSet(_) => salts::different(seen, members, odd),
            Running::Deployment(_) => shared::different_salt(seen, odd),
        };
        return condition(Truth::False, DIFFERENT_SALT, message);
    }
    let about = ("SaltMatches", "salt");
    let end = match reports(seen, before, about, |node| node.salt_fingerprint.is_some()) {
        Reports::Whole => String::new(),
        Reports::Standing(end) => end,
        Reports::Lacking(message) => {
            return condition(Truth::Unknown, "NodesUnreachable", message);
        }
    };
    let message = format!("every node has the salt of the Secret{end}");
    condition(Truth::True, "SaltMatches", message)
}

fn monitoring(state: &Monitoring, cluster: &ValidatedCluster) -> Verdict {
    let (forbidden, without);
    let (holds, reason, message) = match state {
        Monitoring::Off => (
            false,
            "Disabled",
            "monitoring.serviceMonitor.enabled is false",
        ),
        Monitoring::Applied => (
            true,
            "ServiceMonitorApplied",
            "the ServiceMonitor is applied",
        ),
        Monitoring::Missing => (
            false,
            "ServiceMonitorMissing",
            "the ServiceMonitor is not there; condition Stalled or Paused says why",
        ),
        Monitoring::WithoutAuthorities => {
            without = format!(
                "nodes are not scraped: ConfigMap {} with their authorities, which the ServiceMonitor names, is not there; condition Stalled or Paused says why",
                cluster.name.ca()
            );
            (false, "AuthoritiesMissing", without.as_str())
        }
        Monitoring::Forbidden(words) => {
            forbidden = format!(
                "nodes are not scraped: {words}; grant it to the operator, or set monitoring.serviceMonitor.enabled to false"
            );
            (false, "ServiceMonitorForbidden", forbidden.as_str())
        }
        Monitoring::Unknown => (
            false,
            "ServiceMonitorUnknown",
            "this cluster does not know ServiceMonitors; install the Prometheus Operator, or set monitoring.serviceMonitor.enabled to false",
        ),
    };
    verdict("MonitoringReady", holds, reason, message)
}
