//! Fields that name an object of Kubernetes or an entry of one, each with what it may hold: as a pattern for the API server, and as Rust
//! for resources that were stored before, and for who has no API server.

use serde_json::Value;

use super::{ClusterSpec, Violation};
use crate::object_names::{
    ENTRY, LONGEST, SUBDOMAIN, SUBDOMAIN_OR_NOTHING, is_entry, is_subdomain,
};

/// What a field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// An object.
    Object,
    /// An object, or none where the text is empty.
    ObjectOrNone,
    /// An entry of a Secret.
    Entry,
}

impl Named {
    fn pattern(self) -> &'static str {
        match self {
            Self::Object => SUBDOMAIN,
            Self::ObjectOrNone => SUBDOMAIN_OR_NOTHING,
            Self::Entry => ENTRY,
        }
    }

    fn takes(self, text: &str) -> bool {
        match self {
            Self::Object => is_subdomain(text),
            Self::ObjectOrNone => text.is_empty() || is_subdomain(text),
            Self::Entry => is_entry(text),
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Object => {
                "the name of an object has letters a-z, digits, '-' and '.', begins and ends with a letter or a digit, and is not empty"
            }
            Self::ObjectOrNone => {
                "the name of an object has letters a-z, digits, '-' and '.', and begins and ends with a letter or a digit"
            }
            Self::Entry => {
                "the name of an entry has letters, digits, '-', '_' and '.', does not begin with '..', and is not empty"
            }
        }
    }
}

/// One field.
struct NameField {
    /// Where it stands in the schema of the spec.
    at: &'static str,
    field: &'static str,
    named: Named,
    given: fn(&ClusterSpec) -> Vec<&str>,
}

const FIELDS: &[NameField] = &[
    NameField {
        at: "/properties/imagePullSecrets/items/properties/name",
        field: "spec.imagePullSecrets.name",
        named: Named::Object,
        given: |spec| {
            let secrets = spec.image_pull_secrets.iter();
            secrets.map(|secret| secret.name.as_str()).collect()
        },
    },
    NameField {
        // An empty one is for volumes that an administrator made beforehand.
        at: "/properties/storage/properties/storageClassName",
        field: "spec.storage.storageClassName",
        named: Named::ObjectOrNone,
        given: |spec| {
            spec.storage
                .storage_class_name
                .as_deref()
                .into_iter()
                .collect()
        },
    },
    NameField {
        at: "/properties/apiKey/properties/secretRef/properties/name",
        field: "spec.apiKey.secretRef.name",
        named: Named::Object,
        given: |spec| {
            let reference = spec.api_key.secret_ref.iter();
            reference.map(|reference| reference.name.as_str()).collect()
        },
    },
    NameField {
        at: "/properties/apiKey/properties/secretRef/properties/key",
        field: "spec.apiKey.secretRef.key",
        named: Named::Entry,
        given: |spec| {
            let reference = spec.api_key.secret_ref.iter();
            reference.map(|reference| reference.key.as_str()).collect()
        },
    },
    NameField {
        at: "/properties/tls/properties/secretRef/properties/name",
        field: "spec.tls.secretRef.name",
        named: Named::Object,
        given: |spec| {
            let reference = spec.tls.secret_ref.iter();
            reference.map(|reference| reference.name.as_str()).collect()
        },
    },
    NameField {
        at: "/properties/tls/properties/issuerRef/properties/name",
        field: "spec.tls.issuerRef.name",
        named: Named::Object,
        given: |spec| {
            let reference = spec.tls.issuer_ref.iter();
            reference.map(|reference| reference.name.as_str()).collect()
        },
    },
    NameField {
        at: "/properties/database/properties/secretRef/properties/name",
        field: "spec.database.secretRef.name",
        named: Named::Object,
        given: |spec| {
            let database = spec.database.iter();
            database
                .map(|given| given.secret_ref.name.as_str())
                .collect()
        },
    },
    NameField {
        at: "/properties/database/properties/caSecretRef/properties/name",
        field: "spec.database.caSecretRef.name",
        named: Named::Object,
        given: |spec| {
            let given = spec
                .database
                .iter()
                .filter_map(|given| given.ca_secret_ref.as_ref());
            given.map(|reference| reference.name.as_str()).collect()
        },
    },
    NameField {
        at: "/properties/database/properties/caSecretRef/properties/key",
        field: "spec.database.caSecretRef.key",
        named: Named::Entry,
        given: |spec| {
            let given = spec
                .database
                .iter()
                .filter_map(|given| given.ca_secret_ref.as_ref());
            given.map(|reference| reference.key.as_str()).collect()
        },
    },
    NameField {
        at: "/properties/database/properties/migrationSecretRef/properties/name",
        field: "spec.database.migrationSecretRef.name",
        named: Named::Object,
        given: |spec| {
            let given = spec
                .database
                .iter()
                .filter_map(|given| given.migration_secret_ref.as_ref());
            given.map(|reference| reference.name.as_str()).collect()
        },
    },
    NameField {
        at: "/properties/priorityClassName",
        field: "spec.priorityClassName",
        named: Named::ObjectOrNone,
        given: |spec| spec.priority_class_name.as_deref().into_iter().collect(),
    },
];

