//! The accepted pod template, from which pods are made, whatever another release of the operator would render. ConfigMap
//! `NAME-template` keeps it, with the fields of the resource for which it was rendered.

mod adopt;
mod changes;
mod merge;
mod seal;

use k8s_openapi::api::core::v1::{ConfigMap, PodTemplateSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(super) use changes::{Change, changes, number};

use crate::{
    cluster::{build, dereference::LiveChild, resource::ClusterSpec, validate::ValidatedCluster},
    names::{
        ANNOTATION_ROLLING_OUT, MIGRATION_CONTAINER, NODE_CONTAINER, TEMPLATE_ENTRY,
        TEMPLATE_FIELDS_ENTRY, TEMPLATE_ROLLOUT_ENTRY, TEMPLATE_SEAL_ENTRY,
    },
    node::AccessKey,
};

/// Fields of the spec that are in no pod: their changes do not concern the template.
const NOT_IN_PODS: [&str; 9] = [
    "replicas",
    "storage",
    "monitoring",
    "service",
    "podDisruptionBudget",
    "networkPolicy",
    "paused",
    "hibernate",
    "upgrade",
];

/// The accepted pod template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// It.
    pub(super) template: Value,
    /// The fields of the resource that it stands for.
    fields: Map<String, Value>,
    /// The number of the changes that were let in last, while pods are replaced for them.
    pub(super) rollout: Option<String>,
}

impl Accepted {
    /// The template of this operator: nothing waits.
    pub(super) fn all_of(cluster: &ValidatedCluster, wanted: Value) -> Self {
        Self {
            template: wanted,
            fields: fields_of(&cluster.spec),
            rollout: None,
        }
    }

    /// The template in a ConfigMap; `None` where the operator did not write it, or that cannot be checked: a user who may write
    /// `ConfigMaps` may not therefore make pods.
    pub(in crate::cluster) fn read(
        cluster: &ValidatedCluster,
        config_map: &Value,
        key: &AccessKey,
    ) -> Option<Self> {
        let entry = |name: &str| config_map.get("data")?.get(name)?.as_str();
        let (template, fields) = (entry(TEMPLATE_ENTRY)?, entry(TEMPLATE_FIELDS_ENTRY)?);
        let rollout = entry(TEMPLATE_ROLLOUT_ENTRY);
        let parts = [template, fields, rollout.unwrap_or_default()];
        if !seal::is_right(cluster, key, parts, entry(TEMPLATE_SEAL_ENTRY)?) {
            return None;
        }
        let template = serde_json::from_str(template).ok()?;
        typed(&template)?;
        Some(Self {
            template,
            fields: serde_json::from_str(fields).ok()?,
            rollout: rollout.map(str::to_owned),
        })
    }

    /// The running template, where no ConfigMap has one: a new operator must not restart pods because it is new. The fields may
    /// have changed unseen meanwhile; an image that the resource names is the user's in any case.
    pub(in crate::cluster) fn adopt(cluster: &ValidatedCluster, set: &LiveChild) -> Option<Self> {
        let live = set.object.pointer("/spec/template")?;
        let wanted = rendered(cluster)?;
        let mut template = adopt::adopt(live, &wanted, &set.managers);
        if let Some(image) = &cluster.spec.image {
            set_image(&mut template, image);
        }
        typed(&template)?;
        let mark = set.object.pointer("/metadata/annotations");
        let mark = mark.and_then(|annotations| annotations.get(ANNOTATION_ROLLING_OUT)?.as_str());
        Some(Self {
            template,
            fields: fields_of(&cluster.spec),
            rollout: mark.map(str::to_owned),
        })
    }

