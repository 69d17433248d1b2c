//! Unknown fields: Kubernetes' own types drop them in silence, and a sidecar with a misspelt security context runs without one.

use serde_json::Value;

/// The first field of the written text that the read object lacks, as a path that begins with a dot; null counts as absent.
pub(super) fn field(written: &Value, read: &Value) -> Option<String> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            let mut members = written.iter().filter(|(_, value)| !value.is_null());
            members.find_map(|(name, value)| {
                let inner = match read.get(name) {
                    None => String::new(),
                    Some(read) => field(value, read)?,
                };
                Some(format!(".{name}{inner}"))
            })
        }
        (Value::Array(written), Value::Array(read)) => {
            let mut items = written.iter().zip(read).enumerate();
            items.find_map(|(index, (written, read))| {
                Some(format!("[{index}]{}", field(written, read)?))
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::field;

    #[test]
    fn the_first_field_that_was_not_read_is_found_by_its_place() {
        let read = json!({"a": {"b": [{"c": 1}, {"d": "1"}]}, "e": "x"});
        assert_eq!(field(&read, &read), None);
        let written = json!({"a": {"b": [{"c": 1}, {"d": 1, "f": {}}]}, "e": "x"});
        assert_eq!(field(&written, &read).unwrap(), ".a.b[1].f");
        assert_eq!(field(&json!({"g": null}), &read), None);
    }
}
