//! Writes one child after the other, as far as they differ from the wanted state, and finds the author of a difference.

use std::{collections::BTreeMap, fmt::Debug};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{networking::v1::NetworkPolicy, policy::v1::PodDisruptionBudget},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Done, Error, failed};
use crate::{
    certificate::Certificate,
    cluster::{
        build::ClusterResources,
        context::Context,
        dereference::{DereferencedObjects, LiveChild, OptionalKind},
        difference::{self, FieldPath},
        port_clash,
        validate::ValidatedCluster,
    },
    names::{FIELD_MANAGER, LABEL_AUTHORITIES},
    service_monitor::ServiceMonitor,
};

/// The children of a cluster, in the order of their writes.
pub(super) struct Children<'a> {
    context: &'a Context,
    namespace: &'a str,
    name: &'a str,
    found: &'a DereferencedObjects,
    done: &'a mut Vec<Done>,
}

impl<'a> Children<'a> {
    pub(super) fn of(
        context: &'a Context,
        cluster: &'a ValidatedCluster,
        found: &'a DereferencedObjects,
        done: &'a mut Vec<Done>,
    ) -> Self {
        Self {
            context,
            namespace: &cluster.namespace,
            name: cluster.name.as_str(),
            found,
            done,
        }
    }

    /// The children that pods need before they start.
    pub(super) async fn before_pods<W>(
        &mut self,
        resources: &ClusterResources<W>,
    ) -> Result<(), Error> {
        // Destructured in full here and below: a child that is not applied does not compile.
        let ClusterResources {
            service_account,
            config_map,
            ca_config_map,
            headless_service,
            client_service,
            network_policy,
            disruption_budget,
            template_config_map,
            service_monitor: _,
            certificate: _,
            workload: _,
        } = resources;
        self.apply(service_account).await?;
        self.apply(config_map).await?;
        self.apply(ca_config_map).await?;
        self.apply(headless_service).await?;
        self.apply(client_service).await?;
        self.apply_or_delete::<NetworkPolicy>(network_policy.as_ref())
            .await?;
        self.apply_or_delete::<PodDisruptionBudget>(disruption_budget.as_ref())
            .await?;
        // Written before pods are made from it: an operator that stops here goes on with the same template.
        if let Some(config_map) = template_config_map {
            self.apply(config_map).await?;
        }
        Ok(())
    }

    /// The children that pods can do without. Last: their definitions are other operators', and a fault of those must not keep
    /// nodes from running.
    pub(super) async fn beside_pods<W>(
        &mut self,
        resources: &ClusterResources<W>,
    ) -> Result<(), Error> {
        if self.found.certificates == OptionalKind::Served {
            let certificate = resources.certificate.as_ref();
            self.apply_or_delete_if_allowed::<Certificate>(certificate)
                .await?;
        }
        if self.found.service_monitors == OptionalKind::Served {
            let monitor = resources.service_monitor.as_ref();
            self.apply_or_delete_if_allowed::<ServiceMonitor>(monitor)
                .await?;
        }
        Ok(())
    }

    /// Writes to a ServiceMonitor that is there nothing but the label by which it follows the authorities: whatever else of it
    /// differs waits.
    pub(super) async fn follow_authorities(&mut self, label: &str) -> Result<(), Error> {
        let kind = ServiceMonitor::kind(&());
        let live = self.found.child(&kind, self.name);
        let Some(live) = live.and_then(|child| child.live.as_ref()) else {
            return Ok(());
        };
        let labels = live.object.pointer("/metadata/labels");
        let there = labels.and_then(|labels| labels.get(LABEL_AUTHORITIES));
        if there.and_then(Value::as_str) == Some(label) {
            return Ok(());
        }
        let patch = Patch::Merge(json!({ "metadata": {
            "resourceVersion": live.resource_version, "labels": { LABEL_AUTHORITIES: label },
        } }));
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api: Api<ServiceMonitor> = Api::namespaced(self.context.client.clone(), self.namespace);
        let patched = api.patch_metadata(self.name, &parameters, &patch);
        match patched
            .await
            .map_err(|source| failed::<ServiceMonitor>("patch", self.name, source))
        {
            Ok(_) => self.done.push(Done::Updated),
            Err(error) => match error.refusal() {
                Some(words) => self.done.push(Done::Refused {
                    kind: kind.into_owned(),
                    words: words.to_owned(),
                }),
                None => return Err(error),
            },
        }
        Ok(())
    }

    /// Writes a child where it differs, and returns its new state; `None` where it is as it should be.
    pub(super) async fn apply<K: ChildKind>(&mut self, object: &K) -> Result<Option<K>, Error> {
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
                // Nodes leave one by one, so the wanted number follows another writer's for a while: that change is reported at
                // once.
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
            // The API server stores the wanted state in another spelling.
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

    /// Remembers the differences that remain after our write, and returns the fields that another writer sets. A field that is
    /// not stored at all is only spelled otherwise.
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
                // Only the very object that was judged to be ours.
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

/// The fields that others changed, by their author.
type Corrections = BTreeMap<Option<String>, Vec<String>>;

/// The changes of others; none where only the wanted state changed.
fn corrections(live: &LiveChild, differing: Vec<FieldPath>, is_as_before: bool) -> Corrections {
    let mut corrections = Corrections::new();
    for path in differing {
        let owner = difference::manager_of(&path, &live.managers);
        // A removed field has no owner: another writer removed it, where the wanted state did not change.
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
pub(in crate::cluster) trait ChildKind:
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
