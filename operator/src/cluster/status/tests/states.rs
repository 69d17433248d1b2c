//! Every state that a status reports, as resources in a file: `e2e/gitops/` tests how other programs judge them.
//! `INSTA_UPDATE=always` writes the file anew.

mod api_key;
mod conditions;
mod rebuilt;
mod remedies;
mod shared;
mod stalls;

use std::{collections::BTreeSet, path::Path};

use serde_json::{Value, json};

use super::*;
use crate::{
    cluster::{
        pause::PAUSED,
        resource::{PendingRollout, TemplateChange},
        scaling,
        volumes::{Progress, VolumeSize},
    },
    node::{FenceReason, MemberState, Unverified},
};

/// The meaning of a state for a client that waits.
#[derive(Clone, Copy)]
enum Means {
    /// The cluster is as requested.
    Ready,
    /// A change is under way; waiting helps.
    UnderWay,
    /// It stands still until the resource, or an object that it names, changes.
    Stalled,
    /// Nodes serve, and a user has to act.
    NeedsPerson,
    /// It is being deleted.
    Ending,
}

impl Means {
    fn text(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::UnderWay => "under way",
            Self::Stalled => "stalled",
            Self::NeedsPerson => "needs a person",
            Self::Ending => "ending",
        }
    }
}

struct States(Vec<Value>);

impl States {
    fn add(&mut self, name: &str, means: Means, status: &ClusterStatus) {
        self.add_with(name, means, &json!({}), json!(status));
    }

    fn add_with(&mut self, name: &str, means: Means, extra: &Value, status: Value) {
        let mut metadata = json!({ "name": "prod", "namespace": "shop", "generation": 4 });
        for (name, value) in extra.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        let mut resource = json!({
            "apiVersion": "opensecureconf.io/v1alpha1", "kind": "OpenSecureConfCluster", "metadata": metadata, "spec": {},
        });
        resource["status"] = status;
        self.0
            .push(json!({ "name": name, "means": means.text(), "resource": resource }));
    }
}

fn pods(count: i32, ready: bool) -> Vec<(Pod, Option<NodeDetails>)> {
    (0..count)
        .map(|ordinal| (pod(ordinal, ready), answer("aa", 1)))
        .collect()
}

