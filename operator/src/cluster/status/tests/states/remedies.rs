//! Each state that waits for a person names a step: a field to set, an object to make or a command to run.

use std::collections::{BTreeMap, BTreeSet};

use super::{all, stalls};

const PAGE: &str = include_str!("../../../../../../docs/recovery.md");
/// Where the table of other reasons begins.
const PASSING: &str = "## Reasons that pass by themselves";

/// Each reason that waits for a person, and words of the step: every message with this reason has some of them.
const STEPS: &[(&str, &[&str])] = &[
    ("AllNodesFenced", &["osc-node unfence`", "osc-node backup "]),
    (
        "ApiKeyMissing",
        &["`kubectl create secret generic mine -n shop --from-file=key=KEY`"],
    ),
    (
        "AuthorityNotDistributed",
        &["`kubectl delete pod prod-0 -n shop --wait=false`"],
    ),
    (
        "AuthorityRefused",
        &["`kubectl annotate secret prod-node-ca -n shop "],
    ),
    (
        "BootstrapNodeLost",
        &["`kubectl annotate secret prod-salt -n shop "],
    ),
    (
        "CertManagerMissing",
        &["install cert-manager, or choose another tls.mode"],
    ),
    (
        "CertificateForbidden",
        &["grant it, or choose another tls.mode"],
    ),
    (
        "CertificateMissing",
        &[
            "`kubectl create secret tls mine -n shop --cert=tls.crt --key=tls.key`",
            "`kubectl describe certificate prod -n shop`",
        ],
    ),
    ("ClientCertificateNotValid", &["put a valid one there"]),
    (
        "ClientCertificateRefused",
        &[
            "correct tls.crt and tls.key in Secret mine",
            // The nodes' own certificate.
            "`kubectl delete secret prod-node-tls -n shop --wait=false`",
            "condition Ready says what that waits for",
        ],
    ),
    (
        "DatabaseNewer",
        &["`kubectl patch osc prod -n shop ", "in spec.image"],
    ),
    (
        "DatabaseSecretMissing",
        &["create it, or correct database."],
    ),
    (
        "DatabaseSecretUnusable",
        &["correct that Secret, or name another one in database."],
    ),
    (
        "DatabaseUnreachable",
        &["look whether the database has a primary"],
    ),
    ("DifferentClusterUid", &["`kubectl delete pvc "]),
    ("DifferentSalt", &["`kubectl delete "]),
    (
        "DisruptionBudget",
        &["wait until all others serve, or set force to true"],
    ),
    ("DoesNotAnswer", &["set force to true"]),
    (
        "EarlierKeyAccepted",
        &["`kubectl patch secret prod-api-key "],
    ),
    ("HeadNotHeld", &["wait until they have them", "bring back"]),
    ("InvalidPodTemplate", &["Correct the resource there"]),
    ("InvalidSpec", &["Correct the resource there"]),
    (
        "KeyMissing",
        &[
            "put the key back, or delete the Secret to have a new key made: `kubectl delete secret prod-",
        ],
    ),
    (
        "KeyNotDistributed",
        &["`kubectl delete pod prod-0 -n shop --wait=false`"],
    ),
    ("Malformed", &["correct that field"]),
    ("MemberUnavailable", &["osc-node members remove "]),
    ("MigrationFailed", &["Correct what these words are about"]),
    ("ModeChanged", &["set it back"]),
    ("NameTaken", &["to another name and delete it, or "]),
    ("NoMember", &["set force to true"]),
    (
        "NoOtherNode",
        &["bring another one back", "set spec.replicas"],
    ),
    ("NoSuchNode", &["correct spec.rebuildMembers"]),
    (
        "NodeCertificateRefused",
        &["`kubectl delete secret prod-node-tls "],
    ),
    ("NodeDown", &["bring it back, or set force to true"]),
    ("NodeNotVerified", &["`kubectl delete pod prod-"]),
    ("NodeSuspended", &["Start a member"]),
    (
        "NodesNotReady",
        &[
            "look at the events and logs of pod",
            // In the words of Kubernetes, which say what is lacking.
            "FailedCreate: ",
            "Unschedulable: ",
            "create it, or ",
            "mark one as the default, or ",
            "`kubectl describe statefulset prod -n shop`",
        ],
    ),
    (
        "OnHold",
        &[
            "set it to false",
            "set hibernate to false",
            "it goes on once ",
        ],
    ),
    ("Paused", &["et it to false", "and there are none"]),
    (
        "PreviousKeyNotEnded",
        &["`kubectl delete pod prod-0 -n shop --wait=false`"],
    ),
    ("Rejected", &["Correct the field of the resource"]),
    ("RetentionChanged", &["Set it back"]),
    (
        "RightsMissing",
        &["rant it to the operator's service account"],
    ),
    (
        "RolloutBlocked",
        &[
            "Correct what its events and logs name",
            "Correct what their events and logs name",
        ],
    ),
    (
        "SaltMalformed",
        &["`kubectl delete secret prod-salt -n shop --wait=false`"],
    ),
    (
        "SaltMissing",
        &["`kubectl create secret generic prod-salt -n shop "],
    ),
    (
        "ServiceMonitorForbidden",
        &["grant it to the operator, or set monitoring.serviceMonitor.enabled"],
    ),
    (
        "ServiceMonitorUnknown",
        &["install the Prometheus Operator, or set monitoring.serviceMonitor.enabled"],
    ),
    ("StorageClassCannotChange", &["Set it back"]),
    (
        "UnsupportedLayout",
        &["install an operator of a release", "osc-node backup "],
    ),
    ("VolumeGrowthFailed", &["set storage.size back"]),
    (
        "VolumeGrowthForbidden",
        &["Grant the operator's service account"],
    ),
    ("VolumeWouldShrink", &["Set it to "]),
    ("VolumesCannotGrow", &["set storage.size back"]),
    (
        "WritesRefused",
        &["grow it where its class allows that, or delete entries"],
    ),
];

