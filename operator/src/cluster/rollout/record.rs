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

/// The next pod to delete, by the record as it was read.
pub(super) fn next_of<'a>(
    valid: &ValidatedCluster,
    found: &DereferencedObjects,
    pods: &[&'a Pod],
    planned: &'a Pod,
) -> &'a Pod {
    let record = live(valid, found).and_then(Record::read);
    next(record.as_ref(), pods, planned)
}

/// What became of a record.
pub(super) enum Recorded {
    /// It was there.
    Before,
    /// It was written, which gave the ConfigMap this version.
    Now(Option<String>),
    /// Another operator was faster, or there is no ConfigMap yet.
    Not,
}

/// Records the next pod to delete.
///
/// # Errors
/// Where the API server refuses.
pub(super) async fn record(
    valid: &ValidatedCluster,
    found: &DereferencedObjects,
    pod: &Pod,
    context: &Context,
) -> Result<Recorded, apply::Error> {
    let (Some(config_map), Some(wanted)) = (live(valid, found), Record::of(pod)) else {
        return Ok(Recorded::Not);
    };
    if Record::read(config_map).as_ref() == Some(&wanted) {
        return Ok(Recorded::Before);
    }
    let version = config_map.resource_version.as_deref();
    match write(valid, version, Some(wanted.text()), context).await {
        Ok(version) => Ok(Recorded::Now(version)),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
            Ok(Recorded::Not)
        }
        Err(source) => Err(apply::failed::<ConfigMap>(
            "patch",
            &valid.name.template(),
            source,
        )),
    }
}

/// Removes a record that this reconcile wrote, whose deletion the API server refused: none is under way. Where another operator
/// has written since, or the write fails, the record stays.
pub(super) async fn withdraw(valid: &ValidatedCluster, version: &str, context: &Context) {
    if let Err(error) = write(valid, Some(version), None, context).await {
        tracing::debug!(error = %error, "replacement_not_withdrawn");
    }
}

fn live<'a>(valid: &ValidatedCluster, found: &'a DereferencedObjects) -> Option<&'a LiveChild> {
    let child = found.child("ConfigMap", &valid.name.template())?;
    child.live.as_ref()
}

/// Writes the record over this version, and gives the next one.
async fn write(
    valid: &ValidatedCluster,
    version: Option<&str>,
    text: Option<String>,
    context: &Context,
) -> Result<Option<String>, kube::Error> {
    let patch = Patch::Merge(json!({ "metadata": {
        "resourceVersion": version, "annotations": { ANNOTATION_REPLACING: text },
    } }));
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &valid.namespace);
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let name = valid.name.template();
    let written = api.patch_metadata(&name, &parameters, &patch);
    Ok(written.await?.resource_version())
}

#[cfg(test)]
mod tests;
