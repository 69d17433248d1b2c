//! The parts of pods whose nodes share a database: its address, the authorities of its certificate, and the step that makes its
//! tables.

use k8s_openapi::api::core::v1::{
    Container, EnvVar, KeyToPath, SecretVolumeSource, Volume, VolumeMount,
};
use opensecureconf_contract::{self as contract, setting};

use super::{
    folders::secret_mode,
    pods::{mount, pull_policy, restricted},
};
use crate::{
    cluster::{Workload, resource::DatabaseSpec, validate::ValidatedCluster},
    names::{
        AUTHORITIES_ENTRY, CONFIG_PATH, DATABASE_AUTHORITIES_VOLUME, DATABASE_URL_ENTRY,
        DATABASE_VOLUME, MIGRATION_CONTAINER, MIGRATION_URL_ENTRY, MIGRATION_VOLUME, SALT_ENTRY,
    },
    node::settings::SharedDatabase,
};

/// Its settings, as nodes have them.
pub(super) fn of_nodes(database: &DatabaseSpec) -> SharedDatabase {
    settings(database, DATABASE_VOLUME)
}

fn settings(database: &DatabaseSpec, folder: &str) -> SharedDatabase {
    let file = |folder: &str, name: &str| format!("{CONFIG_PATH}/{folder}/{name}").into();
    SharedDatabase {
        url: file(folder, DATABASE_URL_ENTRY),
        authorities: database
            .ca_secret_ref
            .as_ref()
            .map(|_| file(DATABASE_AUTHORITIES_VOLUME, AUTHORITIES_ENTRY)),
        connections: database.connections,
        timeout_seconds: database.timeout_seconds,
    }
}

/// The mounts of a node for it.
pub(super) fn mounts(database: &DatabaseSpec) -> Vec<VolumeMount> {
    folders(database, DATABASE_VOLUME)
}

fn folders(database: &DatabaseSpec, folder: &'static str) -> Vec<VolumeMount> {
    let authorities = database.ca_secret_ref.iter();
    let folders = std::iter::once(folder).chain(authorities.map(|_| DATABASE_AUTHORITIES_VOLUME));
    folders
        .map(|folder| mount(folder, format!("{CONFIG_PATH}/{folder}"), true))
        .collect()
}

/// The volumes; none where each node has a volume of its own.
pub(super) fn volumes(cluster: &ValidatedCluster) -> Vec<Volume> {
    let Workload::Deployment(database) = cluster.workload() else {
        return Vec::new();
    };
    let of_secret = |volume: &str, secret: String, entry: &str, file: &str| Volume {
        name: volume.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret),
            items: Some(vec![KeyToPath {
                key: entry.to_owned(),
                path: file.to_owned(),
                mode: None,
            }]),
            default_mode: Some(secret_mode(cluster.spec.pod_security)),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let address = |volume: &str, entry: &str| {
        of_secret(volume, cluster.name.database(), entry, DATABASE_URL_ENTRY)
    };
    let mut volumes = vec![
        address(DATABASE_VOLUME, DATABASE_URL_ENTRY),
        address(MIGRATION_VOLUME, MIGRATION_URL_ENTRY),
    ];
    volumes.extend(database.ca_secret_ref.as_ref().map(|reference| {
        of_secret(
            DATABASE_AUTHORITIES_VOLUME,
            reference.name.clone(),
            &reference.key,
            AUTHORITIES_ENTRY,
        )
    }));
    volumes
}

/// For how many seconds the step before the node waits for a database that is away, until it ends and its pod tries again later:
/// only then does the pod say what it waits for.
const MIGRATION_WAIT: u64 = 60;

/// The step before the node: it makes the tables, or brings older ones to the release of the image; current ones stay as they
/// are.
pub(super) fn migration(cluster: &ValidatedCluster) -> Option<Container> {
    let Workload::Deployment(database) = cluster.workload() else {
        return None;
    };
    let spec = &cluster.spec;
    let mut mounts = folders(database, MIGRATION_VOLUME);
    mounts.push(mount("salt", format!("{CONFIG_PATH}/salt"), true));
    let log_format = contract::LogFormat::from(spec.logging.format).name();
    let own = [
        (
            setting::SALT_SECRET_FILE.variable,
            format!("{CONFIG_PATH}/salt/{SALT_ENTRY}"),
        ),
        (setting::CLUSTER_ID.variable, super::cluster_id(cluster)),
        (setting::LOG_FORMAT.variable, log_format.to_owned()),
    ];
    let reached = settings(database, MIGRATION_VOLUME).variables();
    let env = own.into_iter().chain(reached).map(|(name, value)| EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    });
    Some(Container {
        name: MIGRATION_CONTAINER.to_owned(),
        image: Some(cluster.image.clone()),
        image_pull_policy: spec
            .image_pull_policy
            .map(|policy| pull_policy(policy).to_owned()),
        args: Some(vec![
            "database".to_owned(),
            "migrate".to_owned(),
            "--wait".to_owned(),
            MIGRATION_WAIT.to_string(),
        ]),
        env: Some(env.collect()),
        volume_mounts: Some(mounts),
        resources: Some(spec.resources.clone()),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        security_context: Some(restricted()),
        ..Container::default()
    })
}
