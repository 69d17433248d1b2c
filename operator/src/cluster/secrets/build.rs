//! The content of the Secrets. They are created once with random bytes from the caller, and never applied.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use opensecureconf_contract::{Salt, bootstrap::BootstrapMark};

use super::{Lifetime, ManagedSecret};
use crate::{
    cluster::{build::metadata, validate::ValidatedCluster},
    names::{
        ANNOTATION_API_KEY_ROTATION, ANNOTATION_BOOTSTRAP, ANNOTATION_LAYOUT, ANNOTATION_OPERATOR,
        LAYOUT, SALT_ENTRY,
    },
};

/// The salt: immutable, and without an owner, so that the garbage collector never deletes it.
pub fn build_salt_secret(cluster: &ValidatedCluster, salt: &Salt, mark: &BootstrapMark) -> Secret {
    let mut metadata = metadata::retained(cluster, ManagedSecret::Salt.name(&cluster.name));
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(ANNOTATION_LAYOUT.to_owned(), LAYOUT.to_owned());
    annotations.insert(
        ANNOTATION_OPERATOR.to_owned(),
        cluster.installation.operator.clone(),
    );
    if let Some(text) = mark.text() {
        annotations.insert(ANNOTATION_BOOTSTRAP.to_owned(), text.to_owned());
    }
    Secret {
        immutable: Some(true),
        ..secret(metadata, SALT_ENTRY, salt.bytes().to_vec())
    }
}

/// A key of 256 bits in hexadecimal.
pub fn build_key_secret(cluster: &ValidatedCluster, which: ManagedSecret, key: String) -> Secret {
    let mut metadata = metadata(cluster, which);
    // A key that is new is changed for no nonce that was there before it.
    if let (ManagedSecret::ApiKey, Some(nonce)) = (which, &cluster.spec.api_key.rotate) {
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(ANNOTATION_API_KEY_ROTATION.to_owned(), nonce.clone());
    }
    secret(metadata, which.entry(), key.into_bytes())
}

/// A certificate with its key and its authorities.
pub fn build_certificate_secret(
    cluster: &ValidatedCluster,
    which: ManagedSecret,
    entries: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
) -> Secret {
    let mut metadata = metadata(cluster, which);
    if !annotations.is_empty() {
        metadata
            .annotations
            .get_or_insert_default()
            .extend(annotations);
    }
    Secret {
        metadata,
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(
            entries
                .into_iter()
                .map(|(name, text)| (name, ByteString(text.into_bytes())))
                .collect(),
        ),
        ..Secret::default()
    }
}

fn metadata(cluster: &ValidatedCluster, which: ManagedSecret) -> ObjectMeta {
    let name = which.name(&cluster.name);
    match which.lifetime(cluster) {
        Lifetime::Forever => metadata::retained(cluster, name),
        Lifetime::Resource => metadata::owned(cluster, name),
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
