//! Each way in which a cluster stands still, made as the operator makes it.

use std::collections::BTreeSet;

use super::super::{answer, pod};
use crate::{
    cluster::{
        apply,
        build::{Roots, build},
        dereference::{Child, DereferencedObjects},
        downgrade, layout, mode_change,
        pause::Pause,
        recovery,
        resource::{ClusterStatus, prod},
        salt::{MemberSalt, RestoreBlocked, SaltMissing},
        secrets,
        shared::stalls as of_shared,
        stalled::Stalled,
        validate::{ValidatedCluster, validate},
        volumes::stalls as of_volumes,
    },
    node::{FenceReason, MemberState, NodeDetails},
    rights::{Lack, Need},
};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::core::Status;
use opensecureconf_contract::{EXIT_NEWER_DATABASE, Salt};
use serde_json::json;

fn cluster(spec: &str) -> ValidatedCluster {
    let mut cluster = prod(spec);
    cluster.metadata.namespace = Some("shop".to_owned());
    validate(&cluster, "node:1").unwrap()
}

/// The first of each reason.
pub(super) fn first_of_each(all: Vec<Stalled>) -> Vec<Stalled> {
    let mut seen = BTreeSet::new();
    let all = all.into_iter();
    all.filter(|stalled| seen.insert(stalled.reason)).collect()
}

/// Those of clusters whose nodes share a database.
pub(super) fn shared() -> Vec<Stalled> {
    of_shared::all()
}

/// All others.
pub(super) fn all() -> Vec<Stalled> {
    let mut all = refused_resources();
    all.extend(secrets());
    all.extend(objects());
    all.extend([
        Stalled::bootstrap_node_lost(&cluster("{}"), "0123456789abcdef"),
        all_fenced(FenceReason::BelowPurgeMark),
        all_fenced(FenceReason::RolledBack),
        newer_database(Some(9)),
        newer_database(None),
    ]);
    all.extend(of_volumes::all());
    all.extend(api_server());
    all.push(Stalled::malformed("spec.replicas: invalid type"));
    let waits = Pause {
        waits: vec!["StatefulSet prod (spec.replicas)".to_owned()],
    };
    all.extend(waits.stalled(Some(3), Some(4)));
    all
}

fn refused_resources() -> Vec<Stalled> {
    let specs = [
        "{replicas: 99}",
        "{storage: {size: much}}",
        "{tls: {mode: Disabled, plainHttp: Forbidden}}",
        "{service: {labels: {app.kubernetes.io/name: x}}}",
        "{podTemplate: {env: [{name: A}, {name: A}]}}",
        "{podTemplate: {sidecars: [{name: p, image: 7}]}}",
        "{podTemplate: {env: [{name: OSC_API_KEY, value: x}]}}",
        "{podTemplate: {volumeMounts: [{name: v, mountPath: /v, subpath: x}]}}",
    ];
    let refused = specs.map(|spec| validate(&prod(spec), "node:1").unwrap_err());
    refused.map(Stalled::from).into()
}

fn secrets() -> Vec<Stalled> {
    use secrets::Error;
    let name = |name: &str| format!("prod-{name}");
    let errors = [
        Error::SaltMalformed {
            secret: name("salt"),
            namespace: "shop".to_owned(),
        },
        Error::ApiKeyMissing {
            secret: "mine".to_owned(),
            namespace: "shop".to_owned(),
            entry: "key".to_owned(),
        },
        Error::KeyMissing {
            secret: name("cluster-key"),
            namespace: "shop".to_owned(),
            entry: "cluster-key",
        },
        Error::NameTaken {
            secret: name("api-key"),
            cluster: "prod".to_owned(),
        },
        Error::RetentionChanged(name("api-key")),
    ];
    let member = |node: &str, byte| MemberSalt {
        node: node.to_owned(),
        incarnation: "0123456789abcdef".to_owned(),
        salt: Salt::new([byte; 64]),
    };
    let lost = [
        RestoreBlocked::Nowhere,
        RestoreBlocked::Asleep,
        RestoreBlocked::Silent(vec![name("0")]),
        RestoreBlocked::Disputed(vec![member("prod-0", 1), member("prod-1", 2)]),
    ];
    let claims = [String::from("data-prod-0")];
    let lost = lost.map(|why| SaltMissing::new(&cluster("{}"), &claims, why));
    let errors = errors.map(Stalled::from).into_iter();
    errors.chain(lost.map(Stalled::from)).collect()
}

