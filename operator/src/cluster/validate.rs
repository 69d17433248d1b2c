//! From what the user wrote to what can be built. Pure. Nobody looks at the raw resource afterwards.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, EnvVar, Volume, VolumeMount};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::resource::{ClusterSpec, OpenSecureConfCluster, PodTemplateSpec, check};
use crate::names::{CONFIG_PATH, ClusterName, DATA_PATH, NODE_CONTAINER};

/// A cluster that can be built.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidatedCluster {
    /// Its name.
    pub name: ClusterName,
    /// Its namespace.
    pub namespace: String,
    /// The resource's identity, for owner references.
    pub uid: String,
    /// The generation that was validated.
    pub generation: Option<i64>,
    /// What is wanted.
    pub spec: ClusterSpec,
    /// Image of the nodes.
    pub image: String,
    /// Additions to the pods.
    pub additions: PodAdditions,
}

impl ValidatedCluster {
    /// The same cluster with another number of nodes: what there is to be just now.
    pub(super) fn with_replicas(&self, replicas: i32) -> Self {
        let mut other = self.clone();
        other.spec.replicas = replicas;
        other
    }
}

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
}

/// Why a resource cannot be built; it has to change before anything else happens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A rule of the resource is broken.
    #[error("{0}")]
    Spec(String),
    /// The pod template clashes with what is ours, or is no pod template.
    #[error("podTemplate.{field}: {problem}")]
    PodTemplate {
        /// Which part.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
}

impl Error {
    /// The reason of condition `Stalled`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Spec(_) => "InvalidSpec",
            Self::PodTemplate { .. } => "InvalidPodTemplate",
        }
    }
}

/// What the names of our own labels begin with.
const OWN_LABELS: &str = "opensecureconf.io/";

/// Names of our own volumes.
pub const OWN_VOLUMES: [&str; 6] = ["data", "tmp", "api-key", "cluster-key", "peers", "salt"];

/// Checks a resource; `default_image` is used where it names none.
pub fn validate(
    cluster: &OpenSecureConfCluster,
    default_image: &str,
) -> Result<ValidatedCluster, Error> {
    let valid = without_additions(cluster, default_image)?;
    Ok(ValidatedCluster {
        additions: additions(&cluster.spec.pod_template)?,
        ..valid
    })
}

/// The same without the pod template: not enough to build from, but enough to find the nodes and look at them.
pub fn without_additions(
    cluster: &OpenSecureConfCluster,
    default_image: &str,
) -> Result<ValidatedCluster, Error> {
    let broken = |violations: Vec<super::resource::Violation>| {
        Error::Spec(
            violations
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; "),
        )
    };
    check(cluster).map_err(broken)?;
    let name = ClusterName::new(cluster.metadata.name.as_deref().unwrap_or_default())
        .ok_or_else(|| Error::Spec("the resource has no usable name".to_owned()))?;
    let spec = cluster.spec.clone();
    refuse_own_labels("spec.service.labels", &spec.service.labels, &name)?;
    refuse_own_labels(
        "spec.monitoring.serviceMonitor.labels",
        &spec.monitoring.service_monitor.labels,
        &name,
    )?;
    Ok(ValidatedCluster {
        name,
        namespace: cluster
            .metadata
            .namespace
            .clone()
            .unwrap_or_else(|| "default".to_owned()),
        uid: cluster.metadata.uid.clone().unwrap_or_default(),
        generation: cluster.metadata.generation,
        image: spec
            .image
            .clone()
            .unwrap_or_else(|| default_image.to_owned()),
        additions: PodAdditions::default(),
        spec,
    })
}

/// Children are found, and Services scraped, by labels of ours.
fn refuse_own_labels(
    field: &str,
    labels: &BTreeMap<String, String>,
    cluster: &ClusterName,
) -> Result<(), Error> {
    let own = cluster.labels();
    let clash = labels
        .keys()
        .find(|name| own.contains_key(*name) || name.starts_with(OWN_LABELS));
    match clash {
        None => Ok(()),
        Some(name) => Err(Error::Spec(format!(
            "{field}: '{name}' is the operator's own; choose another"
        ))),
    }
}

fn additions(template: &PodTemplateSpec) -> Result<PodAdditions, Error> {
    let PodTemplateSpec {
        labels,
        annotations,
        env,
        volumes,
        volume_mounts,
        sidecars,
    } = template;
    let additions = PodAdditions {
        labels: labels.clone(),
        annotations: annotations.clone(),
        env: typed("env", env)?,
        volumes: typed("volumes", volumes)?,
        volume_mounts: typed("volumeMounts", volume_mounts)?,
        sidecars: typed("sidecars", sidecars)?,
    };
    let ours = |name: &str| name.starts_with("app.kubernetes.io/") || name.starts_with(OWN_LABELS);
    refuse("labels", additions.labels.keys().map(String::as_str), ours)?;
    refuse(
        "env",
        additions.env.iter().map(|env| env.name.as_str()),
        |name| name.starts_with("OSC_"),
    )?;
    refuse(
        "volumes",
        additions.volumes.iter().map(|volume| volume.name.as_str()),
        |name| OWN_VOLUMES.contains(&name),
    )?;
    refuse(
        "sidecars",
        additions
            .sidecars
            .iter()
            .map(|container| container.name.as_str()),
        |name| name == NODE_CONTAINER,
    )?;
    let own_path = |path: &str| {
        path == "/tmp"
            || [DATA_PATH, CONFIG_PATH]
                .iter()
                .any(|own| path == *own || path.starts_with(&format!("{own}/")))
    };
    refuse(
        "volumeMounts",
        additions
            .volume_mounts
            .iter()
            .map(|mount| mount.mount_path.as_str()),
        own_path,
    )?;
    Ok(additions)
}

fn typed<T: DeserializeOwned>(field: &'static str, values: &[Value]) -> Result<Vec<T>, Error> {
    let parse = |(index, value): (usize, &Value)| {
        T::deserialize(value).map_err(|error| Error::PodTemplate {
            field,
            problem: format!(
                "entry {} is not as in a Pod{}",
                index + 1,
                without_values(&error.to_string())
            ),
        })
    };
    values.iter().enumerate().map(parse).collect()
}

/// What a parser says, as far as it holds no value of the resource: an environment variable may be a password.
fn without_values(error: &str) -> String {
    match error.rsplit_once(", expected ") {
        Some((_, expected)) => format!(": expected {expected}"),
        None => String::new(),
    }
}

fn refuse<'a>(
    field: &'static str,
    names: impl Iterator<Item = &'a str>,
    ours: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for name in names {
        if ours(name) {
            return Err(Error::PodTemplate {
                field,
                problem: format!("'{name}' is the operator's own; choose another"),
            });
        }
        if !seen.insert(name) {
            return Err(Error::PodTemplate {
                field,
                problem: format!("'{name}' stands there twice"),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
