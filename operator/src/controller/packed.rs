//! An object in few bytes, for objects that are kept long and read rarely. The types of Kubernetes need about seven times the
//! memory of their JSON, since most of a pod's fields are absent, and JSON needs about four times the memory that it has compressed.

use std::marker::PhantomData;

use miniz_oxide::{deflate::compress_to_vec, inflate::decompress_to_vec};
use serde::{Serialize, de::DeserializeOwned};

/// How hard the compression tries, of 10: more takes longer and hardly saves a byte of a pod.
const EFFORT: u8 = 6;

/// An object as compressed JSON.
#[derive(Debug)]
pub(crate) struct Packed<T> {
    bytes: Box<[u8]>,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Packed<T> {
    /// Packs an object.
    pub(crate) fn new(object: &T) -> Self {
        // An object that cannot be written cannot be opened either: it is read anew from the API server.
        let json = serde_json::to_vec(object).unwrap_or_default();
        Self {
            bytes: compress_to_vec(&json, EFFORT).into(),
            of: PhantomData,
        }
    }

    /// The object; `None` where it is not known.
    pub(crate) fn open(&self) -> Option<T> {
        let json = decompress_to_vec(&self.bytes).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_packed_is_the_same_when_it_is_opened() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "prod-0", "labels": {}, "deletionTimestamp": "2026-01-31T12:00:00Z" },
            "spec": { "containers": [{ "name": "node", "resources": { "limits": { "memory": "256Mi" } }, "ports": [] }] },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }], "podIP": "10.0.0.1" },
        }))
        .unwrap();
        let packed = Packed::new(&pod);
        assert_eq!(packed.open(), Some(pod));
        assert!(packed.bytes.len() < size_of::<Pod>());
    }
}