    /// The ConfigMap that keeps it.
    pub(super) fn config_map(&self, cluster: &ValidatedCluster, key: &AccessKey) -> ConfigMap {
        let (template, fields) = (
            self.template.to_string(),
            Value::from(self.fields.clone()).to_string(),
        );
        let rollout = self.rollout.clone();
        let parts = [&*template, &*fields, rollout.as_deref().unwrap_or_default()];
        let seal = seal::seal(cluster, key, parts);
        let entries = [
            (TEMPLATE_ENTRY, Some(template)),
            (TEMPLATE_FIELDS_ENTRY, Some(fields)),
            (TEMPLATE_ROLLOUT_ENTRY, rollout),
            (TEMPLATE_SEAL_ENTRY, Some(seal)),
        ];
        let entries = entries
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), text?)));
        build::template_config_map(cluster, entries.collect())
    }

    /// Whether pods are being replaced for the last accepted changes.
    pub(in crate::cluster) fn is_rolling_out(&self) -> bool {
        self.rollout.is_some()
    }

    /// The template itself.
    pub(super) fn typed(&self) -> Option<PodTemplateSpec> {
        typed(&self.template)
    }

    /// The nodes' image.
    pub(super) fn image(&self) -> Option<&str> {
        let mut containers = self
            .template
            .pointer("/spec/containers")?
            .as_array()?
            .iter();
        let node = containers.find(|container| is_node(container))?;
        node.get("image")?.as_str()
    }

    /// Merges the changes of the resource's fields since the acceptance, field by field. A field whose change cannot be
    /// distinguished from the operator's own stays out as a whole, and waits with the rest.
    pub(super) fn follow(&mut self, cluster: &ValidatedCluster, wanted: &Value) {
        let now = fields_of(&cluster.spec);
        if self.fields == now {
            return;
        }
        let names: Vec<_> = now.keys().chain(self.fields.keys()).cloned().collect();
        for name in names {
            if self.fields.get(&name) == now.get(&name) {
                continue;
            }
            let mut fields = self.fields.clone();
            match now.get(&name) {
                Some(value) => drop(fields.insert(name.clone(), value.clone())),
                None => drop(fields.shift_remove(&name)),
            }
            let rendered = |fields| render(cluster, fields);
            let (Some(mut before), Some(after)) = (rendered(&self.fields), rendered(&fields))
            else {
                continue;
            };
            self.keep_unsaid(&name, &mut before);
            if let Ok(merged) = merge::merge(&before, &after, &self.template)
                && typed(&merged).is_some()
            {
                self.template = merged;
                self.fields = fields;
            }
        }
        if changes(&self.template, wanted).is_empty() {
            self.fields = now;
        }
    }

    /// Keeps the operator's default where the resource does not set a field. A user who begins or ceases to set it asks for the
    /// rendered value, even where this operator would render that anyway.
    fn keep_unsaid(&self, field: &str, before: &mut Value) {
        match field {
            "image" => {
                if let Some(accepted) = self.image() {
                    set_image(before, accepted);
                }
            }
            "topologySpreadConstraints" => {
                let place = "/spec/topologySpreadConstraints";
                if let (Some(accepted), Some(spread)) =
                    (self.template.pointer(place), before.pointer_mut(place))
                {
                    spread.clone_from(accepted);
                }
            }
            _ => {}
        }
    }
}

fn is_node(container: &Value) -> bool {
    is_named(container, NODE_CONTAINER)
}

fn is_named(container: &Value, name: &str) -> bool {
    container.get("name").and_then(Value::as_str) == Some(name)
}

/// Sets the nodes' image, also in the step before them where there is one.
fn set_image(template: &mut Value, image: &str) {
    for list in ["/spec/containers", "/spec/initContainers"] {
        let containers = template.pointer_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let is_ours = is_node(container) || is_named(container, MIGRATION_CONTAINER);
            if let Some(there) = container.get_mut("image").filter(|_| is_ours) {
                *there = image.into();
            }
        }
    }
}

fn typed(template: &Value) -> Option<PodTemplateSpec> {
    serde_json::from_value(template.clone()).ok()
}

fn fields_of(spec: &ClusterSpec) -> Map<String, Value> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(spec) else {
        // A spec is an object.
        return Map::new();
    };
    fields.retain(|name, _| !NOT_IN_PODS.contains(&name.as_str()));
    fields
}

/// The template that this operator renders for these fields, with the present image of the cluster.
fn render(cluster: &ValidatedCluster, fields: &Map<String, Value>) -> Option<Value> {
    let spec = serde_json::from_value(Value::from(fields.clone())).ok()?;
    rendered(&cluster.with_spec(spec).ok()?)
}

fn rendered(cluster: &ValidatedCluster) -> Option<Value> {
    serde_json::to_value(build::pod_template(cluster)).ok()
}

#[cfg(test)]
mod tests;
