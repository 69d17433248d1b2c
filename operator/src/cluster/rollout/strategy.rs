//! Kubernetes replaces no pods of a cluster by itself.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    cluster::{apply, context::Context, dereference::LiveChild},
    names::FIELD_MANAGER,
};

/// How pods are replaced: only when they are deleted.
pub(in crate::cluster) const ON_DELETE: &str = "OnDelete";

/// Makes an existing StatefulSet replace no pods by itself; returns its new state, where it was changed. An apply cannot do it:
/// it would leave `rollingUpdate`, which the API server had filled in and refuses beside `OnDelete`.
///
/// # Errors
/// Where the API server refuses.
pub(in crate::cluster) async fn use_on_delete(
    context: &Context,
    namespace: &str,
    name: &str,
    live: &LiveChild,
) -> Result<Option<StatefulSet>, apply::Error> {
    let strategy = live.object.pointer("/spec/updateStrategy");
    let is_done = strategy.is_some_and(|strategy| {
        let has_rest = strategy.get("rollingUpdate").is_some_and(Value::is_object);
        strategy.get("type").and_then(Value::as_str) == Some(ON_DELETE) && !has_rest
    });
    if is_done {
        return Ok(None);
    }
    let patch = json!({
        "metadata": { "uid": live.object.pointer("/metadata/uid") },
        "spec": { "updateStrategy": { "type": ON_DELETE, "rollingUpdate": null } },
    });
    let api: Api<StatefulSet> = Api::namespaced(context.client.clone(), namespace);
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patched = api.patch(name, &parameters, &Patch::Merge(patch)).await;
    patched
        .map(Some)
        .map_err(|source| apply::failed::<StatefulSet>("patch", name, source))
}
