//! Writes the children. Server-side apply of what we set and nothing else; Secrets are created, never applied.

use std::fmt::Debug;

use k8s_openapi::{
    NamespaceResourceScope,
    api::{apps::v1::StatefulSet, networking::v1::NetworkPolicy, policy::v1::PodDisruptionBudget},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use rand::rngs::SysError;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    build::ClusterResources,
    dereference::{DereferencedObjects, OptionalKind},
    validate::ValidatedCluster,
};
use crate::{
    certificate::Certificate, names::FIELD_MANAGER, pki::IssueError, rights,
    service_monitor::ServiceMonitor,
};

/// How the API server begins to say that an object's own keyed lists repeat a key: it will never take it.
const NO_TYPED_PATCH: &str = "failed to create typed patch object";

/// Why a child could not be written. Trying again may help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system gives no random bytes.
    #[error("failed to get random bytes from the system")]
    Random(#[source] SysError),
    /// No certificate can be issued.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The API server says no.
    #[error("failed to {verb} {kind} {name}")]
    Write {
        /// What was tried.
        verb: &'static str,
        /// The child's kind.
        kind: String,
        /// The child's name.
        name: String,
        /// What the API server says.
        source: Box<kube::Error>,
    },
}

impl Error {
    /// What the API server says, where the operator lacks a right.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Write { source, .. } => rights::refusal(source),
            Self::Random(_) | Self::Issue(_) => None,
        }
    }

    /// What the API server says, where it will go on saying so until somebody changes something.
    pub fn rejection(&self) -> Option<String> {
        let Self::Write {
            verb,
            kind,
            name,
            source,
        } = self
        else {
            return None;
        };
        match source.as_ref() {
            kube::Error::Api(status)
                if [400, 403, 422].contains(&status.code)
                    || status.code == 500 && status.message.starts_with(NO_TYPED_PATCH) =>
            {
                Some(format!(
                    "the API server refused to {verb} {kind} {name}: {}",
                    status.message
                ))
            }
            _ => None,
        }
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// A child that was not there is there now.
    Created {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// A lost salt is back.
    Restored {
        /// The Secret's name.
        secret: String,
        /// The node that had it.
        node: String,
    },
    /// A cluster of an operator that is gone is this one's now.
    TakenOver {
        /// The Secret that records it.
        secret: String,
        /// That operator.
        from: String,
    },
    /// A certificate is another one now.
    Renewed {
        /// The Secret's name.
        secret: String,
    },
    /// What is kept for good has the annotations that keep Argo CD from deleting it.
    Protected {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// A child that the operator can do without could not be written for want of a right.
    Refused {
        /// Its kind.
        kind: String,
        /// The API server's words.
        words: String,
    },
    /// A child that is not wanted any more is gone.
    Deleted {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
}

/// Writes all other children: what pods need before the pods, so that they start at the first try. `done` tells what was
/// done, also before a failure.
pub async fn apply(
    client: &Client,
    cluster: &ValidatedCluster,
    resources: &ClusterResources,
    found: &DereferencedObjects,
    done: &mut Vec<Done>,
) -> Result<StatefulSet, Error> {
    // Destructured in full: a child that nobody applies does not compile.
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
        stateful_set,
    } = resources;
    let mut children = Children {
        client,
        namespace: &cluster.namespace,
        name: cluster.name.as_str(),
        found,
        done,
    };
    children.apply(service_account).await?;
    children.apply(config_map).await?;
    children.apply(ca_config_map).await?;
    children.apply(headless_service).await?;
    children.apply(client_service).await?;
    children
        .apply_or_delete::<NetworkPolicy>(network_policy.as_ref())
        .await?;
    children
        .apply_or_delete::<PodDisruptionBudget>(disruption_budget.as_ref())
        .await?;
    let stateful_set = children.apply(stateful_set).await?;
    if found.certificates == OptionalKind::Served {
        children
            .apply_or_delete_if_allowed::<Certificate>(certificate.as_ref())
            .await?;
    }
    // Last: its definition is another operator's, and whatever that one says of it must not keep nodes from running.
    if found.service_monitors == OptionalKind::Served {
        children
            .apply_or_delete_if_allowed::<ServiceMonitor>(service_monitor.as_ref())
            .await?;
    }
    Ok(stateful_set)
}

struct Children<'a> {
    client: &'a Client,
    namespace: &'a str,
    name: &'a str,
    found: &'a DereferencedObjects,
    done: &'a mut Vec<Done>,
}

impl Children<'_> {
    async fn apply<K: ChildKind>(&mut self, object: &K) -> Result<K, Error> {
        let (kind, name) = (K::kind(&()).into_owned(), object.name_any());
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let applied = api.patch(&name, &parameters, &Patch::Apply(object)).await;
        let applied = applied.map_err(|source| failed::<K>("apply", &name, source))?;
        if !self.found.has(&kind, &name) {
            self.done.push(Done::Created { kind, name });
        }
        Ok(applied)
    }

    /// The same of a kind that the operator can do without.
    async fn apply_or_delete_if_allowed<K: ChildKind>(
        &mut self,
        object: Option<&K>,
    ) -> Result<(), Error> {
        let Err(error) = self.apply_or_delete(object).await else {
            return Ok(());
        };
        let Some(words) = error.refusal() else {
            return Err(error);
        };
        self.done.push(Done::Refused {
            kind: K::kind(&()).into_owned(),
            words: words.to_owned(),
        });
        Ok(())
    }

    /// Children that can be switched off have the cluster's own name.
    async fn apply_or_delete<K: ChildKind>(&mut self, object: Option<&K>) -> Result<(), Error> {
        let (kind, name) = (K::kind(&()).into_owned(), self.name.to_owned());
        let there = self.found.child(&kind, &name);
        match (object, there) {
            (Some(object), _) => self.apply(object).await.map(drop),
            (None, None) => Ok(()),
            (None, Some(child)) => {
                let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
                // Nothing but the object that was judged to be ours.
                let parameters = DeleteParams {
                    preconditions: Some(Preconditions {
                        uid: child.uid.clone(),
                        resource_version: None,
                    }),
                    ..DeleteParams::default()
                };
                match api.delete(&name, &parameters).await {
                    Ok(_) => self.done.push(Done::Deleted { kind, name }),
                    Err(kube::Error::Api(status)) if status.is_not_found() => {}
                    Err(source) => return Err(failed::<K>("delete", &name, source)),
                }
                Ok(())
            }
        }
    }
}

/// A kind of which a cluster has objects.
trait ChildKind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
{
}

impl<K> ChildKind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
{
}

pub(super) fn failed<K: Resource<DynamicType = ()>>(
    verb: &'static str,
    name: &str,
    source: kube::Error,
) -> Error {
    Error::Write {
        verb,
        kind: K::kind(&()).into_owned(),
        name: name.to_owned(),
        source: Box::new(source),
    }
}
