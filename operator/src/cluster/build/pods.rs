//! The pod template of nodes, for either workload.

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction,
        ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, SeccompProfile,
        SecurityContext, TopologySpreadConstraint, VolumeMount,
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use opensecureconf_contract::route;

use super::{
    database,
    folders::{Folder, client_certificate, config_folders, own_volumes},
    metadata,
    settings::build_node_settings,
};
use crate::{
    cluster::{
        Workload,
        resource::{ImagePullPolicy, PodSecurity},
        validate::ValidatedCluster,
    },
    names::{
        ANNOTATION_RESTARTED_AT, API_KEY_ENTRY, CERTIFICATE_ENTRY, CLUSTER_KEY_ENTRY, CONFIG_PATH,
        DATA_PATH, HEALTH_PORT, HEALTH_PORT_NAME, HTTP_PORT, HTTP_PORT_NAME, HTTPS_PORT,
        HTTPS_PORT_NAME, LOG_LEVEL_ENTRY, METRICS_PORT, NODE_CONTAINER, OWN_PORTS, PEERS_ENTRY,
        PEERS_PORT, PRIVATE_KEY_ENTRY, SALT_ENTRY, USER_ID,
    },
    node::settings::{CertificateFiles, NODE_ID_VARIABLE, NodeFiles, NodePorts, NodeSettings},
};

/// Longer than the drain and the 30 seconds that requests get to finish.
const TERMINATION_SECONDS: i64 = 60;
/// How long a node accepts requests while Kubernetes removes it from the Services.
const DRAIN_SECONDS: u32 = 5;

/// The pod template, as this operator renders it.
pub fn pod_template(cluster: &ValidatedCluster) -> PodTemplateSpec {
    let (spec, additions) = (&cluster.spec, &cluster.additions);
    let mut labels = cluster.name.pod_labels();
    labels.extend(additions.labels.clone());
    let mut annotations = additions.annotations.clone();
    annotations.extend(
        spec.restarted_at
            .iter()
            .map(|at| (ANNOTATION_RESTARTED_AT.to_owned(), at.clone())),
    );
    let mut containers = vec![node_container(cluster)];
    containers.extend(additions.sidecars.iter().cloned());
    let mut volumes = own_volumes(cluster);
    volumes.extend(database::volumes(cluster));
    volumes.extend(additions.volumes.iter().cloned());
    let mut init_containers = additions.init_containers.clone();
    // Last, because it may need the network that one of the others sets up.
    init_containers.extend(database::migration(cluster));
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            containers,
            init_containers: Some(init_containers).filter(|containers| !containers.is_empty()),
            volumes: Some(volumes),
            image_pull_secrets: Some(spec.image_pull_secrets.clone())
                .filter(|secrets| !secrets.is_empty()),
            service_account_name: Some(cluster.name.as_str().to_owned()),
            automount_service_account_token: Some(false),
            // A Service named `osc-host` would inject OSC_HOST_PORT.
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(TERMINATION_SECONDS),
            security_context: Some(security_context(spec.pod_security)),
            node_selector: Some(spec.node_selector.clone()).filter(|selector| !selector.is_empty()),
            tolerations: Some(spec.tolerations.clone())
                .filter(|tolerations| !tolerations.is_empty()),
            affinity: spec.affinity.clone(),
            topology_spread_constraints: Some(spread(cluster)),
            priority_class_name: spec.priority_class_name.clone(),
            ..PodSpec::default()
        }),
    }
}

