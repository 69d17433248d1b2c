//! The pod template of a StatefulSet whose ConfigMap is missing: the fields that the operator has set in it. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value};

use crate::{
    controller::difference,
    names::{ANNOTATION_DATABASE, FIELD_MANAGER, RESTARTED_BY_KUBECTL},
};

/// The operator's part of a live template, without the API server's defaults and the fields of others. Where no managers are
/// recorded, it is the part that `wanted` sets too.
pub(super) fn adopt(live: &Value, wanted: &Value, entries: &[ManagedFieldsEntry]) -> Value {
    let ours = entries.iter().find(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    });
    let ours = ours.and_then(|entry| entry.fields_v1.as_ref());
    let template = ours.and_then(|fields| fields.0.pointer("/f:spec/f:template"));
    let adoption = Adoption {
        is_told: template.is_some(),
    };
    let mut adopted = adoption
        .take("", live, Some(wanted), template)
        .unwrap_or_default();
    // They ask for a restart, and are kept elsewhere.
    if let Some(metadata) = adopted.get_mut("metadata").and_then(Value::as_object_mut)
        && let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
    {
        annotations.shift_remove(RESTARTED_BY_KUBECTL);
        annotations.shift_remove(ANNOTATION_DATABASE);
        if annotations.is_empty() {
            metadata.shift_remove("annotations");
        }
    }
    adopted
}

struct Adoption {
    /// Whether the API server records the operator's fields.
    is_told: bool,
}

impl Adoption {
    fn take(
        &self,
        name: &str,
        live: &Value,
        wanted: Option<&Value>,
        ours: Option<&Value>,
    ) -> Option<Value> {
        // The record has no fields inside: all of them are ours.
        if ours.is_some_and(|fields| fields.as_object().is_none_or(Map::is_empty)) {
            return Some(live.clone());
        }
        let is_there = wanted.is_some() || ours.is_some();
        match live {
            Value::Object(members) => {
                let taken = members.iter().filter_map(|(name, value)| {
                    let wanted = wanted.and_then(|wanted| wanted.get(name));
                    let ours = ours.and_then(|fields| fields.get(format!("f:{name}")));
                    Some((name.clone(), self.take(name, value, wanted, ours)?))
                });
                let taken: Map<_, _> = taken.collect();
                (is_there || !taken.is_empty()).then(|| taken.into())
            }
            Value::Array(items) => {
                let keys: Option<Vec<_>> = items
                    .iter()
                    .map(|item| difference::item_keys(name, item))
                    .collect();
                let Some(keys) = keys else {
                    return self.leaf(live, wanted, ours);
                };
                let taken = items.iter().zip(keys).filter_map(|(item, keys)| {
                    let wanted = wanted.and_then(|wanted| {
                        let mut items = wanted.as_array()?.iter();
                        items.find(|item| difference::item_keys(name, item).as_ref() == Some(&keys))
                    });
                    let ours = ours.and_then(|fields| {
                        let mut fields = fields.as_object()?.iter();
                        let (_, fields) = fields.find(|(key, _)| is_key_of(key, item))?;
                        Some(fields)
                    });
                    self.take("", item, wanted, ours)
                });
                let taken: Vec<_> = taken.collect();
                (is_there || !taken.is_empty()).then(|| taken.into())
            }
            _ => self.leaf(live, wanted, ours),
        }
    }

    fn leaf(&self, live: &Value, wanted: Option<&Value>, ours: Option<&Value>) -> Option<Value> {
        if ours.is_none() && self.is_told {
            // Another manager has set it, or the API server has.
            return wanted.cloned();
        }
        (ours.is_some() || wanted.is_some()).then(|| live.clone())
    }
}

/// `k:{"name":"node"}`
fn is_key_of(key: &str, item: &Value) -> bool {
    let keys = key.strip_prefix("k:");
    let keys: Option<Map<String, Value>> = keys.and_then(|keys| serde_json::from_str(keys).ok());
    keys.is_some_and(|keys| {
        keys.iter()
            .all(|(name, value)| item.get(name) == Some(value))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, fields: &Value) -> ManagedFieldsEntry {
        serde_json::from_value(json!({
            "manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
            "fieldsV1": { "f:spec": { "f:template": fields } },
        }))
        .unwrap()
    }

    fn live() -> Value {
        json!({
            "metadata": { "annotations": { RESTARTED_BY_KUBECTL: "2026" } },
            "spec": {
                "dnsPolicy": "ClusterFirst", "securityContext": {},
                "volumes": [{ "name": "tmp", "emptyDir": {} }],
                "containers": [
                    { "name": "mesh", "image": "mesh:1" },
                    { "name": "node", "image": "node:1", "imagePullPolicy": "IfNotPresent",
                      "env": [{ "name": "OLD", "value": "1" }, { "name": "FOO", "value": "bar" }, { "name": "A", "value": "mine" }] },
                ],
            },
        })
    }

    fn wanted() -> Value {
        json!({ "metadata": {}, "spec": {
            "volumes": [{ "name": "tmp", "emptyDir": {} }, { "name": "new", "emptyDir": {} }],
            "containers": [{ "name": "node", "image": "node:2", "env": [{ "name": "A", "value": "ours" }, { "name": "B", "value": "1" }] }],
        } })
    }

    #[test]
    fn what_the_operator_set_is_taken_and_what_others_set_is_not() {
        let name = |name: &str| format!("k:{{\"name\":\"{name}\"}}");
        let node = json!({ ".": {}, "f:name": {}, "f:image": {}, "f:env": {
            name("OLD"): { ".": {}, "f:name": {}, "f:value": {} }, name("A"): { ".": {}, "f:name": {} } } });
        let ours = json!({
            "f:metadata": { "f:annotations": { format!("f:{RESTARTED_BY_KUBECTL}"): {} } },
            "f:spec": {
                "f:containers": { name("node"): node },
                "f:volumes": { name("tmp"): { ".": {}, "f:name": {}, "f:emptyDir": {} } },
            },
        });
        let theirs = json!({ "f:spec": { "f:containers": { name("node"): { "f:env": {
            name("FOO"): { ".": {}, "f:name": {}, "f:value": {} }, name("A"): { "f:value": {} } } } } } });
        let entries = [
            entry("kubectl-set", "Update", &theirs),
            entry(FIELD_MANAGER, "Apply", &ours),
        ];
        assert_eq!(
            adopt(&live(), &wanted(), &entries),
            json!({ "metadata": {}, "spec": {
                "volumes": [{ "name": "tmp", "emptyDir": {} }],
                "containers": [{ "name": "node", "image": "node:1", "env": [{ "name": "OLD", "value": "1" }, { "name": "A", "value": "ours" }] }],
            } })
        );
    }

    #[test]
    fn where_nobody_tells_who_set_what_everything_is_taken_that_is_wanted_too() {
        assert_eq!(
            adopt(&live(), &wanted(), &[]),
            json!({ "metadata": {}, "spec": {
                "volumes": [{ "name": "tmp", "emptyDir": {} }],
                "containers": [{ "name": "node", "image": "node:1", "env": [{ "name": "A", "value": "mine" }] }],
            } })
        );
    }
}
