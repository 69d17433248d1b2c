//! The ports of a cluster in each object, for every combination of settings.

use std::net::SocketAddr;

use opensecureconf_operator::{
    cluster::{
        build::{ClusterResources, build},
        validate::ValidatedCluster,
    },
    names::{HEALTH_PORT, HTTPS_PORT, METRICS_PORT, PEERS_PORT},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    golden::roots,
    node_contract::{lay_out, parse, pod_variables},
    valid,
};

fn cluster(spec: &str) -> ValidatedCluster {
    valid(&format!(
        "{{apiVersion: opensecureconf.io/v1alpha1, kind: OpenSecureConfCluster, metadata: {{name: prod}}, spec: {spec}}}"
    ))
}

fn built(spec: &str) -> ClusterResources {
    build(&cluster(spec), &roots())
}

/// The numbers of the client Service's ports, and of the node's own.
fn ports(spec: &str) -> (Vec<i64>, Vec<i64>) {
    let resources = built(spec);
    let numbers = |ports: &Value, field: &str| {
        let ports = ports.as_array().unwrap().iter();
        ports.map(|port| port[field].as_i64().unwrap()).collect()
    };
    let service = serde_json::to_value(resources.client_service).unwrap();
    let pods = serde_json::to_value(resources.workload).unwrap();
    let node = "/spec/template/spec/containers/0/ports";
    (
        numbers(&service["spec"]["ports"], "port"),
        numbers(pods.pointer(node).unwrap(), "containerPort"),
    )
}

#[test]
fn what_is_not_encrypted_leaves_the_cluster_only_where_that_is_asked_for() {
    for (spec, service) in [
        ("{}", vec![9443, 9000]),
        ("{tls: {plainHttp: Forbidden}}", vec![9443]),
        ("{tls: {mode: Disabled}}", vec![9000]),
        ("{service: {type: NodePort}}", vec![9443]),
        ("{service: {type: LoadBalancer}}", vec![9443]),
        (
            "{service: {type: LoadBalancer, exposePlainHttp: true}}",
            vec![9443, 9000],
        ),
        (
            "{service: {type: NodePort, exposePlainHttp: true}, tls: {mode: Disabled}}",
            vec![9000],
        ),
    ] {
        assert_eq!(ports(spec).0, service, "{spec}");
    }
}

#[test]
fn a_node_has_the_ports_that_it_opens_and_always_those_of_its_peers() {
    for (spec, node) in [
        ("{}", vec![9000, 9443, 9001, 9002, 9003]),
        (
            "{tls: {plainHttp: Forbidden}}",
            vec![9443, 9001, 9002, 9003],
        ),
        ("{tls: {mode: Disabled}}", vec![9000, 9001, 9002, 9003]),
    ] {
        assert_eq!(ports(spec).1, node, "{spec}");
    }
}

#[test]
fn a_node_is_told_of_the_ports_that_it_opens_and_always_of_those_of_its_peers() {
    const FOR_HTTPS: [&str; 3] = ["OSC_HTTPS_PORT", "OSC_SSL_CERTFILE", "OSC_SSL_KEYFILE"];
    for (spec, http, https) in [
        ("{}", true, true),
        ("{tls: {plainHttp: Forbidden}}", false, true),
        ("{tls: {mode: Disabled}}", true, false),
        ("{tls: {mode: Secret, secretRef: {name: mine}}}", true, true),
    ] {
        let root = TempDir::new().unwrap();
        lay_out(root.path());
        let variables = pod_variables(&cluster(spec), root.path());
        for name in FOR_HTTPS {
            let is_there = variables.iter().any(|(there, _)| there == name);
            assert_eq!(is_there, https, "{name} of {spec}");
        }

        let config = parse(variables);

        let port = |address: Option<SocketAddr>| address.map(|address| address.port());
        assert_eq!(config.http_enabled, http, "{spec}");
        assert_eq!(port(config.peer_listen), Some(PEERS_PORT), "{spec}");
        assert_eq!(port(config.metrics_bind), Some(METRICS_PORT), "{spec}");
        assert_eq!(port(config.health_bind), Some(HEALTH_PORT), "{spec}");
        let own = config.node_tls.unwrap().certificate;
        assert_eq!(own, root.path().join("tls/tls.crt"), "{spec}");
        let clients = config.https.as_ref();
        let listens = clients.map(|clients| clients.listen);
        assert_eq!(port(listens), https.then_some(HTTPS_PORT), "{spec}");
        if let Some(clients) = clients {
            let is_own = clients.files.certificate == own;
            assert_eq!(is_own, !spec.contains("mine"), "{spec}");
        }
    }
}

