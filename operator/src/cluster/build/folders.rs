//! The folders with the settings, keys and certificates of a node, each a volume of the same name.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, ProjectedVolumeSource,
    SecretProjection, SecretVolumeSource, Volume, VolumeProjection,
};

use crate::{
    cluster::{
        resource::{PodSecurity, TlsMode},
        secrets::ManagedSecret,
        validate::ValidatedCluster,
    },
    names::{API_KEY_ENTRY, API_KEY_PREVIOUS_FILE, CONFIG_PATH, previous_entry},
};

/// Readable through the file system group only.
const GROUP_READS: i32 = 0o440;
/// Readable for whichever user the platform assigns.
const ALL_READ: i32 = 0o444;

/// A folder below the configuration path, and the volume of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folder {
    /// The clients' key, and the one before.
    ApiKey,
    /// The key that nodes show each other.
    ClusterKey,
    /// The peer list, and the level of the log.
    Peers,
    /// The salt of the cluster.
    Salt,
    /// The nodes' certificate.
    NodeTls,
    /// The certificate that clients see, where that is a separate one.
    ClientTls,
}

impl Folder {
    /// The name of the folder and of the volume.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api-key",
            Self::ClusterKey => "cluster-key",
            Self::Peers => "peers",
            Self::Salt => "salt",
            Self::NodeTls => "tls",
            Self::ClientTls => "client-tls",
        }
    }

    /// The path of one of its files.
    pub(super) fn file(self, name: &str) -> PathBuf {
        format!("{CONFIG_PATH}/{}/{name}", self.name()).into()
    }

    /// The volume.
    fn volume(self, cluster: &ValidatedCluster) -> Volume {
        let mut volume = Volume {
            name: self.name().to_owned(),
            ..Volume::default()
        };
        match self {
            Self::ApiKey => volume.projected = Some(api_keys(cluster)),
            Self::ClusterKey => {
                volume.secret = Some(secret(cluster, ManagedSecret::ClusterKey, false));
            }
            Self::Peers => {
                volume.config_map = Some(ConfigMapVolumeSource {
                    name: cluster.name.nodes(),
                    ..ConfigMapVolumeSource::default()
                });
            }
            Self::Salt => volume.secret = Some(secret(cluster, ManagedSecret::Salt, true)),
            Self::NodeTls => volume.secret = Some(secret(cluster, ManagedSecret::NodeTls, false)),
            Self::ClientTls => volume.secret = Some(client_tls(cluster)),
        }
        volume
    }
}

/// The folders that a node of this cluster has.
pub(super) fn config_folders(cluster: &ValidatedCluster) -> Vec<Folder> {
    let api_key = cluster.spec.api_key.required.then_some(Folder::ApiKey);
    let always = [
        Folder::ClusterKey,
        Folder::Peers,
        Folder::Salt,
        Folder::NodeTls,
    ];
    let of_clients = client_certificate(cluster).filter(|folder| *folder == Folder::ClientTls);
    api_key
        .into_iter()
        .chain(always)
        .chain(of_clients)
        .collect()
}

/// The folder with the certificate that clients see; `None` where port 9443 is closed.
pub(super) fn client_certificate(cluster: &ValidatedCluster) -> Option<Folder> {
    match cluster.spec.tls.mode {
        TlsMode::Auto => Some(Folder::NodeTls),
        TlsMode::Secret | TlsMode::Issuer => Some(Folder::ClientTls),
        TlsMode::Disabled => None,
    }
}

/// The mode of the files of Secrets.
pub(super) fn secret_mode(policy: PodSecurity) -> i32 {
    match policy {
        PodSecurity::Fixed => GROUP_READS,
        PodSecurity::Platform => ALL_READ,
    }
}

/// The volumes of these folders, and the one for temporary files.
pub(super) fn own_volumes(cluster: &ValidatedCluster) -> Vec<Volume> {
    let tmp = Volume {
        name: "tmp".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let folders = config_folders(cluster).into_iter();
    let folders = folders.map(|folder| folder.volume(cluster));
    std::iter::once(tmp).chain(folders).collect()
}

/// The key, and the previous one where there is one: it may come and go without a new pod.
fn api_keys(cluster: &ValidatedCluster) -> ProjectedVolumeSource {
    let (name, entry) = match &cluster.spec.api_key.secret_ref {
        None => (
            ManagedSecret::ApiKey.name(&cluster.name),
            API_KEY_ENTRY.to_owned(),
        ),
        Some(reference) => (reference.name.clone(), reference.key.clone()),
    };
    let source = |key: String, path: &str, optional: bool| VolumeProjection {
        secret: Some(SecretProjection {
            name: name.clone(),
            items: Some(vec![KeyToPath {
                key,
                path: path.to_owned(),
                mode: None,
            }]),
            optional: optional.then_some(true),
        }),
        ..VolumeProjection::default()
    };
    ProjectedVolumeSource {
        sources: Some(vec![
            source(entry.clone(), API_KEY_ENTRY, false),
            source(previous_entry(&entry), API_KEY_PREVIOUS_FILE, true),
        ]),
        default_mode: Some(secret_mode(cluster.spec.pod_security)),
    }
}

/// It may be missing, and come later: port 9443 is closed until then.
fn client_tls(cluster: &ValidatedCluster) -> SecretVolumeSource {
    SecretVolumeSource {
        secret_name: cluster.client_certificate_secret(),
        optional: Some(true),
        default_mode: Some(secret_mode(cluster.spec.pod_security)),
        ..SecretVolumeSource::default()
    }
}

fn secret(cluster: &ValidatedCluster, which: ManagedSecret, optional: bool) -> SecretVolumeSource {
    SecretVolumeSource {
        secret_name: Some(which.name(&cluster.name)),
        optional: optional.then_some(true),
        default_mode: Some(secret_mode(cluster.spec.pod_security)),
        ..SecretVolumeSource::default()
    }
}
