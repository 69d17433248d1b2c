//! A document against a Kubernetes schema, as strictly as `kubectl apply --validate=strict`: every field is known, every value
//! is of its type. Pure.

use serde_json::Value;

/// The violations, one line each, with the field's path below `path`.
pub(super) fn violations(path: &str, document: &Value, schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(path, document, schema, &mut found);
    found
}

/// The field that an unknown one was probably meant to be, or the existing fields.
pub(super) fn advice<'n>(
    parent: &str,
    name: &str,
    known: impl Iterator<Item = &'n str> + Clone,
) -> String {
    let distance =
        |known: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    let nearest = known.clone().min_by_key(|known| distance(known));
    let field = join(parent, name);
    match nearest {
        Some(nearest) if distance(nearest) * 2 <= nearest.len().max(name.len()) => {
            format!(
                "{field} is no field; did you mean {}?",
                join(parent, nearest)
            )
        }
        _ => {
            let known: Vec<_> = known.collect();
            format!("{field} is no field; here are: {}", known.join(", "))
        }
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

fn walk(path: &str, document: &Value, schema: &Value, found: &mut Vec<String>) {
    let flag = |name: &str| schema.get(name) == Some(&Value::Bool(true));
    // The API server treats it as an absent field.
    if document.is_null() {
        return;
    }
    if flag("x-kubernetes-int-or-string") {
        if !document.is_string() && !document.is_number() {
            found.push(wrong(path, "a number or text", document));
        }
        return;
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => object(path, document, schema, found),
        Some("array") => match document.as_array() {
            Some(items) => {
                if let Some(schema) = schema.get("items") {
                    for (number, item) in items.iter().enumerate() {
                        walk(&format!("{path}[{number}]"), item, schema, found);
                    }
                }
            }
            None => found.push(wrong(path, "a list", document)),
        },
        Some("boolean") if !document.is_boolean() => {
            found.push(wrong(path, "true or false", document));
        }
        Some("integer") => integer(path, document, schema, found),
        Some("number") if !document.is_number() => found.push(wrong(path, "a number", document)),
        Some("string") => text(path, document, schema, found),
        _ => {}
    }
}

fn object(path: &str, document: &Value, schema: &Value, found: &mut Vec<String>) {
    let Some(members) = document.as_object() else {
        found.push(wrong(path, "an object", document));
        return;
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, member) in members {
        let property = properties.and_then(|properties| properties.get(name));
        if let Some(property) = property.or(schema.get("additionalProperties")) {
            walk(&join(path, name), member, property, found);
        } else if schema.get("x-kubernetes-preserve-unknown-fields") != Some(&Value::Bool(true)) {
            let known = properties
                .into_iter()
                .flat_map(|properties| properties.keys());
            found.push(advice(path, name, known.map(String::as_str)));
        }
    }
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if members.get(name).is_none_or(Value::is_null) {
            found.push(format!("{} is missing", join(path, name)));
        }
    }
}

fn integer(path: &str, document: &Value, schema: &Value, found: &mut Vec<String>) {
    let Some(number) = document.as_i64() else {
        found.push(wrong(path, "a whole number", document));
        return;
    };
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    #[expect(
        clippy::cast_precision_loss,
        reason = "bounds are far below what a float counts exactly"
    )]
    let number = number as f64;
    if let Some(least) = bound("minimum").filter(|least| number < *least) {
        found.push(wrong(path, &format!("{least} or more"), document));
    }
    if let Some(most) = bound("maximum").filter(|most| number > *most) {
        found.push(wrong(path, &format!("{most} or less"), document));
    }
}

fn text(path: &str, document: &Value, schema: &Value, found: &mut Vec<String>) {
    let Some(text) = document.as_str() else {
        found.push(wrong(path, "text (between quotes)", document));
        return;
    };
    let words = schema.get("enum").and_then(Value::as_array);
    if let Some(words) = words
        && !words.contains(document)
    {
        let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
        found.push(wrong(path, &words.join(" or "), document));
    }
    let longest = schema.get("maxLength").and_then(Value::as_u64);
    if let Some(longest) = longest.filter(|longest| text.chars().count() as u64 > *longest) {
        found.push(format!("{path} must have {longest} characters or fewer"));
    }
}

/// Shows texts and numbers, and any other value by its type.
fn wrong(path: &str, wanted: &str, document: &Value) -> String {
    let given = match document {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) => format!("the text '{text}'"),
        other => other.to_string(),
    };
    format!("{path} must be {wanted}, not {given}")
}
