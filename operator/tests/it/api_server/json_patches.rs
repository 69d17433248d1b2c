//! Kinds of patches, and the logic that all API servers of tests share.

use http::StatusCode;
use serde_json::{Value, json};

/// How a patch is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Server-side apply.
    Apply,
    /// RFC 7386.
    Merge,
    /// RFC 6902.
    Operations,
}

impl How {
    pub(crate) fn read(content_type: &str) -> Self {
        match content_type {
            "application/merge-patch+json" => Self::Merge,
            "application/json-patch+json" => Self::Operations,
            _ => Self::Apply,
        }
    }
}

/// A merge patch: null removes a member.
pub(crate) fn merge(object: &mut Value, patch: &Value) {
    let Some(members) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (name, value) in members {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut object[name], value);
        }
    }
}

/// Removals only, of the version that the first operation names.
pub(crate) fn operate(there: &Value, operations: &Value) -> Result<Value, StatusCode> {
    let mut object = there.clone();
    for operation in operations.as_array().unwrap() {
        let path = operation["path"].as_str().unwrap();
        if path == "/metadata/resourceVersion" {
            if operation["value"] != there["metadata"]["resourceVersion"] {
                return Err(StatusCode::CONFLICT);
            }
            continue;
        }
        assert_eq!(operation["op"], "remove");
        let (parent, last) = path.rsplit_once('/').unwrap();
        let last = last.replace("~1", "/").replace("~0", "~");
        match object.pointer_mut(parent).unwrap() {
            Value::Array(items) => drop(items.remove(last.parse().unwrap())),
            parent => drop(parent.as_object_mut().unwrap().remove(&last).unwrap()),
        }
    }
    Ok(object)
}