fn ready_with(change: impl Fn(&mut Observation<'_>)) -> ClusterStatus {
    let (cluster, stateful_set, pods) = (cluster(1), stateful_set(1, 1), pods(1, true));
    let mut seen = seen(&cluster, &stateful_set, &pods);
    change(&mut seen);
    observed(&seen, &ClusterStatus::default(), &time(1))
}

fn with_course(course: Course<'_>, nodes: i32) -> ClusterStatus {
    let (cluster, stateful_set, pods) = (cluster(1), stateful_set(1, 1), pods(nodes, true));
    let seen = Observation {
        course,
        ..seen(&cluster, &stateful_set, &pods)
    };
    observed(&seen, &ClusterStatus::default(), &time(1))
}

fn with_tls(spec: &str, tls: Tls<'_>, report: impl Fn(&mut NodeTls)) -> ClusterStatus {
    let mut cluster = prod(&format!("{{replicas: 1, tls: {spec}}}"));
    cluster.metadata.namespace = Some("shop".to_owned());
    cluster.metadata.generation = Some(4);
    let cluster = validate(&cluster, "node:1").unwrap();
    let mut pods = pods(1, true);
    let details = pods[0].1.as_mut().unwrap();
    report(details.tls.as_mut().unwrap());
    let stateful_set = stateful_set(1, 1);
    let seen = Observation {
        tls,
        ..seen(&cluster, &stateful_set, &pods)
    };
    observed(&seen, &ClusterStatus::default(), &time(1))
}

fn all() -> Vec<Value> {
    let mut states = States(Vec::new());
    untouched(&mut states);
    on_the_way(&mut states);
    on_the_way_by_order(&mut states);
    to_be_looked_at(&mut states);
    ready(&mut states);
    resting(&mut states);
    certificates(&mut states);
    api_key::add(&mut states);
    shared::add(&mut states);
    standing_still(&mut states);
    states.0
}

fn untouched(states: &mut States) {
    // Without a status there is none: the definition has a default.
    let default = json!({ "observedGeneration": -1 });
    states.add_with(
        "not seen by the operator",
        Means::UnderWay,
        &json!({}),
        default,
    );
    let ready = json!(ready_with(|_| {}));
    states.add_with(
        "ready before its spec changed",
        Means::UnderWay,
        &json!({ "generation": 5 }),
        ready.clone(),
    );
    states.add_with(
        "being deleted",
        Means::Ending,
        &json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" }),
        ready,
    );
}

fn on_the_way(states: &mut States) {
    use Means::UnderWay;
    let nothing = ready_with(|seen| {
        seen.running = Running::StatefulSet(None);
        seen.pods = &[];
    });
    states.add("nothing is there yet", UnderWay, &nothing);
    for (name, before) in [
        ("reading fails from the beginning", ClusterStatus::default()),
        ("reading fails since it was ready", ready_with(|_| {})),
    ] {
        let failed = failing("failed to read: no answer", Some(4), &before, &time(1));
        states.add(name, UnderWay, &failed);
    }
    let starting = status(&cluster(3), &stateful_set(3, 3), &[(pod(0, false), None)]);
    states.add("pods start", UnderWay, &starting);
    let claims = [pending(0, None, None)];
    let (one, set) = (cluster(1), stateful_set(1, 1));
    let waits = Observation {
        pending_claims: &claims,
        ..seen(&one, &set, &[])
    };
    let waits = observed(&waits, &ClusterStatus::default(), &time(1));
    states.add("a volume waits for its class", UnderWay, &waits);
    let refused = [RefusedPod {
        since: None,
        name: "prod-0".to_owned(),
        words: "exceeded quota: few".to_owned(),
    }];
    let unmade = Observation {
        refused_pods: &refused,
        ..seen(&one, &set, &[])
    };
    let unmade = observed(&unmade, &ClusterStatus::default(), &time(1));
    states.add("a quota refuses a pod", UnderWay, &unmade);
    let unplaced = status(&one, &set, &[(unscheduled(0), None)]);
    states.add("the scheduler finds no place", UnderWay, &unplaced);
    let rollout = status(&cluster(3), &stateful_set(3, 1), &pods(3, true));
    states.add("a new pod template is rolled out", UnderWay, &rollout);
    let budget = RolloutPlan::Wait(rollout::Waiting::Budget {
        pod: "prod-1".to_owned(),
        words: "Cannot evict pod as it would violate the pod's disruption budget.".to_owned(),
    });
    let (wanted, set, there) = (cluster(3), stateful_set(3, 1), pods(3, true));
    let held = Observation {
        rollout: &budget,
        ..seen(&wanted, &set, &there)
    };
    let held = observed(&held, &ClusterStatus::default(), &time(1));
    states.add("a disruption budget does not let a pod go", UnderWay, &held);
    let mut alone = pods(1, true);
    alone[0].1.as_mut().unwrap().cluster_uid = None;
    let alone = status(&cluster(1), &stateful_set(1, 1), &alone);
    states.add("no node has bootstrapped the cluster", UnderWay, &alone);
    let behind = three(&member_with(5000, true), |_| {});
    states.add("a node lacks changes", UnderWay, &behind);
    let joining = three(&member_with(0, true), |details| details.ready = false);
    states.add("a node takes its snapshot", UnderWay, &joining);
    let lost = three(&member_with(0, false), |_| {});
    states.add("a node does not reach another", UnderWay, &lost);
    let silent = status(&cluster(1), &stateful_set(1, 1), &[(pod(0, true), None)]);
    states.add("no node answers the operator", UnderWay, &silent);
    let leaving = shrinking(2, 3, |details| details.state = MemberState::Leaving);
    states.add("a node leaves", UnderWay, &leaving);
}

fn on_the_way_by_order(states: &mut States) {
    use Means::UnderWay;
    let growth = Growth::Growing {
        asks: Vec::new(),
        progress: Progress {
            done: 0,
            count: 1,
            size: VolumeSize::read("2Gi").unwrap(),
            failures: Vec::new(),
        },
    };
    let growing = with_course(
        Course {
            growth: Some(&growth),
            ..Course::default()
        },
        1,
    );
    states.add("volumes grow", UnderWay, &growing);
    let nodes = 1;
    for (name, rest) in [
        ("nodes are to sleep", Rest::Holding { nodes }),
        ("nodes fall asleep", Rest::Asleep { nodes }),
    ] {
        let course = Course {
            rest,
            ..Course::default()
        };
        states.add(name, UnderWay, &with_course(course, 1));
    }
    let leave = RebuildPlan::Leave { ordinal: 0 };
    let rebuilt = [(pod(0, false), answer("aa", 1))];
    let (wanted, set) = (cluster(1), stateful_set(1, 1));
    let rebuilt = Observation {
        rebuild: &leave,
        ..seen(&wanted, &set, &rebuilt)
    };
    let rebuilt = observed(&rebuilt, &ClusterStatus::default(), &time(1));
    states.add("a node is rebuilt", UnderWay, &rebuilt);
    let waking = Course {
        rest: Rest::Waking { nodes },
        ..Course::default()
    };
    states.add("nodes wake", UnderWay, &with_course(waking, 0));
}

fn to_be_looked_at(states: &mut States) {
    use Means::NeedsPerson;
    let mut salts = pods(3, true);
    salts[1].1 = answer("bb", 1);
    let salts = status(&cluster(3), &stateful_set(3, 3), &salts);
    states.add("a node has another salt", NeedsPerson, &salts);
    let mut uids = pods(3, true);
    uids[1].1.as_mut().unwrap().cluster_uid = Some("old".to_owned());
    let uids = status(&cluster(3), &stateful_set(3, 3), &uids);
    states.add("a node belongs to another cluster", NeedsPerson, &uids);
    let full = three(&member_with(0, true), |details| {
        details.writes = Some("refused: disk full".to_owned());
    });
    states.add("a node refuses writes", NeedsPerson, &full);
    let suspended = three(&member_with(0, true), |details| {
        details.fenced = Some(FenceReason::BelowPurgeMark);
    });
    states.add(
        "a node missed deletes, and no node can give it a snapshot",
        NeedsPerson,
        &suspended,
    );
    let never = RolloutPlan::Blocked {
        ordinal: 2,
        is_last: true,
    };
    let mut down = pods(3, true);
    down[2] = (pod(2, false), None);
    let (wanted, set) = (cluster(3), stateful_set(3, 1));
    let down = Observation {
        rollout: &never,
        ..seen(&wanted, &set, &down)
    };
    let down = observed(&down, &ClusterStatus::default(), &time(1));
    states.add(
        "a pod that was replaced does not come back",
        NeedsPerson,
        &down,
    );
    let gone = plan_of_a_lost_member();
    let blocked = ready_with(|seen| seen.blocked = Some(gone));
    states.add("a node cannot leave", NeedsPerson, &blocked);
    let unverified = [("prod-0".to_owned(), Unverified::OtherAuthority)];
    let (wanted, set) = (cluster(1), stateful_set(1, 1));
    let silent = [(pod(0, true), None)];
    let mut seen = seen(&wanted, &set, &silent);
    seen.tls.unverified = &unverified;
    let impostor = observed(&seen, &ClusterStatus::default(), &time(1));
    // A renewed certificate may be all that it lacks.
    states.add(
        "another program answers at a pod's address",
        Means::UnderWay,
        &impostor,
    );
}

/// Why fewer nodes are asked for and one of them, which does not answer, cannot leave.
fn plan_of_a_lost_member() -> &'static str {
    let mut first = answer("aa", 1);
    first.as_mut().unwrap().members = vec![NodeMember {
        name: "prod-1".to_owned(),
        incarnation: "0123456789abcdef".to_owned(),
        state: MemberState::Member,
        ..NodeMember::default()
    }];
    let none = BTreeSet::new();
    let plan = scaling::plan(&scaling::Situation {
        name: "prod",
        namespace: "shop",
        given_up: None,
        wanted: 1,
        current: Some(2),
        nodes: &[first, None],
        pods: &[0, 1].into(),
        volumes: &none,
        ending: &none,
        starting: &none,
        marks: None,
    });
    // For ever: an observation borrows it, whatever else that borrows.
    plan.blocked.unwrap().leak()
}