/// A platform that assigns users refuses a pod that asks for one.
fn security_context(policy: PodSecurity) -> PodSecurityContext {
    let user = match policy {
        PodSecurity::Fixed => Some(USER_ID),
        PodSecurity::Platform => None,
    };
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: user,
        run_as_group: user,
        fs_group: user,
        fs_group_change_policy: user.map(|_| "OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

fn spread(cluster: &ValidatedCluster) -> Vec<TopologySpreadConstraint> {
    if !cluster.spec.topology_spread_constraints.is_empty() {
        return cluster.spec.topology_spread_constraints.clone();
    }
    ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        .map(|topology_key| TopologySpreadConstraint {
            max_skew: 1,
            topology_key: topology_key.to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(metadata::pod_selector(cluster)),
            ..TopologySpreadConstraint::default()
        })
        .to_vec()
}

fn node_container(cluster: &ValidatedCluster) -> Container {
    let files = NodeFiles {
        database: format!("{DATA_PATH}/configurations.db").into(),
        salt: format!("{DATA_PATH}/encryption.salt").into(),
        cluster_salt: Folder::Salt.file(SALT_ENTRY),
        api_key: Some(Folder::ApiKey.file(API_KEY_ENTRY)),
        cluster_key: Folder::ClusterKey.file(CLUSTER_KEY_ENTRY),
        nodes: Folder::Peers.file(PEERS_ENTRY),
        log_level: Some(Folder::Peers.file(LOG_LEVEL_ENTRY)),
    };
    let tls = &cluster.spec.tls;
    let ports = NodePorts {
        http: tls.serves_http(),
        https: client_certificate(cluster).map(|folder| {
            let certificate = folder.file(CERTIFICATE_ENTRY);
            let key = folder.file(PRIVATE_KEY_ENTRY);
            (HTTPS_PORT, CertificateFiles { certificate, key })
        }),
        peers: PEERS_PORT,
        metrics: METRICS_PORT,
        health: HEALTH_PORT,
        node_tls: format!("{CONFIG_PATH}/{}", Folder::NodeTls.name()).into(),
    };
    let settings = NodeSettings {
        ports: Some(ports),
        ..build_node_settings(cluster, "::", HTTP_PORT, files, DRAIN_SECONDS)
    };
    let own_env = settings
        .variables()
        .into_iter()
        .map(|(name, value)| EnvVar {
            name: name.to_owned(),
            value: Some(value),
            value_from: None,
        });
    let mut mounts = match cluster.workload() {
        Workload::StatefulSet => vec![mount("data", DATA_PATH.to_owned(), false)],
        Workload::Deployment(shared) => database::mounts(shared),
    };
    mounts.push(mount("tmp", "/tmp".to_owned(), false));
    mounts.extend(
        config_folders(cluster)
            .into_iter()
            .map(Folder::name)
            .map(|folder| mount(folder, format!("{CONFIG_PATH}/{folder}"), true)),
    );
    mounts.extend(cluster.additions.volume_mounts.iter().cloned());
    Container {
        name: NODE_CONTAINER.to_owned(),
        image: Some(cluster.image.clone()),
        image_pull_policy: cluster
            .spec
            .image_pull_policy
            .map(|policy| pull_policy(policy).to_owned()),
        env: Some(
            std::iter::once(node_id())
                .chain(own_env)
                .chain(cluster.additions.env.iter().cloned())
                .collect(),
        ),
        ports: Some(container_ports(cluster)),
        volume_mounts: Some(mounts),
        resources: Some(cluster.spec.resources.clone()),
        // A node that cannot start says why in its last line, and the status repeats it.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        // Long enough for the check of a large database before the node listens.
        startup_probe: Some(probe(route::HEALTH, 1, 300)),
        liveness_probe: Some(probe(route::HEALTH, 10, 3)),
        readiness_probe: Some(probe(route::READY, 2, 2)),
        security_context: Some(restricted()),
        ..Container::default()
    }
}

/// The restrictions of every container of ours.
pub(super) fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: None,
        }),
        ..SecurityContext::default()
    }
}

fn container_ports(cluster: &ValidatedCluster) -> Vec<ContainerPort> {
    let tls = &cluster.spec.tls;
    OWN_PORTS
        .iter()
        .filter(|(name, _)| match *name {
            HTTP_PORT_NAME => tls.serves_http(),
            HTTPS_PORT_NAME => tls.serves_https(),
            _ => true,
        })
        .map(|(name, port)| container_port(name, (*port).into()))
        .collect()
}

fn container_port(name: &str, port: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: port,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

pub(super) fn pull_policy(policy: ImagePullPolicy) -> &'static str {
    match policy {
        ImagePullPolicy::Always => "Always",
        ImagePullPolicy::IfNotPresent => "IfNotPresent",
        ImagePullPolicy::Never => "Never",
    }
}

fn node_id() -> EnvVar {
    EnvVar {
        name: NODE_ID_VARIABLE.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: "metadata.name".to_owned(),
                api_version: Some("v1".to_owned()),
            }),
            ..EnvVarSource::default()
        }),
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(HEALTH_PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(3),
        failure_threshold: Some(failure_threshold),
        ..Probe::default()
    }
}

/// Without a sub-path, or a changed Secret would never arrive.
pub(super) fn mount(name: &str, path: String, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path,
        // Kubernetes stores no `false` here.
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
