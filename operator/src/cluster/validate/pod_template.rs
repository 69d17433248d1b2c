//! The pod template of the resource: Kubernetes' own types, and no part that clashes with ours or with another part.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use k8s_openapi::api::core::v1::{Container, EnvVar, Volume, VolumeMount};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Error, OWN_LABELS, references::References, unknown};
use crate::{
    cluster::{resource::PodTemplateSpec, secrets::ManagedSecret},
    names::{
        ANNOTATION_DATABASE, ANNOTATION_RESTARTED_AT, CONFIG_PATH, ClusterName, DATA_PATH,
        MIGRATION_CONTAINER, NODE_CONTAINER, OWN_PORTS, OWN_VOLUMES,
    },
};

/// The release of Kubernetes whose pods this operator knows: what a later one has beside these fields would be lost on its way.
pub(super) const KNOWN_KUBERNETES: &str = "1.33";

/// The pod template of the resource, in Kubernetes' own types.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodAdditions {
    /// More labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// More variables of the node container.
    pub env: Vec<EnvVar>,
    /// More volumes.
    pub volumes: Vec<Volume>,
    /// More mounts of the node container.
    pub volume_mounts: Vec<VolumeMount>,
    /// More containers.
    pub sidecars: Vec<Container>,
    /// Containers that run before the node.
    pub init_containers: Vec<Container>,
    /// Secrets and claims that all of these name.
    pub(in crate::cluster) references: References,
}

/// Checks and converts.
///
/// # Errors
/// Names the first part that is no part of a pod, that clashes with the operator's own, that stands there twice (the API
/// server's server-side apply refuses keyed lists with a repeated key), or that refers to a Secret or a volume of the cluster.
pub(super) fn additions(
    template: &PodTemplateSpec,
    cluster: &ClusterName,
) -> Result<PodAdditions, Error> {
    let PodTemplateSpec {
        labels,
        annotations,
        env,
        volumes,
        volume_mounts,
        sidecars,
        init_containers,
    } = template;
    let additions = PodAdditions {
        labels: labels.clone(),
        annotations: annotations.clone(),
        env: typed("env", env)?,
        volumes: typed("volumes", volumes)?,
        volume_mounts: typed("volumeMounts", volume_mounts)?,
        sidecars: typed("sidecars", sidecars)?,
        init_containers: typed("initContainers", init_containers)?,
        references: References::of(
            [env, volumes, sidecars, init_containers]
                .into_iter()
                .flatten(),
        ),
    };
    let ours = |name: &&str| name.starts_with("app.kubernetes.io/") || name.starts_with(OWN_LABELS);
    refuse("labels", additions.labels.keys().map(String::as_str), ours)?;
    refuse(
        "annotations",
        additions.annotations.keys().map(String::as_str),
        |name| [ANNOTATION_RESTARTED_AT, ANNOTATION_DATABASE].contains(name),
    )?;
    refuse("env", names(&additions.env, |env| &env.name), |name| {
        name.starts_with("OSC_")
    })?;
    refuse(
        "volumes",
        names(&additions.volumes, |volume| &volume.name),
        |name| OWN_VOLUMES.contains(name),
    )?;
    refuse(
        "volumeMounts",
        names(&additions.volume_mounts, |mount| &mount.mount_path),
        |path| is_own_path(path),
    )?;
    refuse_own_volumes("volumeMounts", &additions.volume_mounts)?;
    containers(&additions)?;
    own_references(&additions.references, cluster)?;
    images(&additions)?;
    Ok(additions)
}

fn containers(additions: &PodAdditions) -> Result<(), Error> {
    let (sidecars, first) = (&additions.sidecars, &additions.init_containers);
    let mut seen = BTreeSet::new();
    for (field, containers) in [("sidecars", sidecars), ("initContainers", first)] {
        for container in containers {
            if [NODE_CONTAINER, MIGRATION_CONTAINER].contains(&container.name.as_str()) {
                return Err(own(field, &container.name));
            }
            if !seen.insert(&container.name) {
                return Err(twice(field, &container.name));
            }
        }
        for (index, container) in containers.iter().enumerate() {
            keyed_lists(&format!("{field}[{index}]"), container)?;
        }
    }
    Ok(())
}

/// Kubernetes would refuse the StatefulSet, and name a place that the resource does not have.
fn images(additions: &PodAdditions) -> Result<(), Error> {
    let lists = [
        ("sidecars", &additions.sidecars),
        ("initContainers", &additions.init_containers),
    ];
    for (field, containers) in lists {
        let imageless = containers.iter().position(|container| {
            container
                .image
                .as_deref()
                .is_none_or(|image| image.trim().is_empty())
        });
        if let Some(index) = imageless {
            return Err(Error::PodTemplate {
                field: format!("{field}[{index}].image"),
                problem: "a container needs an image".to_owned(),
            });
        }
    }
    Ok(())
}

