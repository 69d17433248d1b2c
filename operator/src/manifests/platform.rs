//! The installation for platforms that assign users and groups themselves, as `OpenShift` does. They refuse a pod that names one.

use serde_json::Value;

/// The same documents, but for the user and the group of the operator's pods.
pub(super) fn documents(install: &[Value]) -> Vec<Value> {
    let mut documents = install.to_vec();
    for document in &mut documents {
        let context = document.pointer_mut("/spec/template/spec/securityContext");
        if let Some(context) = context.and_then(Value::as_object_mut) {
            context.retain(|field, _| !matches!(field.as_str(), "runAsUser" | "runAsGroup"));
        }
    }
    documents
}

#[cfg(test)]
mod tests {
    use super::documents;
    use crate::manifests::install;

    #[test]
    fn the_operators_pods_name_no_user_and_are_still_not_root() {
        let install = install::documents().unwrap();
        let changed: Vec<_> = install
            .iter()
            .zip(documents(&install))
            .filter(|(before, after)| *before != after)
            .map(|(_, after)| after)
            .collect();
        assert_eq!(changed.len(), 1);
        let text = changed[0].to_string();
        assert!(text.contains("\"kind\":\"Deployment\""), "{text}");
        assert!(!text.contains("runAsUser") && !text.contains("runAsGroup"));
        assert!(text.contains("\"runAsNonRoot\":true"), "{text}");
    }
}