/// The states that a user asked for.
fn resting(states: &mut States) {
    let asleep = Course {
        rest: Rest::Asleep { nodes: 1 },
        ..Course::default()
    };
    states.add("nodes sleep", Means::Ready, &with_course(asleep, 0));
    let nothing = Pause::default();
    let paused = Course {
        pause: Some(&nothing),
        ..Course::default()
    };
    states.add(
        "paused, and nothing waits",
        Means::Ready,
        &with_course(paused, 1),
    );
    let waits = Pause {
        waits: vec!["StatefulSet prod (spec.replicas)".to_owned()],
    };
    let stalled = waits.stalled(Some(3), Some(4)).unwrap();
    let mut cluster = cluster(1);
    cluster.generation = Some(3);
    let (stateful_set, pods) = (stateful_set(1, 1), pods(1, true));
    let mut seen = seen(&cluster, &stateful_set, &pods);
    seen.course.pause = Some(&waits);
    seen.stalled = Some(&stalled);
    let waiting = observed(&seen, &ClusterStatus::default(), &time(1));
    // A client that waits compares generations first, whatever `Stalled` says.
    states.add("paused, and changes wait", Means::UnderWay, &waiting);
}

fn ready(states: &mut States) {
    let three = three(&member_with(3, true), |_| {});
    states.add("three nodes are ready", Means::Ready, &three);
    for (name, monitoring) in [
        ("ready, without monitoring", Monitoring::Off),
        ("ready, with monitoring", Monitoring::Applied),
        (
            "ready, and its ServiceMonitor is missing",
            Monitoring::Missing,
        ),
        (
            "ready, and the authorities of its ServiceMonitor are missing",
            Monitoring::WithoutAuthorities,
        ),
        (
            "ready, where ServiceMonitors are unknown",
            Monitoring::Unknown,
        ),
        (
            "ready, where ServiceMonitors may not be written",
            Monitoring::Forbidden("cannot list resource".to_owned()),
        ),
    ] {
        let status = ready_with(|seen| seen.monitoring = monitoring.clone());
        states.add(name, Means::Ready, &status);
    }
    let waits = PendingRollout {
        changes: vec![TemplateChange {
            field: "spec.containers[node].image".to_owned(),
            from: Some("node:1".to_owned()),
            to: Some("node:2".to_owned()),
        }],
        pods: vec!["prod-0".to_owned()],
        reason: "Manual".to_owned(),
        message: "upgrade.policy is Manual".to_owned(),
        opens_at: None,
        accept: "64f0c6a91f0b7a52".to_owned(),
    };
    let waits = ready_with(|seen| {
        seen.upgrade = Upgrade {
            pending: Some(waits.clone()),
            image: Some("node:1".to_owned()),
        };
    });
    states.add(
        "ready, and a new operator's image waits",
        Means::Ready,
        &waits,
    );
    rebuilt::add(states);
    let without = ready_with(|seen| seen.salt_fingerprint = None);
    states.add(
        "ready, and the Secret with the salt was made a moment ago",
        Means::Ready,
        &without,
    );
}

