//! The objects that the builders make. A change of a builder shows as a change of a file under `golden/`
//! (accept it with `INSTA_UPDATE=always cargo test -p opensecureconf-operator`).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PodSpec;
use opensecureconf_contract::{Salt, bootstrap::BootstrapMark};
use opensecureconf_operator::cluster::{
    build::{ClusterResources, Roots, build, build_shared},
    secrets::{ManagedSecret, build_key_secret, build_salt_secret},
    validate::{ValidatedCluster, validate},
};
use opensecureconf_operator::names::{LAYOUT, OWN_PORTS, OWN_VOLUMES};
use serde::Serialize;

use crate::{ONE_NODE, THREE_NODES, valid};

/// Sets every field of the resource to a value that is not its default.
const EVERYTHING: &str = include_str!("everything.yaml");
/// Nodes that share a database.
pub(crate) const SHARED: &str = include_str!("everything-shared.yaml");

pub(crate) fn roots() -> Roots {
    Roots {
        nodes: "what verifies nodes".to_owned(),
        clients: Some("what verifies port 9443".to_owned()),
    }
}

/// One document for each object, in the order in which they are applied.
fn documents(yaml: &str) -> String {
    let cluster = valid(yaml);
    of_resources(&cluster, build(&cluster, &roots()))
}

fn of_resources<W: Serialize>(
    cluster: &ValidatedCluster,
    resources: ClusterResources<W>,
) -> String {
    let ClusterResources {
        service_account,
        config_map,
        ca_config_map,
        headless_service,
        client_service,
        network_policy,
        disruption_budget,
        service_monitor,
        certificate,
        // A later step decides which template is accepted.
        template_config_map: _,
        workload,
    } = resources;
    [
        document(&build_salt_secret(
            cluster,
            &Salt::new([7; 64]),
            &BootstrapMark::Unchosen,
        )),
        document(&build_key_secret(
            cluster,
            ManagedSecret::ApiKey,
            "0123".repeat(16),
        )),
        document(&build_key_secret(
            cluster,
            ManagedSecret::ClusterKey,
            "4567".repeat(16),
        )),
        document(&service_account),
        document(&config_map),
        document(&ca_config_map),
        document(&headless_service),
        document(&client_service),
        document(&network_policy),
        document(&disruption_budget),
        document(&service_monitor),
        document(&certificate),
        document(&workload),
    ]
    .join("---\n")
}

fn document(object: &impl Serialize) -> String {
    serde_saphyr::to_string(&serde_json::to_value(object).unwrap()).unwrap()
}

fn assert_golden(name: &str, documents: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // The release is in labels; a release alone changes no golden file.
    let documents = documents.replace(env!("CARGO_PKG_VERSION"), "[version]");
    settings.bind(|| insta::assert_snapshot!(name, documents));
}

#[test]
fn one_node() {
    assert_golden("one-node", &documents(ONE_NODE));
}

#[test]
fn three_nodes() {
    assert_golden("three-nodes", &documents(THREE_NODES));
}

#[test]
fn everything_that_can_be_set() {
    assert_golden("everything", &documents(EVERYTHING));
}

#[test]
fn nodes_that_share_a_database() {
    let cluster = valid(SHARED);
    let resources = build_shared(&cluster, &roots());
    assert_golden("shared", &of_resources(&cluster, resources));
}

#[test]
fn nodes_that_share_a_database_have_nothing_of_nodes_that_know_each_other() {
    let resources = build_shared(&valid(SHARED), &roots());
    let pods = serde_json::to_string(&resources.workload).unwrap();
    for word in [
        "OSC_CLUSTER_ENABLED",
        "OSC_CLUSTER_MODE",
        "OSC_CLUSTER_NODES",
        "OSC_CLUSTER_SYNC_INTERVAL",
        "OSC_CLUSTER_WRITE_ACK",
        "OSC_DATABASE_PATH",
        "OSC_BOOTSTRAP",
        "/var/lib/opensecureconf",
        "persistentVolumeClaim",
    ] {
        assert!(!pods.contains(word), "{word} in {pods}");
    }
    // Only the step before the node has the address of the role that makes the tables.
    let pod =
        serde_json::to_value(&resources.workload).unwrap()["spec"]["template"]["spec"].clone();
    let node = pod["containers"][0].to_string();
    assert!(!node.contains("migration"), "{node}");
    let step = pod["initContainers"][0].to_string();
    assert!(step.contains("database-migration"), "{step}");
}

#[test]
fn a_previous_api_key_may_come_and_go_without_another_pod() {
    let sources = |yaml: &str| {
        let set = serde_json::to_value(build(&valid(yaml), &roots()).workload).unwrap();
        let volumes = set["spec"]["template"]["spec"]["volumes"].clone();
        let volume = volumes.as_array().unwrap().iter();
        volume
            .clone()
            .find(|volume| volume["name"] == "api-key")
            .unwrap()["projected"]["sources"]
            .clone()
    };
    for (yaml, secret, key) in [
        (ONE_NODE, "demo-api-key", "api-key"),
        (EVERYTHING, "mine", "token"),
    ] {
        let item = |key: String, path| serde_json::json!({"key": key, "path": path});
        assert_eq!(
            sources(yaml),
            serde_json::json!([
                {"secret": {"name": secret, "items": [item(key.into(), "api-key")]}},
                {"secret": {"name": secret, "optional": true, "items": [item(format!("{key}-previous"), "api-key-previous")]}},
            ])
        );
    }
}

