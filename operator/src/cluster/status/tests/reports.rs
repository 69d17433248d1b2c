//! Conditions about all nodes, where some nodes report nothing.

use super::*;

const ABOUT_NODES: [&str; 2] = ["SaltMatches", "TlsReady"];

type Answered = (Pod, Option<NodeDetails>);

fn serving(ordinal: i32) -> Answered {
    (pod(ordinal, true), answer("aa", 1))
}

/// A node that starts again.
fn starting(ordinal: i32) -> Answered {
    (pod(ordinal, false), None)
}

/// The status of three wanted nodes after this one, where the last reports of some stand.
fn after(before: &ClusterStatus, pods: &[Answered], last: &[&str]) -> ClusterStatus {
    let (cluster, set) = (cluster(3), stateful_set(3, 3));
    let last: Vec<_> = last.iter().map(|name| (*name).to_owned()).collect();
    let seen = Observation {
        last_reports: &last,
        ..seen(&cluster, &set, pods)
    };
    observed(&seen, before, &time(2))
}

fn whole() -> ClusterStatus {
    let all = [serving(0), serving(1), serving(2)];
    let status = after(&ClusterStatus::default(), &all, &[]);
    for type_ in ABOUT_NODES {
        assert_eq!(condition(&status, type_).unwrap().0, "True");
    }
    status
}

fn told<'a>(status: &'a ClusterStatus, type_: &str) -> &'a Condition {
    let mut conditions = status.conditions.iter();
    conditions.find(|told| told.type_ == type_).unwrap()
}

#[test]
fn of_a_node_that_does_not_report_nothing_is_known() {
    let silent = (pod(2, true), None);
    for (before, pods, words) in [
        // It serves, and does not answer the operator.
        (
            whole(),
            vec![serving(0), serving(1), silent],
            "of prod-2; look at network policies",
        ),
        // It has not reported since it was made.
        (
            ClusterStatus::default(),
            vec![serving(0), serving(1), starting(2)],
            "of prod-2; condition Ready says",
        ),
        // Two have no pods yet.
        (
            ClusterStatus::default(),
            vec![serving(0)],
            "of prod-1 and prod-2; condition Ready says",
        ),
    ] {
        let status = after(&before, &pods, &["prod-0", "prod-1"]);
        for type_ in ABOUT_NODES {
            let told = told(&status, type_);
            let is = (told.status.as_str(), told.reason.as_str());
            assert_eq!(is, ("Unknown", "NodesUnreachable"), "{told:?}");
            assert!(told.message.contains(words), "{told:?}");
        }
    }
}

#[test]
fn one_node_that_contradicts_is_enough_although_another_is_silent() {
    let mut refuses = answer("aa", 1);
    refuses.as_mut().unwrap().tls.as_mut().unwrap().node = Some(NodeCertificates {
        error: Some("tls.crt ends within it".into()),
        ..NodeCertificates::default()
    });
    for (type_, odd, reason) in [
        ("SaltMatches", answer("bb", 1), "DifferentSalt"),
        ("TlsReady", refuses, "NodeCertificateRefused"),
    ] {
        let pods = [serving(0), (pod(1, true), odd), starting(2)];
        let status = after(&whole(), &pods, &["prod-0", "prod-1", "prod-2"]);
        assert_eq!(condition(&status, type_), Some(("False", reason)));
    }
}

#[test]
fn the_last_report_of_a_node_that_restarts_stands_for_a_while() {
    let all = ["prod-0", "prod-1", "prod-2"];
    let mut ending = pod(2, true);
    ending.metadata.deletion_timestamp = Some(time(1));
    // It ends, is gone, and starts.
    for pods in [
        vec![serving(0), serving(1), (ending, None)],
        vec![serving(0), serving(1)],
        vec![serving(0), serving(1), starting(2)],
    ] {
        let status = after(&whole(), &pods, &all);
        for type_ in ABOUT_NODES {
            let told = told(&status, type_);
            assert_eq!(told.status, "True", "{told:?}");
            let words = "; prod-2 is away, and its last report stands";
            assert!(told.message.contains(words), "{told:?}");
        }
        // It has been away for too long.
        let status = after(&status, &pods, &all[..2]);
        for type_ in ABOUT_NODES {
            assert_eq!(condition(&status, type_).unwrap().0, "Unknown");
        }
        // What was not known before is not known by a restart.
        let status = after(&status, &pods, &all);
        for type_ in ABOUT_NODES {
            assert_eq!(condition(&status, type_).unwrap().0, "Unknown");
        }
    }
    let none = after(&whole(), &[starting(0), starting(1), starting(2)], &all);
    for type_ in ABOUT_NODES {
        assert_eq!(condition(&none, type_).unwrap().0, "Unknown");
    }
}