/// Writes the patterns into the schema of the spec.
pub(super) fn bound(spec: &mut Value) {
    for field in FIELDS {
        let schema = spec.pointer_mut(field.at).and_then(Value::as_object_mut);
        if let Some(schema) = schema {
            schema.insert("pattern".to_owned(), field.named.pattern().into());
            schema.insert("maxLength".to_owned(), LONGEST.into());
        }
    }
}

/// The fields that name nothing that could be there.
pub(super) fn violations(spec: &ClusterSpec) -> impl Iterator<Item = Violation> + '_ {
    let broken = move |field: &&NameField| {
        let given = (field.given)(spec);
        !given.into_iter().all(|text| field.named.takes(text))
    };
    FIELDS.iter().filter(broken).map(|field| Violation {
        field: field.field,
        message: field.named.wanted(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::resource::{check, crd, prod};

    /// The tricks, and what is no name for other reasons.
    const WRONG: [&str; 6] = ["x/../y", "x?watch=true&z=", "A/b", "a b", "..", "x#"];

    fn violated(spec: &str) -> Vec<&'static str> {
        let violations = check(&prod(spec)).err().unwrap_or_default();
        violations.iter().map(|violation| violation.field).collect()
    }

    fn with(field: &str, text: &str) -> String {
        let reference = format!("{{name: '{text}'}}");
        match field {
            "spec.imagePullSecrets.name" => {
                format!("{{imagePullSecrets: [{{name: a}}, {reference}]}}")
            }
            "spec.storage.storageClassName" => {
                format!("{{storage: {{storageClassName: '{text}'}}}}")
            }
            "spec.apiKey.secretRef.name" => format!("{{apiKey: {{secretRef: {reference}}}}}"),
            "spec.apiKey.secretRef.key" => {
                format!("{{apiKey: {{secretRef: {{name: a, key: '{text}'}}}}}}")
            }
            "spec.tls.secretRef.name" => {
                format!("{{tls: {{mode: Secret, secretRef: {reference}}}}}")
            }
            "spec.tls.issuerRef.name" => {
                format!("{{tls: {{mode: Issuer, issuerRef: {reference}}}}}")
            }
            "spec.priorityClassName" => format!("{{priorityClassName: '{text}'}}"),
            "spec.database.secretRef.name" => {
                format!("{{mode: Shared, database: {{secretRef: {reference}}}}}")
            }
            "spec.database.caSecretRef.name" => format!(
                "{{mode: Shared, database: {{secretRef: {{name: a}}, caSecretRef: {reference}}}}}"
            ),
            "spec.database.caSecretRef.key" => format!(
                "{{mode: Shared, database: {{secretRef: {{name: a}}, caSecretRef: {{name: a, key: '{text}'}}}}}}"
            ),
            "spec.database.migrationSecretRef.name" => format!(
                "{{mode: Shared, database: {{secretRef: {{name: a}}, migrationSecretRef: {reference}}}}}"
            ),
            other => panic!("no example of {other}"),
        }
    }

    #[test]
    fn no_field_that_names_an_object_takes_what_would_change_a_request() {
        for NameField { field, named, .. } in FIELDS {
            for wrong in WRONG {
                assert_eq!(violated(&with(field, wrong)), [*field], "{wrong}");
            }
            assert_eq!(violated(&with(field, "a-b.c")), Vec::<&str>::new());
            let empty = violated(&with(field, ""));
            assert_eq!(empty.is_empty(), *named == Named::ObjectOrNone, "{field}");
        }
    }

    /// Every text of the schema that is called like a name of an object: `name` of a reference, `key` of one, and `...ClassName`.
    fn names(path: &str, schema: &Value, found: &mut Vec<(String, Value)>) {
        let members = schema.get("properties").and_then(Value::as_object);
        for (name, property) in members.into_iter().flatten() {
            let path = format!("{path}/properties/{name}");
            let parent = path.rsplit('/').find(|part| {
                part.to_lowercase().ends_with("ref") || part.to_lowercase().ends_with("secrets")
            });
            let names_object = name.ends_with("ClassName")
                || name.ends_with("SecretName")
                || name.ends_with("AccountName")
                || parent.is_some() && ["name", "key"].contains(&name.as_str());
            if names_object {
                found.push((path.clone(), property.clone()));
            }
            names(&path, property, found);
        }
        if let Some(items) = schema.get("items") {
            names(&format!("{path}/items"), items, found);
        }
    }

    #[test]
    fn every_field_of_the_definition_that_names_an_object_is_bounded() {
        let crd = serde_json::to_value(crd().unwrap()).unwrap();
        let spec = crd
            .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
            .unwrap();
        let mut found = Vec::new();
        names("", spec, &mut found);
        let mut paths: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
        let mut wanted: Vec<_> = FIELDS.iter().map(|field| field.at).collect();
        paths.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(paths, wanted);
        for (path, schema) in &found {
            assert!(schema["pattern"].is_string(), "{path}");
            assert_eq!(schema["maxLength"], 253, "{path}");
        }
    }
}