fn certificates(states: &mut States) {
    let own = "{mode: Secret, secretRef: {name: mine}}";
    let issued = "{mode: Issuer, issuerRef: {name: ours}}";
    let open = |_: &mut NodeTls| {};
    let found = Tls {
        client_secret_found: true,
        ..Tls::default()
    };
    let mut add = |name: &str, status: ClusterStatus| states.add(name, Means::Ready, &status);
    add(
        "ready, with HTTPS off",
        with_tls("{mode: Disabled}", Tls::default(), open),
    );
    add(
        "ready, without the Secret of its certificate",
        with_tls(own, Tls::default(), open),
    );
    add(
        "ready, without cert-manager",
        with_tls(issued, Tls::default(), open),
    );
    let forbidden = OptionalKind::Forbidden("cannot list resource".to_owned());
    let may_not_ask = Tls {
        certificates: Some(&forbidden),
        ..Tls::default()
    };
    add(
        "ready, where Certificates may not be written",
        with_tls(issued, may_not_ask, open),
    );
    let refused = with_tls(own, found, |tls| {
        tls.clients = Some(ClientCertificate {
            open: false,
            error: Some("the key is another certificate's".into()),
            ..ClientCertificate::default()
        });
    });
    add("ready, with a certificate that is none", refused);
    for (name, clients) in [
        (
            "ready, with a node that does not show clients its own certificate",
            Some(ClientCertificate {
                open: false,
                error: Some("tls.key is another certificate's".into()),
                ..ClientCertificate::default()
            }),
        ),
        ("ready, with a node that began without HTTPS", None),
    ] {
        let refused = with_tls("{}", Tls::default(), |tls| tls.clients.clone_from(&clients));
        add(name, refused);
    }
    let ended = Tls {
        not_valid: Some("has ended on 2026-01-01T00:00:00Z"),
        ..found
    };
    add(
        "ready, with a certificate that has ended",
        with_tls(own, ended, open),
    );
    let refused = with_tls("{}", Tls::default(), |tls| {
        tls.node = Some(NodeCertificates {
            error: Some("tls.crt ends within it".into()),
            ..NodeCertificates::default()
        });
    });
    add("ready, with a node that keeps its old certificate", refused);
    let refused = Tls {
        authority_refused: Some(
            "it is the certificate of no authority: it lacks basicConstraints CA:TRUE",
        ),
        ..Tls::default()
    };
    add(
        "ready, with an authority of the user's own that is refused",
        with_tls("{}", refused, open),
    );
    let silent = ready_with(|_| {});
    add("ready, with one node", silent);
    for overdue in [false, true] {
        let waiting = Waiting {
            nodes: vec!["prod-0".into()],
            overdue,
        };
        let tls = Tls {
            waiting: Some(&waiting),
            ..Tls::default()
        };
        add(
            if overdue {
                "ready, with another authority that does not arrive"
            } else {
                "ready, with another authority on its way"
            },
            with_tls("{}", tls, open),
        );
    }
}