/// The lists of a container that Kubernetes keeps by a key.
fn keyed_lists(path: &str, container: &Container) -> Result<(), Error> {
    let field = |list: &str| format!("{path}.{list}");
    let free = |_: &&str| false;
    refuse(
        &field("env"),
        names(container.env.iter().flatten(), |env| &env.name),
        free,
    )?;
    let mounts = container.volume_mounts.iter().flatten();
    refuse(
        &field("volumeMounts"),
        names(mounts.clone(), |mount| &mount.mount_path),
        free,
    )?;
    refuse_own_volumes(&field("volumeMounts"), mounts)?;
    let devices = container.volume_devices.iter().flatten();
    refuse(
        &field("volumeDevices"),
        names(devices.clone(), |device| &device.device_path),
        free,
    )?;
    refuse(
        &field("volumeDevices"),
        devices
            .map(|device| device.name.as_str())
            .filter(|name| OWN_VOLUMES.contains(name)),
        |_| true,
    )?;
    let claims = container
        .resources
        .iter()
        .flat_map(|resources| resources.claims.iter().flatten());
    refuse(
        &field("resources.claims"),
        names(claims, |claim| &claim.name),
        free,
    )?;
    let mut seen = BTreeSet::new();
    for port in container.ports.iter().flatten() {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let number = port.container_port;
        let clash = |(name, own): &(&str, u16)| {
            i32::from(*own) == number && protocol == "TCP" || port.name.as_deref() == Some(*name)
        };
        if let Some((name, own_port)) = OWN_PORTS.into_iter().find(clash) {
            return Err(own(&field("ports"), format!("{name} ({own_port})")));
        }
        if !seen.insert((number, protocol)) {
            return Err(twice(&field("ports"), format!("{number}/{protocol}")));
        }
    }
    Ok(())
}

/// The content of our volumes is for the node alone.
fn refuse_own_volumes<'a>(
    field: &str,
    mounts: impl IntoIterator<Item = &'a VolumeMount>,
) -> Result<(), Error> {
    let mut names = mounts.into_iter().map(|mount| mount.name.as_str());
    match names.find(|name| OWN_VOLUMES.contains(name)) {
        Some(name) => Err(own(field, name)),
        None => Ok(()),
    }
}

/// A user who may write the resource need not be allowed to read Secrets.
fn own_references(references: &References, cluster: &ClusterName) -> Result<(), Error> {
    let secrets = ManagedSecret::ALL.map(|secret| secret.name(cluster));
    let own_secret = |name: &&String| secrets.contains(name) || **name == cluster.client_tls();
    if let Some(name) = references.secrets.iter().find(own_secret) {
        return Err(foreign_hands("Secret", name, cluster.as_str()));
    }
    let own_claim = |name: &&String| super::claim_owner(name) == Some(cluster.as_str());
    match references.claims.iter().find(own_claim) {
        Some(name) => Err(foreign_hands(
            "PersistentVolumeClaim",
            name,
            cluster.as_str(),
        )),
        None => Ok(()),
    }
}

/// An error where the pod template refers to an object of a cluster.
pub(super) fn foreign_hands(kind: &str, name: &str, cluster: &str) -> Error {
    Error::PodTemplate {
        field: "volumes, env, sidecars or initContainers".to_owned(),
        problem: format!(
            "{kind} '{name}' is part of cluster {cluster}, which only its nodes use; name another, or copy what you need of it into one of your own"
        ),
    }
}

/// Whether a mount at this path, however it is spelt, would lie over one of ours.
fn is_own_path(path: &str) -> bool {
    let mut folders = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(folders.pop()),
            folder => folders.push(folder),
        }
    }
    let path = format!("/{}", folders.join("/"));
    path == "/tmp"
        || [DATA_PATH, CONFIG_PATH]
            .iter()
            .any(|own| path == *own || path.starts_with(&format!("{own}/")))
}

fn names<'a, T: 'a>(
    items: impl IntoIterator<Item = &'a T>,
    name: impl Fn(&'a T) -> &'a String,
) -> impl Iterator<Item = &'a str> {
    items.into_iter().map(move |item| name(item).as_str())
}

fn typed<T: DeserializeOwned + Serialize>(field: &str, values: &[Value]) -> Result<Vec<T>, Error> {
    let parse = |(index, value): (usize, &Value)| {
        let part: T =
            serde_path_to_error::deserialize(value).map_err(|error| Error::PodTemplate {
                field: match error.path().to_string().as_str() {
                    // The whole item.
                    "." => format!("{field}[{index}]"),
                    path => format!("{field}[{index}].{path}"),
                },
                problem: format!(
                    "it is not as in a Pod{}",
                    without_values(&error.inner().to_string())
                ),
            })?;
        let read = serde_json::to_value(&part).unwrap_or_default();
        match unknown::field(value, &read) {
            None => Ok(part),
            Some(path) => Err(Error::PodTemplate {
                field: format!("{field}[{index}]{path}"),
                problem: format!(
                    "a Pod of Kubernetes {KNOWN_KUBERNETES}, which this operator knows, has no field of this name, so it would be dropped; correct its \
                     spelling, or leave out what only a later Kubernetes has"
                ),
            }),
        }
    };
    values.iter().enumerate().map(parse).collect()
}

/// A parser's message without values of the resource: an environment variable may be a password.
fn without_values(error: &str) -> String {
    match error.rsplit_once(", expected ") {
        Some((_, expected)) => format!(": expected {expected}"),
        None => String::new(),
    }
}

fn refuse<'a>(
    field: &str,
    names: impl Iterator<Item = &'a str>,
    ours: impl Fn(&&str) -> bool,
) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for name in names {
        if ours(&name) {
            return Err(own(field, name));
        }
        if !seen.insert(name) {
            return Err(twice(field, name));
        }
    }
    Ok(())
}

fn own(field: &str, name: impl Display) -> Error {
    Error::PodTemplate {
        field: field.to_owned(),
        problem: format!("'{name}' is the operator's own; choose another"),
    }
}

fn twice(field: &str, name: impl Display) -> Error {
    Error::PodTemplate {
        field: field.to_owned(),
        problem: format!("'{name}' stands there twice"),
    }
}