#[test]
fn who_reaches_which_port_is_a_rule_for_each() {
    let rules = |spec: &str| {
        let policy = serde_json::to_value(built(spec).network_policy).unwrap();
        policy["spec"]["ingress"].clone()
    };
    let every_pod = json!([{ "namespaceSelector": {} }]);
    let default = rules("{}");
    assert_eq!(default[0]["from"], every_pod);
    assert_eq!(default[0]["ports"][0]["port"], 9000);
    assert_eq!(default[0]["ports"][1]["port"], 9443);
    assert_eq!(default[1]["ports"][0]["port"], 9001);
    assert_eq!(
        default[1]["from"],
        json!([
            { "podSelector": { "matchLabels": {
                "app.kubernetes.io/name": "opensecureconf", "app.kubernetes.io/instance": "prod", "app.kubernetes.io/component": "node",
            } } },
            {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "opensecureconf-system" } },
                "podSelector": { "matchLabels": { "app.kubernetes.io/name": "opensecureconf-operator" } },
            },
        ])
    );
    assert_eq!(default[2]["ports"][0]["port"], 9002);
    let scraper = |rule: usize, label: &str| {
        default[2]["from"][rule]["podSelector"]["matchLabels"][label].clone()
    };
    assert_eq!(scraper(0, "app.kubernetes.io/name"), "prometheus");
    assert_eq!(scraper(1, "app.kubernetes.io/name"), "vmagent");
    assert_eq!(default.as_array().unwrap().len(), 3, "9003 has no rule");

    // Traffic from outside comes from no pod: a policy for pods would block it.
    for type_ in ["NodePort", "LoadBalancer"] {
        let outside = rules(&format!("{{service: {{type: {type_}}}}}"));
        assert_eq!(outside[0]["from"], Value::Null, "{type_}");
        let listed = rules(&format!(
            "{{service: {{type: {type_}}}, networkPolicy: {{clients: [{{podSelector: {{}}}}]}}}}"
        ));
        assert_eq!(listed[0]["from"], json!([{ "podSelector": {} }]), "{type_}");
    }
}

#[test]
fn prometheus_is_told_of_https_and_of_nothing_while_there_is_no_authority() {
    let monitor = serde_json::to_value(built("{}").service_monitor).unwrap();
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(endpoint["scheme"], "https");
    assert_eq!(
        endpoint["tlsConfig"],
        json!({ "serverName": "prod.team.svc", "ca": { "configMap": { "name": "prod-ca", "key": "node-ca.crt" } } })
    );
    let mut none = roots();
    none.nodes = String::new();
    let cluster = valid(
        "{apiVersion: opensecureconf.io/v1alpha1, kind: OpenSecureConfCluster, metadata: {name: prod}, spec: {}}",
    );
    assert_eq!(build(&cluster, &none).service_monitor, None);
}

#[test]
fn the_authority_is_mounted_nowhere() {
    for spec in [
        "{}",
        "{tls: {mode: Disabled}}",
        "{tls: {plainHttp: Forbidden}}",
    ] {
        let pods = serde_json::to_string(&built(spec).workload).unwrap();
        assert!(pods.contains("prod-node-tls"), "{spec}");
        assert!(!pods.contains("prod-node-ca"), "{spec}");
    }
}
