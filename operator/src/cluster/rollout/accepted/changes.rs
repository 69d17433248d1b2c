//! The differences between two pod templates. Pure.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cluster::{
    difference::{self, FieldPath},
    resource::TemplateChange,
};

/// A field that differs.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cluster) struct Change {
    /// The field.
    pub(in crate::cluster) field: String,
    from: Option<Value>,
    to: Option<Value>,
}

/// The differences, in the order of the templates. Order alone, and another spelling of a quantity, are no difference: pods
/// would be replaced for nothing.
pub(in crate::cluster) fn changes(from: &Value, to: &Value) -> Vec<Change> {
    let mut found: Vec<Change> = Vec::new();
    let forwards = difference::differing(from, to);
    let backwards = difference::differing(to, from);
    for path in forwards.into_iter().chain(backwards) {
        let field = path.to_string();
        if found.iter().all(|change| change.field != field) {
            found.push(change(&path, field, from, to));
        }
    }
    found
}

fn change(path: &FieldPath, field: String, from: &Value, to: &Value) -> Change {
    Change {
        field,
        from: path.value(from).cloned(),
        to: path.value(to).cloned(),
    }
}

/// A number for exactly these changes.
pub(in crate::cluster) fn number(changes: &[Change]) -> String {
    let mut fields: Vec<_> = changes
        .iter()
        .map(|change| serde_json::json!([change.field, change.from, change.to]).to_string())
        .collect();
    fields.sort_unstable();
    let hash = Sha256::digest(fields.join("\n"));
    let first = hash.as_slice().first_chunk().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(first))
}

impl Change {
    /// The change in the form of the status.
    pub(in crate::cluster) fn told(&self) -> TemplateChange {
        TemplateChange {
            field: self.field.clone(),
            from: self.from.as_ref().map(short),
            to: self.to.as_ref().map(short),
        }
    }
}

/// A whole container may be new.
fn short(value: &Value) -> String {
    const LONGEST: usize = 200;
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.len() <= LONGEST {
        return text;
    }
    let end = text.floor_char_boundary(LONGEST);
    format!("{}...", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(image: &str, env: &Value) -> Value {
        json!({ "spec": { "containers": [{ "name": "node", "image": image, "env": env, "resources": { "limits": { "cpu": "1" } } }] } })
    }

    #[test]
    fn what_comes_goes_and_changes_is_named_with_both_values() {
        let from = template("node:1", &json!([{ "name": "A", "value": "1" }]));
        let to = template("node:2", &json!([{ "name": "B", "value": "1" }]));
        let told: Vec<_> = changes(&from, &to)
            .iter()
            .map(|change| {
                let TemplateChange { field, from, to } = change.told();
                format!("{field}: {from:?} -> {to:?}").replace("\\\"", "'")
            })
            .collect();
        let node = "spec.containers[node]";
        assert_eq!(
            told,
            [
                format!("{node}.image: Some(\"node:1\") -> Some(\"node:2\")"),
                format!("{node}.env[A]: Some(\"{{'name':'A','value':'1'}}\") -> None"),
                format!("{node}.env[B]: None -> Some(\"{{'name':'B','value':'1'}}\")"),
            ]
        );
    }

    #[test]
    fn order_and_spelling_are_no_change() {
        let (a, b) = (json!({ "name": "A" }), json!({ "name": "B" }));
        let mut other = template("node:1", &json!([b, a]));
        other["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "1000m".into();
        assert_eq!(changes(&template("node:1", &json!([a, b])), &other), []);
    }

    #[test]
    fn the_number_is_that_of_these_changes_in_every_cluster() {
        let number = |name: &str, to: &str| {
            let with = |image: &str| {
                let mut template = template(image, &json!([]));
                template["metadata"] = json!({ "labels": { "name": name } });
                template
            };
            number(&changes(&with("node:1"), &with(to)))
        };
        assert_eq!(number("a", "node:2"), number("b", "node:2"));
        assert_ne!(number("a", "node:2"), number("a", "node:3"));
    }

    #[test]
    fn a_long_value_is_cut() {
        let long = template(&"ä".repeat(300), &json!([]));
        let change = &changes(&template("node:1", &json!([])), &long)[0];
        assert!(change.told().to.unwrap().ends_with("ä..."));
    }
}
