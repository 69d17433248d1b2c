//! The effect of a patch on an object, as far as the operator patches.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    json_patches::{How, merge, operate},
    store::{Refused, Store},
};

impl Store {
    /// Patches an object or its status.
    pub(crate) fn patch(
        &mut self,
        path: &str,
        how: How,
        manager: &str,
        sent: Value,
    ) -> Result<Value, Refused> {
        let (path, is_status) = match path.strip_suffix("/status") {
            Some(path) => (path, true),
            None => (path, false),
        };
        let there = self.get(path).cloned();
        let Some(there) = there else {
            if how != How::Apply || is_status {
                return Err(StatusCode::NOT_FOUND);
            }
            let mut object = sent.clone();
            object["metadata"]["managedFields"] = managed(manager, &sent);
            self.note_applied(path, manager, sent);
            return self.create(path, object);
        };
        if how == How::Operations {
            return self.replace(path, operate(&there, &sent)?);
        }
        for demanded in ["uid", "resourceVersion"] {
            let wanted = &sent["metadata"][demanded];
            if !wanted.is_null() && *wanted != there["metadata"][demanded] {
                return Err(StatusCode::CONFLICT);
            }
        }
        let mut object = there.clone();
        if is_status {
            object["status"] = match how {
                How::Merge => {
                    let mut status = there["status"].clone();
                    merge(&mut status, &sent["status"]);
                    status
                }
                _ => sent["status"].clone(),
            };
            // Operators read the real time: statuses that differ only in times are the same in every run.
            if timeless(&object["status"]) == timeless(&there["status"]) {
                return Ok(there);
            }
        } else if how == How::Merge {
            let mut sent = sent;
            for demanded in ["uid", "resourceVersion"] {
                if let Some(metadata) = sent.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.remove(demanded);
                }
            }
            merge(&mut object, &sent);
        } else {
            let place = (path.to_owned(), manager.to_owned());
            let before = self.applied.get(&place).cloned().unwrap_or_default();
            take_out(&mut object, &before, &sent);
            set(&mut object, &sent);
            object["metadata"]["managedFields"] = managed(manager, &sent);
            self.note_applied(path, manager, sent);
        }
        self.replace(path, object)
    }

    fn note_applied(&mut self, path: &str, manager: &str, sent: Value) {
        let place = (path.to_owned(), manager.to_owned());
        self.applied.insert(place, sent);
    }
}

fn timeless(status: &Value) -> Value {
    let mut status = status.clone();
    let conditions = status["conditions"].as_array_mut();
    for condition in conditions.into_iter().flatten() {
        condition["lastTransitionTime"] = Value::Null;
    }
    status
}

/// The fields that a manager has applied. A list counts as a whole.
fn managed(manager: &str, sent: &Value) -> Value {
    let mut fields = Map::new();
    for (name, value) in sent.as_object().into_iter().flatten() {
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                let told = ["labels", "annotations"].into_iter();
                let told =
                    told.filter_map(|map| Some((format!("f:{map}"), fields_of(value.get(map)?))));
                fields.insert("f:metadata".to_owned(), Value::Object(told.collect()));
            }
            _ => drop(fields.insert(format!("f:{name}"), fields_of(value))),
        }
    }
    json!([{ "manager": manager, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields }])
}

fn fields_of(value: &Value) -> Value {
    let members = value.as_object().into_iter().flatten();
    members
        .map(|(name, below)| (format!("f:{name}"), fields_of(below)))
        .collect::<Map<_, _>>()
        .into()
}

/// Removes fields that the manager applied earlier and does not apply now.
fn take_out(object: &mut Value, before: &Value, now: &Value) {
    let Some(before) = before.as_object() else {
        return;
    };
    for (name, below) in before {
        let Some(there) = object.get_mut(name) else {
            continue;
        };
        match now.get(name) {
            None => drop(object.as_object_mut().unwrap().remove(name)),
            Some(now) => take_out(there, below, now),
        }
    }
}

fn set(object: &mut Value, sent: &Value) {
    let Some(members) = sent.as_object().filter(|_| object.is_object()) else {
        *object = sent.clone();
        return;
    };
    for (name, value) in members {
        match object.get_mut(name) {
            Some(there) => set(there, value),
            None => object[name] = value.clone(),
        }
    }
}
