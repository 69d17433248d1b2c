//! The managers of fields, as `managedFields` shows them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value};

use super::{FieldPath, Step};
use crate::names::FIELD_MANAGER;

/// The other manager that set this field last.
pub fn manager_of<'a>(path: &FieldPath, entries: &'a [ManagedFieldsEntry]) -> Option<&'a str> {
    newest(entries.iter().filter(|entry| {
        let fields = entry.fields_v1.as_ref();
        fields.is_some_and(|fields| owns(&fields.0, &path.0))
    }))
}

/// The other manager that alone has this field: it gave the field another value than we had applied.
pub fn taken_over<'a>(path: &FieldPath, entries: &'a [ManagedFieldsEntry]) -> Option<&'a str> {
    let is_ours = entries.iter().any(|entry| {
        let fields = entry.fields_v1.as_ref();
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && fields.is_some_and(|fields| owns(&fields.0, &path.0))
    });
    manager_of(path, entries).filter(|_| !is_ours)
}

/// The other manager that wrote the object last: a field that it removed has no manager any more.
pub fn last_manager(entries: &[ManagedFieldsEntry]) -> Option<&str> {
    newest(
        entries
            .iter()
            .filter(|entry| entry.subresource.as_deref() != Some("status")),
    )
}

fn newest<'a>(entries: impl Iterator<Item = &'a ManagedFieldsEntry>) -> Option<&'a str> {
    entries
        .filter(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER))
        .max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?
        .manager
        .as_deref()
}

fn owns(fields: &Value, path: &[Step]) -> bool {
    let Some((step, rest)) = path.split_first() else {
        return true;
    };
    let Some(members) = fields.as_object() else {
        return false;
    };
    // It owns everything below, or the whole list.
    if members.is_empty() || matches!(step, Step::Place(_)) {
        return true;
    }
    let below = match step {
        Step::Field(name) => members.get(&format!("f:{name}")),
        Step::Item(keys) => members
            .iter()
            .find(|(name, _)| item_keys(name).is_some_and(|item| matches(&item, keys)))
            .map(|(_, below)| below),
        Step::Place(_) => None,
    };
    below.is_some_and(|below| owns(below, rest))
}

/// The fields that we applied once and no longer want: an apply removes them.
pub fn unwanted(wanted: &Value, entries: &[ManagedFieldsEntry]) -> Vec<FieldPath> {
    let ours = entries.iter().filter(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    });
    let mut found = Vec::new();
    for fields in ours.filter_map(|entry| entry.fields_v1.as_ref()) {
        collect(&fields.0, wanted, &mut Vec::new(), &mut found);
    }
    found
}

/// A field that another manager has set and that is not wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Which one.
    pub path: FieldPath,
    /// The manager that set it.
    pub manager: String,
}

/// The fields within `part` that others have set and `wanted` lacks. Fields of controllers about an object's state do not
/// count.
pub fn set_by_others(
    wanted: &Value,
    entries: &[ManagedFieldsEntry],
    part: &FieldPath,
) -> Vec<Foreign> {
    let theirs = entries.iter().filter(|entry| {
        entry.manager.as_deref() != Some(FIELD_MANAGER)
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    });
    let mut told: Vec<Foreign> = Vec::new();
    for entry in theirs {
        let mut found = Vec::new();
        if let Some(fields) = &entry.fields_v1 {
            collect(&fields.0, wanted, &mut Vec::new(), &mut found);
        }
        for path in found {
            if path.is_below(part) && told.iter().all(|foreign| foreign.path != path) {
                told.push(Foreign {
                    path,
                    manager: entry.manager.clone().unwrap_or_default(),
                });
            }
        }
    }
    told
}

fn collect(fields: &Value, wanted: &Value, path: &mut Vec<Step>, found: &mut Vec<FieldPath>) {
    for (key, below) in fields.as_object().into_iter().flatten() {
        let (step, there) = if let Some(name) = key.strip_prefix("f:") {
            (Step::Field(name.to_owned()), wanted.get(name))
        } else if let Some(keys) = item_keys(key) {
            let items = wanted.as_array();
            let item = items.and_then(|items| items.iter().find(|item| is_item(item, &keys)));
            (Step::Item(keys), item)
        } else {
            // `.` is the object itself, and none of our lists is a set of values.
            continue;
        };
        path.push(step);
        match there {
            Some(there) => collect(below, there, path, found),
            // Each entry of a map has a manager of its own, even where we have no such map.
            None if is_map(path) && below.as_object().is_some_and(|below| !below.is_empty()) => {
                collect(below, &Value::Null, path, found);
            }
            None => found.push(FieldPath(path.clone())),
        }
        path.pop();
    }
}

fn is_map(path: &[Step]) -> bool {
    let [.., Step::Field(metadata), Step::Field(map)] = path else {
        return false;
    };
    metadata == "metadata" && ["annotations", "labels"].contains(&map.as_str())
}

/// `k:{"name":"node"}`
fn item_keys(name: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(name.strip_prefix("k:")?).ok()
}

/// An applied item may leave a key to its default.
fn is_item(item: &Value, keys: &Map<String, Value>) -> bool {
    let mut present = keys
        .iter()
        .filter_map(|(name, value)| Some((item.get(name)?, value)));
    let same = present.clone().all(|(there, value)| there == value);
    present.next().is_some() && same
}

fn matches(item: &Map<String, Value>, keys: &Map<String, Value>) -> bool {
    keys.iter()
        .all(|(name, value)| item.get(name) == Some(value))
}
