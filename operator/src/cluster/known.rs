//! What the driver's own store has of a cluster: that it is there. The watches keep the rest of it in few bytes.

use kube::{
    Resource, ResourceExt,
    core::{DeserializeGuard, ObjectMeta, PartialObjectMeta, PartialObjectMetaExt},
    runtime::watcher::Event,
};

use super::resource::OpenSecureConfCluster;
use crate::names::{ANNOTATION_ACCEPT, ANNOTATION_LAST_APPLIED};

/// A cluster, or the parsable part of an invalid one, which never stops the others.
pub(super) type Guarded = DeserializeGuard<OpenSecureConfCluster>;

/// A cluster as the driver knows it.
pub(super) type Known = PartialObjectMeta<OpenSecureConfCluster>;

/// Takes out what the operator never reads: the managers of fields, and the resource that `kubectl apply` repeats in an annotation.
pub(super) fn slim(cluster: &mut Guarded) {
    cluster.managed_fields_mut().clear();
    cluster.annotations_mut().remove(ANNOTATION_LAST_APPLIED);
}

/// What the driver needs of an event.
pub(super) fn event(event: Event<Guarded>) -> Event<Known> {
    match event {
        Event::Init => Event::Init,
        Event::InitApply(cluster) => Event::InitApply(known(&cluster)),
        Event::InitDone => Event::InitDone,
        Event::Apply(cluster) => Event::Apply(known(&cluster)),
        Event::Delete(cluster) => Event::Delete(known(&cluster)),
    }
}

/// Its identity, and what tells that a user asks for something else.
fn known(cluster: &Guarded) -> Known {
    let metadata = cluster.meta();
    let accepted = cluster.annotations().get_key_value(ANNOTATION_ACCEPT);
    let accepted = accepted.map(|(name, value)| [(name.clone(), value.clone())].into());
    let known = ObjectMeta {
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        generation: metadata.generation,
        annotations: accepted,
        ..ObjectMeta::default()
    };
    known.into_response_partial()
}
