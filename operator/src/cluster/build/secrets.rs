//! Secrets. They are created once with random bytes from the caller, and never applied.

use k8s_openapi::{
    ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::metadata;
use crate::{
    cluster::{
        founder_mark::FounderMark, resource::Retention, salt::Salt, validate::ValidatedCluster,
    },
    names::{ANNOTATION_FOUNDER, API_KEY_ENTRY, CLUSTER_KEY_ENTRY, SALT_ENTRY},
};

/// The salt: immutable, and without an owner, so that nothing ever collects it.
pub fn build_salt_secret(cluster: &ValidatedCluster, salt: &Salt, mark: &FounderMark) -> Secret {
    let mut metadata = metadata::unowned(cluster, cluster.name.salt());
    metadata.annotations = mark
        .text()
        .map(|text| [(ANNOTATION_FOUNDER.to_owned(), text.to_owned())].into());
    Secret {
        immutable: Some(true),
        ..secret(metadata, SALT_ENTRY, salt.bytes().to_vec())
    }
}

/// The key that clients show: 256 bits in hexadecimal.
pub fn build_api_key_secret(cluster: &ValidatedCluster, key: String) -> Secret {
    secret(
        key_metadata(cluster, cluster.name.api_key()),
        API_KEY_ENTRY,
        key.into_bytes(),
    )
}

/// The key that nodes show each other: 256 bits in hexadecimal.
pub fn build_cluster_key_secret(cluster: &ValidatedCluster, key: String) -> Secret {
    secret(
        key_metadata(cluster, cluster.name.cluster_key()),
        CLUSTER_KEY_ENTRY,
        key.into_bytes(),
    )
}

/// Keys outlive the resource exactly when its volumes do.
fn key_metadata(cluster: &ValidatedCluster, name: String) -> ObjectMeta {
    match cluster.spec.storage.retention.when_deleted {
        Retention::Retain => metadata::unowned(cluster, name),
        Retention::Delete => metadata::owned(cluster, name),
    }
}

fn secret(metadata: ObjectMeta, entry: &str, value: Vec<u8>) -> Secret {
    Secret {
        metadata,
        type_: Some("Opaque".to_owned()),
        data: Some([(entry.to_owned(), ByteString(value))].into()),
        ..Secret::default()
    }
}
