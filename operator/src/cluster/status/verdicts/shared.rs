//! The verdicts on a cluster whose nodes share a database.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::ResourceExt;

use super::{
    DIFFERENT_SALT, ROLLING_OUT, ROLLOUT_BLOCKED, Reports, Truth, Verdict, api_key, available,
    course, is_https_closed, leaving::ALL, monitoring, readiness, reports, salt_matches, tls,
    unverified, verdict, waiting,
};
use crate::{
    cluster::{
        hibernation::Rest,
        resource::{ClusterStatus, MemberStatus},
        secrets::ManagedSecret,
        shared::rollout::{Progress, progress, refusal},
        status::Observation,
    },
    names::MIGRATION_CONTAINER,
};

/// The reason where nodes run and do not reach their database.
const UNREACHABLE: &str = "DatabaseUnreachable";
/// The reason where its tables are not made, or not of the release of the nodes.
const MIGRATION_FAILED: &str = "MigrationFailed";

/// All conditions.
pub(super) fn verdicts(
    (seen, before): (&Observation<'_>, &ClusterStatus),
    deployment: Option<&Deployment>,
    members: &[MemberStatus],
    ready: usize,
) -> Vec<Verdict> {
    let salt = salt_matches(seen, before, members);
    let database = reachable(seen, before);
    let awake = || progressing(seen, deployment, members, ready, [&salt, &database]);
    let mut verdicts = readiness(seen, ALL, || resting(seen).unwrap_or_else(awake));
    verdicts.extend([
        available(ready),
        salt,
        database,
        tls::ready(seen, before),
        monitoring(&seen.monitoring, seen.cluster),
    ]);
    verdicts.extend(course::paused(seen));
    verdicts.extend(api_key::rotated(seen));
    course::asleep(seen, ready, &mut verdicts);
    verdicts
}

/// `Ready`, and `Reconciling` until then, of nodes that sleep or fall asleep.
fn resting(seen: &Observation<'_>) -> Option<Vec<Verdict>> {
    let Rest::Asleep { .. } = seen.course.rest else {
        return None;
    };
    if seen.pods.is_empty() {
        let message = "no node runs; the database keeps all entries, and Secrets the salt and the keys; set hibernate to false to wake the \
                       cluster";
        return Some(vec![verdict("Ready", true, course::HIBERNATED, message)]);
    }
    let message = match seen.pods.len() {
        1 => "1 node stops; the database keeps all entries".to_owned(),
        count => format!("{count} nodes stop; the database keeps all entries"),
    };
    Some(vec![
        verdict("Ready", false, course::HIBERNATING, message.clone()),
        verdict("Reconciling", true, course::HIBERNATING, message),
    ])
}

/// `Ready`, and `Reconciling` until then.
fn progressing(
    seen: &Observation<'_>,
    deployment: Option<&Deployment>,
    members: &[MemberStatus],
    ready: usize,
    [salt, database]: [&Verdict; 2],
) -> Vec<Verdict> {
    let wanted = usize::try_from(seen.cluster.spec.replicas).unwrap_or_default();
    let rollout = rollout(deployment, wanted);
    if ready < wanted || rollout.is_some() {
        return not_all(
            seen,
            deployment,
            members,
            (ready, wanted),
            (rollout, database),
        );
    }
    if let Some(unverified) = unverified::condition(seen, "Ready", Truth::False) {
        return vec![unverified];
    }
    let wrong = [salt, database];
    let mut wrong = wrong.into_iter().filter(|told| told.holds == Truth::False);
    if let Some(Verdict {
        reason, message, ..
    }) = wrong.find(|told| [DIFFERENT_SALT, UNREACHABLE].contains(&told.reason))
    {
        return vec![verdict("Ready", false, reason, message.clone())];
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
    let message = match wanted {
        1 => format!("the node serves from its database{closed}{plain}"),
        _ => format!("all {wanted} nodes serve from one database{closed}{plain}"),
    };
    vec![verdict("Ready", true, "AllNodesReady", message)]
}

/// The message while nodes do not serve, or are replaced.
fn not_all(
    seen: &Observation<'_>,
    deployment: Option<&Deployment>,
    members: &[MemberStatus],
    (ready, wanted): (usize, usize),
    (rollout, database): (Option<String>, &Verdict),
) -> Vec<Verdict> {
    let refused = refusal(deployment).map(|words| format!("FailedCreate: {words}"));
    let reasons: Vec<_> = refused
        .into_iter()
        .chain(waiting::reasons(seen, ALL))
        .collect();
    let serve = format!("{} of {wanted} nodes serve", ready.min(wanted));
    if let Progress::Blocked { .. } = progress(deployment) {
        let blocked = "pods of the current template have not come up for 10 minutes, and those before them stay. Correct what their events and \
                       logs name: another image or pod template replaces them at once";
        let told: Vec<_> = [blocked.to_owned()].into_iter().chain(reasons).collect();
        return vec![verdict("Ready", false, ROLLOUT_BLOCKED, told.join("; "))];
    }
    if let Some(message) = rollout.filter(|_| reasons.is_empty() && ready >= wanted) {
        return vec![
            verdict("Ready", false, ROLLING_OUT, message.clone()),
            verdict("Reconciling", true, ROLLING_OUT, message),
        ];
    }
    let mut told = vec![serve];
    let reason = match database.reason {
        // A node's report on its database is the cause, whatever its pod's probes show.
        UNREACHABLE | MIGRATION_FAILED => {
            told.push(database.message.clone());
            database.reason
        }
        _ => {
            told.extend(reasons);
            told.extend(unverified::message(seen));
            let members: Vec<_> = members.iter().collect();
            told.extend(waiting::where_to_look(seen, &members));
            "NodesNotReady"
        }
    };
    let message = format!("waiting for {wanted} nodes to serve, {ready} do");
    vec![
        verdict("Ready", false, reason, told.join("; ")),
        verdict("Reconciling", true, "NodesStarting", message),
    ]
}

/// The progress of a rollout; `None` where none is under way.
fn rollout(deployment: Option<&Deployment>, wanted: usize) -> Option<String> {
    match progress(deployment) {
        Progress::Finished => None,
        Progress::Unseen => Some("waiting for Kubernetes to take up the new Deployment".to_owned()),
        Progress::UnderWay { updated } | Progress::Blocked { updated } => {
            let updated = usize::try_from(updated).unwrap_or_default().min(wanted);
            Some(format!(
                "{updated} of {wanted} nodes run the current pod template"
            ))
        }
    }
}

/// Condition `DatabaseReachable`: the nodes' reports on their database, and that of the step before them on its tables.
fn reachable(seen: &Observation<'_>, before: &ClusterStatus) -> Verdict {
    let condition = |holds: Truth, reason, message: String| {
        verdict("DatabaseReachable", holds, reason, message)
    };
    // An ending pod is not ready for that reason alone, and does not concern the database.
    let stays = |pod: &Pod| pod.metadata.deletion_timestamp.is_none();
    let answers: Vec<_> = seen
        .pods
        .iter()
        .filter(|(pod, _)| stays(pod))
        .filter_map(|(pod, details)| Some((pod.name_any(), details.as_ref()?)))
        .collect();
    let why = answers.iter().find(|(_, details)| !details.ready);
    if let Some((name, details)) = why {
        let why = details.reasons.join("; ");
        // Other reasons name their own remedy.
        let step = if why.contains("answer") {
            "; look whether the database has a primary that accepts connections, and whether its network policies let the nodes in"
        } else {
            ""
        };
        let message = format!("{name} does not serve: {why}{step}");
        return condition(Truth::False, UNREACHABLE, message);
    }
    let step = format!("init container {MIGRATION_CONTAINER}: ");
    let waits = waiting::containers(seen, ALL);
    let failed = waits.iter().find(|told| told.contains(&step));
    if let Some(told) = failed {
        let message = format!(
            "the tables are not made, or are not those of this release, so no new node starts: {told}. Correct what these words are about, and the \
             pod tries again by itself"
        );
        return condition(Truth::False, MIGRATION_FAILED, message);
    }
    if answers.is_empty() {
        let message = "no node answers the operator; condition Ready says what they wait for";
        return condition(Truth::Unknown, "NodesUnreachable", message.to_owned());
    }
    let about = ("DatabaseReachable", "database");
    let end = match reports(seen, before, about, |_| true) {
        Reports::Whole => String::new(),
        Reports::Standing(end) => end,
        Reports::Lacking(message) => {
            return condition(Truth::Unknown, "NodesUnreachable", message);
        }
    };
    let message = format!("every node reads its database{end}");
    condition(Truth::True, "DatabaseReachable", message)
}

/// The message about a node with another salt than the Secret, which was replaced while nodes ran.
pub(super) fn different_salt(seen: &Observation<'_>, odd: &MemberStatus) -> String {
    let secret = ManagedSecret::Salt.name(&seen.cluster.name);
    let namespace = &seen.cluster.namespace;
    format!(
        "{} has another salt than Secret {secret}: the Secret was replaced, and no node starts with it any more, for the database has the salt \
         of the nodes. Have the operator put theirs back while they run: `kubectl delete secret {secret} -n {namespace} --wait=false`",
        odd.name
    )
}
