//! What is kept of whole objects.

use kube::{
    Resource, ResourceExt,
    core::{DeserializeGuard, error_boundary::InvalidObject},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    cluster::{known::Guarded, packed::Packed, resource::OpenSecureConfCluster},
    names::{ANNOTATION_OPERATOR, ANNOTATION_ROLLING_OUT},
};

/// The workloads of a cluster.
#[derive(Debug)]
pub(super) struct Kept<W> {
    pub(super) packed: Packed<W>,
    /// The operator that replaces its pods for changes of its own.
    pub(super) rolled_out_by: Option<Box<str>>,
}

impl<W: Resource + Serialize + DeserializeOwned> Kept<W> {
    pub(super) fn new(workload: &W) -> Self {
        let annotations = workload.annotations();
        let is_rolling = annotations.contains_key(ANNOTATION_ROLLING_OUT);
        let operator = annotations.get(ANNOTATION_OPERATOR);
        Self {
            packed: Packed::new(workload),
            rolled_out_by: operator
                .filter(|_| is_rolling)
                .map(|operator| operator.as_str().into()),
        }
    }
}

/// A cluster's resource.
#[derive(Debug)]
pub(super) enum KeptCluster {
    Parsed(Packed<OpenSecureConfCluster>),
    Malformed(Box<InvalidObject>),
}

impl KeptCluster {
    pub(super) fn new(cluster: &Guarded) -> Self {
        match &cluster.0 {
            Ok(cluster) => Self::Parsed(Packed::new(cluster)),
            Err(invalid) => Self::Malformed(Box::new(invalid.clone())),
        }
    }

    /// The resource; `None` where it is not known.
    pub(super) fn open(&self) -> Option<Guarded> {
        let cluster = match self {
            Self::Parsed(packed) => Ok(packed.open()?),
            Self::Malformed(invalid) => Err(invalid.as_ref().clone()),
        };
        Some(DeserializeGuard(cluster))
    }
}