/// The reasons of these lines of the page.
fn rows(lines: &str) -> BTreeSet<&str> {
    let rows = lines.lines();
    rows.filter_map(|line| line.strip_prefix("| `")?.split_once("` | `"))
        .map(|(reason, _)| reason)
        .collect()
}

/// All reasons that a condition can have.
pub(super) fn reasons() -> BTreeSet<&'static str> {
    rows(PAGE)
}

/// What messages say, by reason: of conditions in all states, and of all ways to stand still.
fn told() -> BTreeMap<String, BTreeSet<String>> {
    let states = all();
    let conditions = states.iter().flat_map(|state| {
        let conditions = state["resource"]["status"]["conditions"].as_array();
        conditions.into_iter().flatten()
    });
    let text = |condition: &serde_json::Value, member: &str| {
        condition[member].as_str().unwrap_or_default().to_owned()
    };
    let conditions =
        conditions.map(|condition| (text(condition, "reason"), text(condition, "message")));
    let stalls = stalls::all().into_iter().chain(stalls::shared());
    let stalls = stalls.map(|stalled| (stalled.reason.to_owned(), stalled.message));
    let mut told = BTreeMap::<_, BTreeSet<_>>::new();
    for (reason, message) in conditions.chain(stalls) {
        told.entry(reason).or_default().insert(message);
    }
    told
}

#[test]
fn each_state_that_waits_for_a_person_names_the_step() {
    let (waiting, _) = PAGE.split_once(PASSING).unwrap();
    let listed: BTreeSet<_> = STEPS.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(listed, rows(waiting), "docs/recovery.md against STEPS");
    let told = told();
    let mut without = Vec::new();
    for (reason, steps) in STEPS {
        let Some(messages) = told.get(*reason) else {
            without.push(format!("{reason}: no state"));
            continue;
        };
        let names = |message: &&String| steps.iter().any(|step| message.contains(step));
        let silent = messages.iter().filter(|message| !names(message));
        without.extend(silent.map(|message| format!("{reason}: {message}")));
    }
    assert!(without.is_empty(), "{without:#?}");
}