#[test]
fn nothing_but_the_pods_depends_on_what_may_wait() {
    let built = |image: &str| {
        let cluster = validate(&crate::resource(THREE_NODES), image).unwrap();
        let mut built = build(&cluster, &roots());
        let pods = std::mem::take(&mut built.workload.spec.as_mut().unwrap().template);
        (built, pods)
    };
    let ((one, old), (other, new)) = (built("node:1"), built("node:2"));
    assert_ne!(old, new);
    assert_eq!(one, other);
    // Services, policies and Prometheus find pods by these.
    assert_eq!(old.metadata, new.metadata);
    let labels = old.metadata.unwrap().labels.unwrap();
    let selector = one.workload.spec.unwrap().selector.match_labels.unwrap();
    assert!(
        selector
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value)),
        "{labels:?}"
    );
    // Services, policies and peers use these names, whichever template a pod is from. Other numbers need another layout, or
    // both sides of a rollout in every one of these objects.
    let ports = OWN_PORTS.map(|(name, port)| format!("{name} {port}"));
    let layout = [
        "http 9000",
        "https 9443",
        "peers 9001",
        "metrics 9002",
        "health 9003",
    ];
    assert_eq!(
        (LAYOUT, ports.as_slice()),
        ("2", layout.map(str::to_owned).as_slice())
    );
}

/// A cluster with this spec.
fn with_spec(spec: &str) -> ValidatedCluster {
    valid(&format!(
        "{{apiVersion: opensecureconf.io/v1alpha1, kind: OpenSecureConfCluster, metadata: {{name: prod}}, spec: {spec}}}"
    ))
}

#[test]
fn addresses_of_both_families_are_asked_for_as_the_resource_says() {
    for policy in ["SingleStack", "PreferDualStack", "RequireDualStack"] {
        let built = build(
            &with_spec(&format!("{{service: {{ipFamilyPolicy: {policy}}}}}")),
            &roots(),
        );
        let service = built.client_service.spec.unwrap();
        assert_eq!(service.ip_family_policy.as_deref(), Some(policy));
    }
    let built = build(&with_spec("{}"), &roots());
    assert_eq!(built.client_service.spec.unwrap().ip_family_policy, None);
}

#[test]
fn nodes_acknowledge_writes_as_the_resource_says() {
    let told = |spec: &str| {
        let pod = build(&with_spec(spec), &roots())
            .workload
            .spec
            .unwrap()
            .template
            .spec
            .unwrap();
        let variables = pod.containers[0].env.clone().unwrap();
        let mut variables = variables.into_iter();
        variables
            .find(|variable| variable.name == "OSC_CLUSTER_WRITE_ACK")
            .unwrap()
            .value
            .unwrap()
    };
    for (value, wanted) in [("Local", "local"), ("Healthy", "healthy"), ("All", "all")] {
        assert_eq!(told(&format!("{{writeAck: {value}}}")), wanted);
    }
    assert_eq!(told("{}"), "healthy");
}

#[test]
fn the_volumes_that_a_user_may_not_name_are_those_that_pods_have() {
    let mut built = BTreeSet::new();
    let mut note = |pod: PodSpec, users: &[&str]| {
        let volumes = pod.volumes.unwrap().into_iter().map(|volume| volume.name);
        built.extend(volumes.filter(|name| !users.contains(&name.as_str())));
    };
    let set = build(&valid(EVERYTHING), &roots()).workload.spec.unwrap();
    let claims = set.volume_claim_templates.unwrap();
    note(set.template.spec.unwrap(), &["scratch"]);
    let shared = build_shared(&valid(SHARED), &roots())
        .workload
        .spec
        .unwrap();
    note(shared.template.spec.unwrap(), &[]);
    built.extend(claims.into_iter().map(|claim| claim.metadata.name.unwrap()));
    let own: BTreeSet<_> = OWN_VOLUMES.map(str::to_owned).into();
    assert_eq!(built, own);
}

#[test]
fn what_is_switched_off_is_not_built() {
    let off = build(
        &valid(
            "{apiVersion: opensecureconf.io/v1alpha1, kind: OpenSecureConfCluster, metadata: {name: prod}, spec: {networkPolicy: {enabled: false}, podDisruptionBudget: {enabled: false}, monitoring: {serviceMonitor: {enabled: false}}, apiKey: {required: false}}}",
        ),
        &roots(),
    );
    assert_eq!(off.network_policy, None);
    assert_eq!(off.disruption_budget, None);
    assert_eq!(off.service_monitor, None);
    let pods = serde_json::to_string(&off.workload).unwrap();
    assert!(
        !pods.contains("API_KEY_FILE") && !pods.contains("prod-api-key"),
        "{pods}"
    );
}
