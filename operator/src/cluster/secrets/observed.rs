//! The Secrets of a cluster as they were read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use opensecureconf_contract::{Salt, bootstrap::BootstrapMark};

use super::ManagedSecret;
use crate::{
    cluster::{api_key::KeyRecord, dereference::controller, prune_protection},
    names::{
        ANNOTATION_AUTHORITY_GIVEN, ANNOTATION_AUTHORITY_REFUSED, ANNOTATION_AUTHORITY_ROTATION,
        ANNOTATION_AUTHORITY_SHOWN, ANNOTATION_BOOTSTRAP, ANNOTATION_LAYOUT, ANNOTATION_OPERATOR,
        LABEL_MANAGED_BY, previous_entry,
    },
    node::AccessKey,
};

/// The existing Secrets.
pub type ObservedSecrets = BTreeMap<ManagedSecret, ObservedSecret>;

/// One Secret.
#[derive(Clone)]
pub struct ObservedSecret {
    /// Whether this cluster may use it.
    pub ours: bool,
    /// Whether it goes when the resource goes.
    pub owned: bool,
    /// Whether it has no managed-by label, as a Secret that was restored by hand.
    pub unmanaged: bool,
    /// The layout that it was made with.
    pub layout: Option<String>,
    /// The operator that runs the cluster, as the salt records it.
    pub operator: Option<String>,
    /// The mark in the salt's annotation.
    pub bootstrap: BootstrapMark,
    /// Of the authority's: the last rotation that was carried out.
    pub rotation: Option<String>,
    /// Of the same: why the authority that a user had put there is of no use.
    pub authority_refused: Option<String>,
    /// Of the nodes' certificates: when they were first given the newest authority.
    pub authority_given: Option<Timestamp>,
    /// Of the same, while an authority is exchanged: since when clients can read the newest one.
    pub authority_shown: Option<Timestamp>,
    /// For the clients' key: how far a change of it has come.
    pub key_record: KeyRecord,
    /// Its version: every change must start from the version that was read.
    pub resource_version: Option<String>,
    /// The annotations that it lacks to be safe from Argo CD.
    pub prunable: Option<BTreeMap<String, String>>,
    /// Its content. Never printed.
    pub entries: BTreeMap<String, Vec<u8>>,
}

/// The bootstrap record of the salt Secret.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootstrapRecord {
    /// The mark.
    pub mark: BootstrapMark,
    /// Whether the Secret has no managed-by label, such as a Secret that a person restored.
    pub unmanaged: bool,
    /// The Secret's version: every change of the mark must start from the version that was read.
    pub resource_version: Option<String>,
}

impl ObservedSecret {
    /// Reads a Secret; `uid` is the resource's.
    pub fn read(secret: Secret, ours: bool, uid: &str) -> Self {
        let metadata = &secret.metadata;
        let annotation = |name: &str| metadata.annotations.as_ref()?.get(name).cloned();
        let time = |name: &str| annotation(name).and_then(|text| text.parse().ok());
        Self {
            ours,
            owned: controller(metadata) == Some(uid),
            unmanaged: metadata
                .labels
                .as_ref()
                .is_none_or(|labels| !labels.contains_key(LABEL_MANAGED_BY)),
            layout: annotation(ANNOTATION_LAYOUT),
            operator: annotation(ANNOTATION_OPERATOR),
            bootstrap: BootstrapMark::of(annotation(ANNOTATION_BOOTSTRAP).as_deref()),
            rotation: annotation(ANNOTATION_AUTHORITY_ROTATION),
            authority_refused: annotation(ANNOTATION_AUTHORITY_REFUSED),
            authority_given: time(ANNOTATION_AUTHORITY_GIVEN),
            authority_shown: time(ANNOTATION_AUTHORITY_SHOWN),
            key_record: KeyRecord::read(metadata.annotations.as_ref()),
            resource_version: metadata.resource_version.clone(),
            prunable: prune_protection::missing(
                metadata.annotations.as_ref().unwrap_or(&BTreeMap::new()),
            ),
            entries: secret
                .data
                .into_iter()
                .flatten()
                .map(|(name, data)| (name, data.0))
                .collect(),
        }
    }

    /// The salt; `None` where the entry is none.
    pub fn salt(&self) -> Option<Salt> {
        Salt::from_bytes(self.entries.get(ManagedSecret::Salt.entry())?)
    }

    /// The key under an entry that callers show now; `None` where it is missing or empty. While callers move, that is the
    /// previous key: a node may not have read the new one yet.
    pub fn key(&self, entry: &str) -> Option<AccessKey> {
        let line = |entry: &str| {
            let line = first_line(self.entries.get(entry)?);
            (!line.is_empty()).then(|| AccessKey(line.to_vec()))
        };
        let new = line(entry)?;
        Some(line(&previous_entry(entry)).unwrap_or(new))
    }

    /// The text under an entry; `None` where there is none.
    pub fn text(&self, entry: &str) -> Option<&str> {
        std::str::from_utf8(self.entries.get(entry)?).ok()
    }

    /// The bootstrap record.
    pub fn record(&self) -> BootstrapRecord {
        BootstrapRecord {
            mark: self.bootstrap.clone(),
            unmanaged: self.unmanaged,
            resource_version: self.resource_version.clone(),
        }
    }
}

impl std::fmt::Debug for ObservedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObservedSecret")
            .field("ours", &self.ours)
            .field("entries", &self.entries.keys())
            .finish_non_exhaustive()
    }
}

fn first_line(key: &[u8]) -> &[u8] {
    key.split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default()
        .trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::API_KEY_ENTRY;

    #[test]
    fn the_operator_shows_the_previous_key_while_there_is_one() {
        let shown = |data: serde_json::Value| {
            let secret = serde_json::from_value(serde_json::json!({ "data": data })).unwrap();
            let key = ObservedSecret::read(secret, true, "uid").key(API_KEY_ENTRY);
            key.map(|AccessKey(key)| key)
        };
        let (new, old) = ("bmV3", "b2xk");
        let both = serde_json::json!({ "api-key": new, "api-key-previous": old });
        assert_eq!(shown(both), Some(b"old".to_vec()));
        assert_eq!(
            shown(serde_json::json!({ "api-key": new })),
            Some(b"new".to_vec())
        );
        assert_eq!(
            shown(serde_json::json!({ "api-key-previous": old })),
            None,
            "the key itself is missing"
        );
    }

    #[test]
    fn of_several_api_keys_the_operator_uses_the_first() {
        assert_eq!(first_line(b" one \ntwo\n"), b"one");
    }

    #[test]
    fn what_a_secret_holds_is_not_printed() {
        let secret = serde_json::from_value(serde_json::json!({ "data": {"a": "c2VjcmV0"} }));
        let shown = format!("{:?}", ObservedSecret::read(secret.unwrap(), true, ""));
        assert!(
            !shown.contains("secret\"") && !shown.contains("115"),
            "{shown}"
        );
    }
}
