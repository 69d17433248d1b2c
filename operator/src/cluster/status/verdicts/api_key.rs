//! How far a change of the clients' key has come.

use super::{Truth, Verdict, verdict};
use crate::{
    cluster::{
        api_key::{KeyRotation, WaitedFor},
        secrets::ManagedSecret,
        status::Observation,
    },
    names::{API_KEY_ENTRY, previous_entry},
};

/// `ApiKeyRotated`, which exists only where a user asked for a change of the key.
pub(super) fn rotated(seen: &Observation<'_>) -> Option<Verdict> {
    let secret = ManagedSecret::ApiKey.name(&seen.cluster.name);
    let namespace = &seen.cluster.namespace;
    let entry = previous_entry(API_KEY_ENTRY);
    let end = format!(
        "once no caller shows the one before, end it: `kubectl patch secret {secret} -n {namespace} --type json -p \
         '[{{\"op\": \"remove\", \"path\": \"/data/{entry}\"}}]'`"
    );
    let (holds, reason, message) = match seen.course.api_key? {
        KeyRotation::Paused => (
            Truth::False,
            "Paused",
            "another API key waits: spec.paused is true; set it to false".to_owned(),
        ),
        KeyRotation::Distributing(WaitedFor { nodes, overdue }) => {
            let step = begun_anew(nodes, namespace);
            let nodes = named(nodes);
            if *overdue {
                let message = format!(
                    "another API key waits for {nodes}, which does not prove that it accepts it; {step}. Callers go on with the key that \
                     they have"
                );
                (Truth::False, "KeyNotDistributed", message)
            } else {
                let message = format!(
                    "another API key is being given to {nodes}; callers read it once every node that runs accepts it"
                );
                (Truth::False, "KeyDistributing", message)
            }
        }
        KeyRotation::EarlierAccepted => (
            Truth::False,
            "EarlierKeyAccepted",
            format!(
                "another API key waits, because nodes still accept a key from before the one in Secret {secret}; {end}"
            ),
        ),
        KeyRotation::PreviousAccepted => (
            Truth::True,
            "PreviousKeyAccepted",
            format!(
                "Secret {secret} has another API key, and nodes accept the one before, too; have callers read the Secret again; {end}"
            ),
        ),
        KeyRotation::Leaving(WaitedFor { nodes, overdue }) => {
            let step = begun_anew(nodes, namespace);
            let nodes = named(nodes);
            if *overdue {
                let message = format!(
                    "the API key before was ended, and {nodes} may still accept it; {step}"
                );
                (Truth::False, "PreviousKeyNotEnded", message)
            } else {
                let message = format!(
                    "the API key before was ended, and is taken from {nodes} within two minutes"
                );
                (Truth::True, "PreviousKeyLeaving", message)
            }
        }
        KeyRotation::Rotated => (
            Truth::True,
            "KeyRotated",
            format!("nodes accept the API key in Secret {secret} and no other"),
        ),
    };
    Some(verdict("ApiKeyRotated", holds, reason, message))
}

/// How the first of these nodes reads its keys again.
fn begun_anew(nodes: &[String], namespace: &str) -> String {
    match nodes.first() {
        None => "look at the nodes' logs".to_owned(),
        Some(first) => format!(
            "look at its log (`kubectl logs {first} -n {namespace} -c node`), or delete the pod, which reads the keys when it starts: \
             `kubectl delete pod {first} -n {namespace} --wait=false`"
        ),
    }
}

fn named(nodes: &[String]) -> String {
    match nodes {
        [] => "the nodes".to_owned(),
        nodes => nodes.join(", "),
    }
}
