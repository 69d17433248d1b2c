//! A namespace that is being deleted: refusals for that reason are no fault, and are not reported.

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};

/// Whether a namespace is being deleted, or is gone, as far as the operator may read it.
pub(crate) async fn has_begun(client: &Client, namespace: &str) -> bool {
    let api: Api<Namespace> = Api::all(client.clone());
    match api.get_opt(namespace).await {
        Ok(Some(found)) => found.metadata.deletion_timestamp.is_some(),
        Ok(None) => true,
        Err(error) => {
            tracing::debug!(namespace, error = %error, "namespace_not_read");
            false
        }
    }
}

/// Whether the API server accepts no new objects there any more, or the namespace is gone.
pub(crate) fn is_ending(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    let details = status.details.as_ref();
    let mut causes = details.into_iter().flat_map(|details| &details.causes);
    let terminates = causes.any(|cause| cause.reason == "NamespaceTerminating");
    let is_gone = details.is_some_and(|details| details.kind == "namespaces");
    status.code == 403 && terminates || status.code == 404 && is_gone
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_that_goes_is_told_from_what_a_quota_refuses() {
        let error = |code: u16, details: serde_json::Value| {
            let status = json!({ "code": code, "message": "no", "reason": "", "details": details });
            kube::Error::Api(serde_json::from_value(status).unwrap())
        };
        let terminating = json!({ "name": "demo-salt", "kind": "secrets", "causes": [
            { "reason": "NamespaceTerminating", "message": "namespace team is being terminated", "field": "metadata.namespace" },
        ] });
        assert!(is_ending(&error(403, terminating)));
        assert!(is_ending(&error(
            404,
            json!({ "name": "team", "kind": "namespaces" })
        )));
        assert!(!is_ending(&error(
            403,
            json!({ "name": "demo-salt", "kind": "secrets" })
        )));
        assert!(!is_ending(&error(
            404,
            json!({ "name": "demo-salt", "kind": "secrets" })
        )));
    }
}
