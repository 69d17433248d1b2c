//! The objects that were read, in the form that later steps need.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::apps::v1::StatefulSet, apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry,
};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;

use crate::{
    cluster::{
        rollout::Accepted,
        secrets::{BootstrapRecord, ManagedSecret, ObservedSecret, ObservedSecrets},
        validate,
        volumes::VolumeClaim,
    },
    node::AccessKey,
};

/// The existing objects of a cluster.
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(Default))]
pub struct DereferencedObjects {
    /// The Secrets that the operator makes, as far as they exist.
    pub secrets: ObservedSecrets,
    /// The Secret of the user's own with the clients' key, where the resource names one.
    pub user_api_key: Option<ObservedSecret>,
    /// The Secret with the certificate that clients see, where that is not the nodes' own.
    pub client_tls: Option<ObservedSecret>,
    /// The clients' key, where it is there and may be used.
    pub api_key: Option<AccessKey>,
    /// Names of this cluster's volume claims.
    pub claims: Vec<String>,
    /// The same with their sizes and owners.
    pub volumes: Vec<VolumeClaim>,
    /// The claims that Argo CD might delete, each with the annotations that it lacks.
    pub prunable_claims: Vec<(String, BTreeMap<String, String>)>,
    /// The claims that have no volume yet.
    pub pending_claims: Vec<PendingClaim>,
    /// Children by kind and name.
    pub children: Vec<Child>,
    /// The nodes' StatefulSet, where it is this cluster's.
    pub stateful_set: Option<Box<StatefulSet>>,
    /// The accepted pod template; `None` where no workload exists.
    pub accepted: Option<Accepted>,
    /// Whether ServiceMonitors can be worked with.
    pub service_monitors: OptionalKind,
    /// Whether cert-manager's Certificates can be worked with.
    pub certificates: OptionalKind,
    /// Why the pod template may not name the Secrets or claims that it names.
    pub foreign_references: Option<validate::Error>,
}

impl DereferencedObjects {
    /// Whether this cluster has such a child.
    pub(in crate::cluster) fn has(&self, kind: &str, name: &str) -> bool {
        self.child(kind, name).is_some()
    }

    /// Whether an object of that name is another owner's.
    pub(in crate::cluster) fn is_taken(&self, kind: &str, name: &str) -> bool {
        let mut children = self.children.iter();
        children.any(|child| !child.ours && child.kind == kind && child.name == name)
    }

    /// The same without large parts that are kept elsewhere while nothing changes.
    pub(in crate::cluster) fn without_what_is_kept_elsewhere(mut self) -> Self {
        self.stateful_set = None;
        self.accepted = None;
        for child in &mut self.children {
            child.live = None;
        }
        self
    }

    /// The same with this StatefulSet.
    pub(in crate::cluster) fn with_stateful_set(&self, set: StatefulSet) -> Self {
        let mut found = self.with_workload(&set);
        found.stateful_set = Some(Box::new(set));
        found
    }

    /// The same with this workload.
    pub(in crate::cluster) fn with_workload<W>(&self, workload: &W) -> Self
    where
        W: Resource<DynamicType = ()> + Serialize,
    {
        let mut found = self.clone();
        let kind = W::kind(&());
        let ours = |child: &&mut Child| child.ours && child.kind == kind;
        if let Some(child) = found.children.iter_mut().find(ours) {
            child.live = Some(LiveChild::of(workload));
        }
        found
    }

    /// A child of this cluster.
    pub(in crate::cluster) fn child(&self, kind: &str, name: &str) -> Option<&Child> {
        self.children
            .iter()
            .find(|child| child.ours && child.kind == kind && child.name == name)
    }

    /// Whether volumes are there, and the salt that they need is not.
    pub(in crate::cluster) fn is_salt_lost(&self) -> bool {
        self.salt() == SaltSecret::Missing && !self.claims.is_empty()
    }

    /// The salt.
    pub(in crate::cluster) fn salt(&self) -> SaltSecret {
        match self.secrets.get(&ManagedSecret::Salt) {
            None => SaltSecret::Missing,
            Some(secret) => match secret.salt() {
                Some(salt) => SaltSecret::Present {
                    fingerprint: salt.fingerprint().to_string(),
                },
                None => SaltSecret::Malformed,
            },
        }
    }

    /// The record of the node that was instructed to bootstrap the cluster.
    pub(in crate::cluster) fn bootstrap(&self) -> BootstrapRecord {
        let salt = self.secrets.get(&ManagedSecret::Salt);
        salt.map(ObservedSecret::record).unwrap_or_default()
    }

    /// The key that nodes show each other.
    pub(in crate::cluster) fn cluster_key(&self) -> Option<AccessKey> {
        cluster_key(&self.secrets)
    }
}

/// The key that nodes show each other.
pub(super) fn cluster_key(secrets: &ObservedSecrets) -> Option<AccessKey> {
    let secret = secrets.get(&ManagedSecret::ClusterKey)?;
    secret
        .key(ManagedSecret::ClusterKey.entry())
        .filter(|_| secret.ours)
}

/// Whether a kind of another operator can be worked with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OptionalKind {
    /// It can.
    Served,
    /// This Kubernetes does not know it.
    #[default]
    Unknown,
    /// This operator may not, in the API server's words.
    Forbidden(String),
}

/// A claim without a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingClaim {
    /// Its name.
    pub name: String,
    /// The storage class that it names; `None` where there was no default class.
    pub class: Option<String>,
    /// Whether that class exists; `None` where this operator may not look.
    pub class_exists: Option<bool>,
}

/// The salt Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaltSecret {
    /// There is none.
    Missing,
    /// It holds a salt with this fingerprint.
    Present {
        /// First 8 bytes of the SHA-256, in hexadecimal.
        fingerprint: String,
    },
    /// It holds something else.
    Malformed,
}

/// A child as the API server holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveChild {
    /// The whole object, in JSON.
    pub object: Value,
    /// Its version.
    pub resource_version: Option<String>,
    /// The managers of its fields.
    pub managers: Vec<ManagedFieldsEntry>,
}

impl LiveChild {
    /// From the object itself.
    pub(in crate::cluster) fn of<O: ResourceExt + Serialize>(object: &O) -> Self {
        Self {
            // An object that cannot be written as JSON differs from every wanted state.
            object: serde_json::to_value(object).unwrap_or_default(),
            resource_version: object.resource_version(),
            managers: object.managed_fields().to_vec(),
        }
    }
}

/// An object that has the name of a child.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its identity, so that only this very object is ever deleted.
    pub uid: Option<String>,
    /// Whether it is this cluster's.
    pub ours: bool,
    /// The layout that it was made with.
    pub layout: Option<String>,
    /// The operator that made it, where the object names one.
    pub operator: Option<String>,
    /// The whole object, where it is this cluster's.
    pub live: Option<LiveChild>,
}
