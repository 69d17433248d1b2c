//! A chart's values as a file with comments, and as a table. Both are made from the schema: each value's default and description.

use std::fmt::Write as _;

use serde_json::Value;

use crate::manifests::yaml;

/// `values.yaml`. A value whose own default is an empty map and whose members have defaults of their own is left empty: the
/// members follow as comments.
pub(super) fn file(schema: &Value) -> anyhow::Result<String> {
    let mut text = String::new();
    for (name, value) in members(schema) {
        // Of a parent chart.
        if ["enabled", "global"].contains(&name) {
            continue;
        }
        text.push('\n');
        write_value(&mut text, name, value, "")?;
    }
    Ok(text)
}

fn write_value(text: &mut String, name: &str, value: &Value, indent: &str) -> anyhow::Result<()> {
    let default = value.get("default");
    writeln!(text, "{indent}# {}", describe(value))?;
    if is_group(value) {
        let mut inside = String::new();
        for (name, value) in members(value) {
            write_value(&mut inside, name, value, "  ")?;
        }
        if default.is_some() && indent.is_empty() {
            writeln!(text, "{name}: {{}}")?;
            for line in inside.lines() {
                writeln!(text, "  # {}", line.strip_prefix("  ").unwrap_or(line))?;
            }
            return Ok(());
        }
        writeln!(text, "{indent}{name}:")?;
        for line in inside.lines() {
            writeln!(text, "{indent}{line}")?;
        }
        return Ok(());
    }
    let Some(default) = default else {
        // An absent value differs from an empty text.
        writeln!(text, "{indent}# {name}:")?;
        return Ok(());
    };
    if is_empty(default) || !(default.is_object() || default.is_array()) {
        writeln!(text, "{indent}{name}: {default}")?;
        return Ok(());
    }
    writeln!(text, "{indent}{name}:")?;
    for line in yaml(default)?.lines() {
        writeln!(text, "{indent}  {line}")?;
    }
    Ok(())
}

/// Rows of a Markdown table.
pub(super) fn table(schema: &Value) -> String {
    let mut text = "| value | default | meaning |\n|---|---|---|\n".to_owned();
    for (name, value) in members(schema) {
        rows(&mut text, name, value);
    }
    text
}

fn rows(text: &mut String, path: &str, value: &Value) {
    if is_group(value) {
        for (name, value) in members(value) {
            rows(text, &format!("{path}.{name}"), value);
        }
        return;
    }
    let default = value
        .get("default")
        .map_or_else(String::new, |default| format!("`{default}`"));
    let meaning = describe(value).replace('|', "\\|").replace('\n', " ");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "| `{path}` | {default} | {meaning} |");
}

/// The description, and the words that may stand there.
fn describe(value: &Value) -> String {
    let mut text = value
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .replace('\n', " ");
    let words = value.get("enum").and_then(Value::as_array);
    let words: Vec<_> = words
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !words.is_empty() {
        let _ = write!(text, " One of {}.", words.join(", "));
    }
    text
}

/// Whether the members are values of ours, each with a description. Kubernetes' own types have none: they count as one value.
fn is_group(value: &Value) -> bool {
    let mut inside = members(value).peekable();
    inside.peek().is_some() && inside.all(|(_, value)| value.get("description").is_some())
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
}

fn members(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({ "properties": {
            "global": { "description": "Of a parent.", "type": "object" },
            "pods": { "description": "How many.", "type": "integer", "default": 2 },
            "image": { "description": "Image.", "properties": {
                "tag": { "description": "Tag | no digest.", "default": "" },
                "pull": { "description": "When.", "enum": ["Always", "Never"] },
            } },
            "spec": { "description": "Spec.", "default": {}, "properties": {
                "resources": { "description": "Resources.", "default": { "limits": { "cpu": "1" } },
                               "properties": { "limits": { "type": "object" } } },
            } },
        } })
    }

    #[test]
    fn the_file_has_each_value_with_its_description_and_default() {
        let wanted = r#"
# How many.
pods: 2

# Image.
image:
  # Tag | no digest.
  tag: ""
  # When. One of Always, Never.
  # pull:

# Spec.
spec: {}
  # # Resources.
  # resources:
  #   limits:
  #     cpu: '1'
"#;
        assert_eq!(file(&schema()).unwrap().replace("\"1\"", "'1'"), wanted);
    }

    #[test]
    fn the_table_has_a_row_for_each() {
        let text = table(&schema());
        assert!(text.contains("| `pods` | `2` | How many. |\n"), "{text}");
        assert!(text.contains("| `image.tag` | `\"\"` | Tag \\| no digest. |\n"));
        assert!(text.contains("| `image.pull` |  | When. One of Always, Never. |\n"));
        assert!(
            text.contains("| `spec.resources` | `{\"limits\":{\"cpu\":\"1\"}}` | Resources. |\n")
        );
    }

    #[test]
    fn the_defaults_of_the_operators_chart_are_in_its_file() {
        let schema = include_str!("../../../../helm/opensecureconf-operator/values.schema.json");
        let text = file(&serde_json::from_str(schema).unwrap()).unwrap();
        let values: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(values["replicas"], 2);
        assert_eq!(values["image"]["repository"], "opensecureconf-operator");
        assert_eq!(values["resources"]["limits"]["memory"], "128Mi");
        assert_eq!(values["dashboard"]["labels"]["grafana_dashboard"], "1");
    }
}
