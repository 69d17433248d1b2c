//! The effect of a patch on an object, as far as the operator's tests need it.

use http::StatusCode;
use serde_json::{Value, json};

use super::json_patches::{How, merge, operate};

impl How {
    /// The object after the patch.
    pub(super) fn patch(self, there: Option<&Value>, sent: Value) -> Result<Value, StatusCode> {
        match (self, there) {
            (Self::Apply, Some(there)) => apply(there, sent),
            (Self::Merge, Some(there)) => {
                let mut merged = there.clone();
                merge(&mut merged, &sent);
                Ok(merged)
            }
            (Self::Operations, Some(there)) => {
                let mut object = operate(there, &sent)?;
                // The managers of a removed field own it no more.
                object["metadata"]["managedFields"] = json!([]);
                Ok(object)
            }
            (Self::Operations, None) => Err(StatusCode::NOT_FOUND),
            (Self::Apply, None) => Ok(owned(sent)),
            (Self::Merge, None) => Ok(sent),
        }
    }
}

/// Notes which annotations the operator has applied.
fn owned(mut sent: Value) -> Value {
    let annotations = sent["metadata"]["annotations"].as_object().cloned();
    let Some(annotations) = annotations else {
        return sent;
    };
    let fields = annotations
        .keys()
        .map(|name| (format!("f:{name}"), json!({})));
    let fields: serde_json::Map<_, _> = fields.collect();
    let entry = json!({
        "manager": "opensecureconf.io/operator", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": { "f:metadata": { "f:annotations": fields } },
    });
    let entries = &mut sent["metadata"]["managedFields"];
    match entries.as_array_mut() {
        Some(entries) => entries.push(entry),
        None => *entries = json!([entry]),
    }
    sent
}

/// Fields that the operator applied earlier go; fields of others stay.
fn apply(there: &Value, mut sent: Value) -> Result<Value, StatusCode> {
    let strategy = |object: &Value| object["spec"]["updateStrategy"].clone();
    if strategy(&sent)["type"] == "OnDelete" && strategy(there)["rollingUpdate"].is_object() {
        return Err(StatusCode::UNPROCESSABLE_ENTITY);
    }
    let mut others = there["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    others.retain(|entry| entry["manager"] != "opensecureconf.io/operator");
    for part in ["resourceVersion", "generation"] {
        if let Some(kept) = there["metadata"].get(part) {
            sent["metadata"][part] = kept.clone();
        }
    }
    if let Some(status) = there.get("status").filter(|_| sent.get("status").is_none()) {
        sent["status"] = status.clone();
    }
    for entry in &mut others {
        keep(&mut sent, there, &mut entry["fieldsV1"]);
    }
    others.retain(|entry| {
        entry["fieldsV1"]
            .as_object()
            .is_some_and(|fields| !fields.is_empty())
    });
    if !others.is_empty() {
        sent["metadata"]["managedFields"] = others.into();
    }
    Ok(owned(sent))
}

/// Copies into `sent` the fields that another manager owns in `there`; fields that `sent` sets itself change their owner.
fn keep(sent: &mut Value, there: &Value, fields: &mut Value) {
    let Some(members) = fields.as_object_mut() else {
        return;
    };
    members.retain(|key, below| {
        if let Some(name) = key.strip_prefix("f:") {
            let Some(value) = there.get(name) else {
                return false;
            };
            let Some(ours) = sent.get_mut(name) else {
                sent[name] = value.clone();
                return true;
            };
            keep(ours, value, below);
        } else if let Some(keys) = key.strip_prefix("k:") {
            let keys: Value = serde_json::from_str(keys).unwrap();
            let is_it = |item: &Value| {
                keys.as_object()
                    .unwrap()
                    .iter()
                    .all(|(name, value)| item[name] == *value)
            };
            let Some(value) = there.as_array().unwrap().iter().find(|item| is_it(item)) else {
                return false;
            };
            let items = sent.as_array_mut().unwrap();
            let Some(ours) = items.iter_mut().find(|item| is_it(item)) else {
                items.push(value.clone());
                return true;
            };
            keep(ours, value, below);
        } else {
            return false;
        }
        below.as_object().is_some_and(|below| !below.is_empty())
    });
}
