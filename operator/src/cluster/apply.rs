//! Writes the children. Server-side apply of what we set and nothing else; Secrets are created, never applied.

use std::{collections::BTreeMap, fmt::Debug};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::StatefulSet, core::v1::ConfigMap, networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use rand::rngs::SysError;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    api_key::KeyPhase,
    build::ClusterResources,
    context::Context,
    dereference::{DereferencedObjects, LiveChild, OptionalKind},
    difference::{self, FieldPath},
    namespace_end::is_ending,
    port_clash, readmission,
    rollout::{self, LetIn},
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
    /// This reconcile only looks, and something is to be done.
    #[error("something is to be done, and this reconcile only looks")]
    OnlyLooked,
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
            Self::Random(_) | Self::Issue(_) | Self::OnlyLooked => None,
        }
    }

    /// Whether one of these was tried.
    pub(super) fn is_attempt_to(&self, verbs: &[&str]) -> bool {
        matches!(self, Self::Write { verb, .. } if verbs.contains(verb))
    }

    /// Whether nothing can be written because the namespace is being deleted.
    pub fn is_ending(&self) -> bool {
        matches!(self, Self::Write { source, .. } if is_ending(source))
    }

    /// What the API server says, where it will go on saying so until a user changes something.
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
    /// A change of the clients' key has come so far.
    KeyChanged {
        /// The Secret's name.
        secret: String,
        /// How far.
        phase: KeyPhase,
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
    /// A child is as it is wanted now.
    Updated,
    /// What another writer had changed in a child is as it was.
    Corrected {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// The fields, such as `spec.replicas`.
        fields: Vec<String>,
        /// Who changed them, as the API server names its clients.
        manager: Option<String>,
    },
    /// Changes of the pod template that no field asks for.
    LetIn(LetIn),
    /// A volume was asked for in another size.
    Resized {
        /// The claim.
        claim: String,
        /// The size.
        size: String,
    },
    /// The StatefulSet is gone without its pods, and is made anew.
    Remade {
        /// Its name.
        name: String,
    },
    /// What stands in a child again, whatever we write: it stays.
    Accepted {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// The fields.
        fields: Vec<String>,
    },
    /// A child that is not wanted any more is gone.
    Deleted {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
}

/// Writes all other children as far as they differ: what pods need before the pods, so that they start at the first try. `done` says what
/// was done, also before a failure.
pub async fn apply(
    context: &Context,
    cluster: &ValidatedCluster,
    resources: &ClusterResources,
    found: &DereferencedObjects,
    done: &mut Vec<Done>,
) -> Result<StatefulSet, Error> {
    // Destructured in full: a child that is not applied does not compile.
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
        template_config_map,
        stateful_set,
    } = resources;
    // By the set as it was read, whatever is prepared.
    let stateful_set = &readmission::guarded(stateful_set, found.stateful_set.as_ref());
    let prepared = rollout::prepare(context, cluster, stateful_set, found, done).await?;
    let found = prepared.as_ref().unwrap_or(found);
    let mut children = Children {
        context,
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
    // Before pods are made from it: who stops here goes on with the same.
    if let Some(config_map) = template_config_map {
        children.apply(config_map).await?;
    }
    let stateful_set = match (children.apply(stateful_set).await?, &found.stateful_set) {
        (Some(applied), _) => applied,
        (None, Some(there)) => there.clone(),
        (None, None) => stateful_set.clone(),
    };
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

/// Writes, of all of them, only what clients verify nodes with: certificates are renewed also where the rest waits.
pub async fn apply_authorities(
    context: &Context,
    cluster: &ValidatedCluster,
    ca_config_map: &ConfigMap,
    found: &DereferencedObjects,
    done: &mut Vec<Done>,
) -> Result<(), Error> {
    let mut children = Children {
        context,
        namespace: &cluster.namespace,
        name: cluster.name.as_str(),
        found,
        done,
    };
    children.apply(ca_config_map).await.map(drop)
}

struct Children<'a> {
    context: &'a Context,
    namespace: &'a str,
    name: &'a str,
    found: &'a DereferencedObjects,
    done: &'a mut Vec<Done>,
}

impl Children<'_> {
    /// Writes one where it differs, and returns what is there then; nothing where it is as it should be.
    async fn apply<K: ChildKind>(&mut self, object: &K) -> Result<Option<K>, Error> {
        let (kind, name) = (K::kind(&()).into_owned(), object.name_any());
        let wanted = serde_json::to_value(object).unwrap_or_default();
        let is_as_before = self.context.remember(self.namespace, self.name, |memory| {
            memory.wants(&kind, &name, &wanted)
        });
        let live = self
            .found
            .child(&kind, &name)
            .and_then(|child| child.live.as_ref());
        let mut corrections = match live {
            None => Corrections::default(),
            Some(live) => {
                let mut differing = difference::differing(&wanted, &live.object);
                self.context.remember(self.namespace, self.name, |memory| {
                    differing.retain(|path| {
                        let values = (path.value(&wanted), path.value(&live.object));
                        !memory.accepts(&kind, &name, path, values)
                    });
                });
                // Nodes leave one by one, so what is wanted follows for a while what another writer set: that one is reported at once.
                let replicas = FieldPath::replicas();
                if kind == "StatefulSet"
                    && !differing.contains(&replicas)
                    && difference::taken_over(&replicas, &live.managers).is_some()
                {
                    differing.push(replicas);
                }
                if differing.is_empty() && difference::unwanted(&wanted, &live.managers).is_empty()
                {
                    return Ok(None);
                }
                corrections(live, differing, is_as_before)
            }
        };
        let api: Api<K> = Api::namespaced(self.context.client.clone(), self.namespace);
        if let Some(live) = live
            && let Some(ports) = port_clash::resolved(&wanted, &live.object)
        {
            let ports = json!({
                "metadata": { "resourceVersion": live.resource_version },
                "spec": { "ports": ports },
            });
            let parameters = PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            };
            let changed = api.patch(&name, &parameters, &Patch::Merge(ports)).await;
            changed.map_err(|source| failed::<K>("patch", &name, source))?;
        }
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let applied = api.patch(&name, &parameters, &Patch::Apply(object)).await;
        let applied = applied.map_err(|source| failed::<K>("apply", &name, source))?;
        let standing = self.accept(&kind, &name, &wanted, &applied);
        corrections.retain(|_, fields| {
            fields.retain(|field| !standing.contains(field));
            !fields.is_empty()
        });
        let is_unchanged = live.is_some_and(|live| is_unchanged(live, &applied));
        if !is_unchanged && !standing.is_empty() {
            self.done.push(Done::Accepted {
                kind: kind.clone(),
                name: name.clone(),
                fields: standing,
            });
        }
        if is_unchanged {
            // What is wanted is stored in other words.
        } else if !self.found.has(&kind, &name) {
            self.done.push(Done::Created { kind, name });
        } else if corrections.is_empty() {
            self.done.push(Done::Updated);
        } else {
            let each = corrections.into_iter();
            self.done
                .extend(each.map(|(manager, fields)| Done::Corrected {
                    kind: kind.clone(),
                    name: name.clone(),
                    fields,
                    manager,
                }));
        }
        Ok(Some(applied))
    }

    /// Remembers what is not as we have just written it, and returns which fields another writer sets otherwise. What is not stored at all is only
    /// said in other words.
    fn accept<K: ChildKind>(
        &self,
        kind: &str,
        name: &str,
        wanted: &Value,
        applied: &K,
    ) -> Vec<String> {
        let applied = serde_json::to_value(applied).unwrap_or_default();
        let standing = difference::differing(wanted, &applied);
        self.context.remember(self.namespace, self.name, |memory| {
            let mut new = Vec::new();
            for path in standing {
                let value = path.value(&applied);
                if memory.accept(kind, name, &path, (path.value(wanted), value)) && value.is_some()
                {
                    new.push(path.to_string());
                }
            }
            new
        })
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
                let api: Api<K> = Api::namespaced(self.context.client.clone(), self.namespace);
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

fn is_unchanged<K: ResourceExt>(live: &LiveChild, applied: &K) -> bool {
    live.resource_version.is_some() && live.resource_version == applied.resource_version()
}

/// The fields that others changed, by who did.
type Corrections = BTreeMap<Option<String>, Vec<String>>;

/// What others changed; nothing where only what is wanted became another.
fn corrections(live: &LiveChild, differing: Vec<FieldPath>, is_as_before: bool) -> Corrections {
    let mut corrections = Corrections::new();
    for path in differing {
        let owner = difference::manager_of(&path, &live.managers);
        // What was taken away has no owner: another writer did it, where we want what we wanted.
        if owner.is_none() && !is_as_before {
            continue;
        }
        let owner = owner.or_else(|| difference::last_manager(&live.managers));
        let fields = corrections.entry(owner.map(str::to_owned)).or_default();
        fields.push(path.to_string());
    }
    corrections
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