fn standing_still(states: &mut States) {
    for stalled in stalls::first_of_each(stalls::all()) {
        // For ever: an observation borrows it, whatever else that borrows.
        let stalled: &'static Stalled = Box::leak(Box::new(stalled));
        let reason = stalled.reason;
        // Reported with an earlier generation only: `resting` has that state.
        if reason == PAUSED {
            continue;
        }
        let served = ready_with(|seen| seen.stalled = Some(stalled));
        states.add(
            &format!("{reason}, while nodes serve"),
            Means::Stalled,
            &served,
        );
        let first = unseen(stalled, Some(4), &ClusterStatus::default(), None, &time(1));
        states.add(
            &format!("{reason}, from the beginning"),
            Means::Stalled,
            &first,
        );
        let was = unseen(stalled, Some(4), &ready_with(|_| {}), None, &time(1));
        states.add(
            &format!("{reason}, of a resource that was ready"),
            Means::Stalled,
            &was,
        );
    }
}

#[test]
fn other_programs_are_tried_with_the_states_of_this_release() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/gitops/states.json");
    let text = serde_json::to_string_pretty(&all()).unwrap() + "\n";
    if std::env::var("INSTA_UPDATE").is_ok_and(|value| value == "always") {
        std::fs::write(&file, &text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written == text,
        "INSTA_UPDATE=always writes {} anew",
        file.display()
    );
}

#[test]
fn no_condition_and_no_reason_is_left_out() {
    let states = all();
    let conditions = states.iter().flat_map(|state| {
        let conditions = state["resource"]["status"]["conditions"].as_array();
        conditions.into_iter().flatten()
    });
    let told: BTreeSet<_> = conditions
        .flat_map(|condition| ["type", "reason"].map(|member| condition[member].as_str().unwrap()))
        .collect();
    // `operator/tests/it/reasons.rs` holds the page against the code.
    let left_out: Vec<_> = remedies::reasons().difference(&told).copied().collect();
    assert_eq!(left_out, Vec::<&str>::new());
    for type_ in crate::cluster::resource::CONDITIONS {
        assert!(told.contains(type_), "{type_}");
    }
}