/// Those for what other objects are.
fn objects() -> Vec<Stalled> {
    let child = |kind: &str, ours, layout: Option<&str>| DereferencedObjects {
        children: vec![Child {
            kind: kind.to_owned(),
            name: "prod".to_owned(),
            uid: None,
            ours,
            layout: layout.map(str::to_owned),
            operator: None,
            live: None,
        }],
        ..DereferencedObjects::default()
    };
    let roots = Roots {
        nodes: String::new(),
        clients: None,
    };
    let resources = build(&cluster("{}"), &roots);
    let set = DereferencedObjects {
        stateful_set: Some(Box::new(StatefulSet::default())),
        ..DereferencedObjects::default()
    };
    let shared = cluster("{mode: Shared, database: {secretRef: {name: pg-app}}}");
    [
        Stalled::name_taken(&child("StatefulSet", false, None), &resources),
        layout::unsupported(&cluster("{}"), &child("StatefulSet", true, None)),
        layout::unsupported(&cluster("{}"), &child("StatefulSet", true, Some("9"))),
        mode_change::to_shared(&shared, &set),
        Some(mode_change::nodes_share(&cluster("{}"))),
    ]
    .map(Option::unwrap)
    .into()
}

fn all_fenced(reason: FenceReason) -> Stalled {
    let fenced = |details: &mut NodeDetails| {
        details.state = MemberState::Fenced;
        details.fenced = Some(reason);
        details.reasons = vec!["it is fenced".to_owned()];
    };
    let nodes: Vec<(Pod, Option<NodeDetails>)> = (0..2)
        .map(|ordinal| {
            let mut details = answer("aa", 1);
            details.iter_mut().for_each(fenced);
            (pod(ordinal, false), details)
        })
        .collect();
    recovery::all_fenced(&cluster("{replicas: 2}"), &nodes).unwrap()
}

/// A node of an earlier release than the one that wrote its database, which another node reports or none does.
fn newer_database(reported: Option<i64>) -> Stalled {
    let of = |mut pod: Pod, image: &str| {
        let container = json!([{ "name": "node", "image": image }]);
        pod.spec.as_mut().unwrap().containers = serde_json::from_value(container).unwrap();
        pod
    };
    let mut details = answer("aa", 1);
    details.as_mut().unwrap().schema = reported;
    let mut refuses = of(pod(1, false), "node:1");
    let words = "osc-node: the database has schema 9, this release knows up to 7; use the release that wrote it or a later one";
    let ended = json!([{
        "name": "node", "image": "node:1", "imageID": "", "ready": false, "restartCount": 1,
        "state": { "terminated": { "exitCode": EXIT_NEWER_DATABASE, "message": words } },
    }]);
    refuses.status.as_mut().unwrap().container_statuses = serde_json::from_value(ended).unwrap();
    let nodes = [(of(pod(0, true), "node:2"), details), (refuses, None)];
    downgrade::refused(&cluster("{replicas: 2}"), &nodes, &ClusterStatus::default()).unwrap()
}

/// Those in the words of the API server.
fn api_server() -> Vec<Stalled> {
    let refused = apply::Error::Write {
        verb: "apply",
        kind: "StatefulSet".to_owned(),
        name: "prod".to_owned(),
        source: Box::new(kube::Error::Api(Box::new(Status {
            code: 422,
            message: "spec.template.spec: Invalid value".to_owned(),
            ..Status::default()
        }))),
    };
    let lack = Lack {
        verbs: vec!["create"],
        objects: "secrets".to_owned(),
        need: Need::Required,
    };
    vec![
        Stalled::rejected(&refused).unwrap(),
        Stalled::rights_missing("shop", &[lack]),
        Stalled::refused("secrets is forbidden"),
    ]
}
