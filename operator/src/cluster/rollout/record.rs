//! Before a serving pod is deleted, ConfigMap `NAME-template` names it, in the very state in which it was judged. Every operator
//! reads that record before it reads the pods, and replaces it only from the version that it read. So only one deletion can
//! be under way at a time: that of an earlier leader may arrive minutes late, and the pod that it names is taken first.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{
    cluster::{
        apply,
        context::Context,
        dereference::{DereferencedObjects, LiveChild},
        validate::ValidatedCluster,
    },
    names::{ANNOTATION_REPLACING, FIELD_MANAGER},
};

/// A pod in one state of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    pod: String,
    uid: String,
    resource_version: String,
}

impl Record {
    /// The record of a pod as it was read.
    fn of(pod: &Pod) -> Option<Self> {
        Some(Self {
            pod: pod.name_any(),
            uid: pod.uid()?,
            resource_version: pod.resource_version()?,
        })
    }

    /// The record that operators share. A text in another form names no pod.
    fn read(config_map: &LiveChild) -> Option<Self> {
        let annotations = config_map.object.pointer("/metadata/annotations")?;
        let mut parts = annotations.get(ANNOTATION_REPLACING)?.as_str()?.split('/');
        let mut part = || parts.next().map(str::to_owned);
        Some(Self {
            pod: part()?,
            uid: part()?,
            resource_version: part()?,
        })
    }

    fn text(&self) -> String {
        let Self {
            pod,
            uid,
            resource_version,
        } = self;
        format!("{pod}/{uid}/{resource_version}")
    }
}

/// The next pod to delete: the planned one, unless a deletion of another one may still arrive. A deletion is for one version of
/// its pod, so one for an earlier version does nothing.
fn next<'a>(record: Option<&Record>, pods: &[&'a Pod], planned: &'a Pod) -> &'a Pod {
    let named = |pod: &&Pod| record.is_some() && Record::of(pod).as_ref() == record;
    pods.iter().copied().find(named).unwrap_or(planned)
}

/// Records the next pod to delete, and returns it; `None` where another operator was faster, or there is no record yet.
///
/// # Errors
/// Where the API server refuses.
pub(super) async fn record<'a>(
    valid: &ValidatedCluster,
    found: &DereferencedObjects,
    pods: &[&'a Pod],
    planned: &'a Pod,
    context: &Context,
) -> Result<Option<&'a Pod>, apply::Error> {
    let name = valid.name.template();
    let config_map = found.child("ConfigMap", &name);
    let Some(config_map) = config_map.and_then(|child| child.live.as_ref()) else {
        return Ok(None);
    };
    let there = Record::read(config_map);
    let pod = next(there.as_ref(), pods, planned);
    let Some(wanted) = Record::of(pod) else {
        return Ok(None);
    };
    if there.as_ref() == Some(&wanted) {
        return Ok(Some(pod));
    }
    let patch = json!({ "metadata": {
        "resourceVersion": config_map.resource_version,
        "annotations": { ANNOTATION_REPLACING: wanted.text() },
    } });
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &valid.namespace);
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch_metadata(&name, &parameters, &Patch::Merge(patch))
        .await
    {
        Ok(_) => Ok(Some(pod)),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(None),
        Err(source) => Err(apply::failed::<ConfigMap>("patch", &name, source)),
    }
}

#[cfg(test)]
mod tests;
