//! From the user's resource to its buildable form. Pure. No code reads the raw resource afterwards.

mod pod_template;
mod references;
mod unknown;

use std::{collections::BTreeMap, time::Duration};

pub use pod_template::PodAdditions;
pub(in crate::cluster) use references::{check_own_secrets, claim_owner, names_secrets};

use super::resource::{ClusterSpec, OpenSecureConfCluster, ServiceType, TlsMode, canonical, check};
use super::{rollout::ANSWER_TIMEOUT, rules::Rules};
use crate::names::{ANNOTATION_ACCEPT, ClusterName, OPERATOR, OPERATOR_NAMESPACE};

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
    /// The wanted state.
    pub spec: ClusterSpec,
    /// Image of the nodes.
    pub image: String,
    /// Additions to the pods.
    pub additions: PodAdditions,
    /// Which changes of the pod template a person lets in, by their number.
    pub accepts: Option<String>,
    /// Where the operator and its clusters run.
    pub installation: Installation,
}

/// Where the operator and its clusters run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The operator's own namespace.
    pub namespace: String,
    /// The mark of this operator on its clusters: `NAMESPACE/LEASE`.
    pub operator: String,
    /// The domain of Services' names, such as `cluster.local`.
    pub cluster_domain: String,
    /// How long a rollout waits for answers of nodes that serve and do not answer.
    pub answer_timeout: Duration,
    /// The rules that this operator goes by: all of them.
    pub rules: Rules,
}

impl Default for Installation {
    fn default() -> Self {
        Self {
            namespace: OPERATOR_NAMESPACE.to_owned(),
            operator: format!("{OPERATOR_NAMESPACE}/{OPERATOR}"),
            cluster_domain: "cluster.local".to_owned(),
            answer_timeout: ANSWER_TIMEOUT,
            rules: Rules::ALL,
        }
    }
}

impl ValidatedCluster {
    /// The Secret with the certificate that clients see, where that is not the nodes' own.
    pub(super) fn client_certificate_secret(&self) -> Option<String> {
        let tls = &self.spec.tls;
        match tls.mode {
            TlsMode::Secret => tls.secret_ref.as_ref().map(|secret| secret.name.clone()),
            TlsMode::Issuer => Some(self.name.client_tls()),
            TlsMode::Auto | TlsMode::Disabled => None,
        }
    }

    /// The same cluster with other fields, and the image that it has.
    ///
    /// # Errors
    /// Where the pod template among them is none.
    pub(super) fn with_spec(&self, spec: ClusterSpec) -> Result<Self, Error> {
        Ok(Self {
            additions: pod_template::additions(&spec.pod_template, &self.name)?,
            spec,
            ..self.clone()
        })
    }

    /// The same cluster with another number of nodes: the present one.
    pub(super) fn with_replicas(&self, replicas: i32) -> Self {
        let mut other = self.clone();
        other.spec.replicas = replicas;
        other
    }
}

/// Why a resource cannot be built; it has to change before any other step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A rule of the resource is broken.
    #[error("{0}")]
    Spec(String),
    /// The pod template clashes with the operator's parts, or is no pod template.
    #[error("podTemplate.{field}: {problem}")]
    PodTemplate {
        /// The part, such as `sidecars[0].env`.
        field: String,
        /// Its fault.
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

/// The prefix of our own labels.
const OWN_LABELS: &str = "opensecureconf.io/";

/// Checks a resource; `default_image` is used where it names none.
pub fn validate(
    cluster: &OpenSecureConfCluster,
    default_image: &str,
) -> Result<ValidatedCluster, Error> {
    let valid = without_additions(cluster, default_image)?;
    Ok(ValidatedCluster {
        additions: pod_template::additions(&cluster.spec.pod_template, &valid.name)?,
        ..valid
    })
}

/// The same without the pod template: not enough to build from, but enough to find the nodes and ask them.
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
    let spec = canonical(&cluster.spec)
        .map_err(|error| Error::Spec(format!("the spec cannot be read: {error}")))?;
    refuse_own_labels("spec.service.labels", &spec.service.labels, &name)?;
    refuse_own_labels(
        "spec.monitoring.serviceMonitor.labels",
        &spec.monitoring.service_monitor.labels,
        &name,
    )?;
    if let Some(problem) = unreachable_from_outside(&spec) {
        return Err(Error::Spec(problem));
    }
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
        accepts: cluster
            .metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(ANNOTATION_ACCEPT).cloned()),
        installation: Installation::default(),
        spec,
    })
}

/// The identity of a cluster whose resource breaks a rule, and the defaults for everything else: enough to find its objects.
/// `None` where no object can have its name.
pub(super) fn identity(
    cluster: &OpenSecureConfCluster,
    installation: &Installation,
) -> Option<ValidatedCluster> {
    let metadata = &cluster.metadata;
    let mut spec = ClusterSpec::default();
    // Whether Secrets stay after the resource.
    spec.storage.retention = cluster.spec.storage.retention.clone();
    Some(ValidatedCluster {
        name: ClusterName::new(metadata.name.as_deref()?)?,
        namespace: metadata.namespace.clone()?,
        uid: metadata.uid.clone()?,
        generation: metadata.generation,
        spec,
        image: String::new(),
        additions: PodAdditions::default(),
        accepts: None,
        installation: installation.clone(),
    })
}

/// A Service for the outside without a port: unencrypted traffic leaves the cluster only where the resource asks for that.
fn unreachable_from_outside(spec: &ClusterSpec) -> Option<String> {
    let outside = spec.service.type_ != ServiceType::ClusterIP;
    (outside && !spec.tls.serves_https() && !spec.service.expose_plain_http).then(|| {
        "spec.service: with tls.mode Disabled only port 9000 is left, which is not encrypted; choose another tls.mode, or set \
         service.exposePlainHttp to true to carry it outside the cluster all the same"
            .to_owned()
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

#[cfg(test)]
mod tests;
