//! The proof that the operator wrote the accepted template of a cluster: a code over it, under the cluster key.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{cluster::validate::ValidatedCluster, node::AccessKey};

/// No other code under the cluster key begins so.
const PURPOSE: &str = "opensecureconf.io/accepted-template";

/// The code of these texts of a cluster.
pub(super) fn seal(cluster: &ValidatedCluster, key: &AccessKey, parts: [&str; 3]) -> String {
    let code = over(cluster, key, parts).map(|code| code.finalize().into_bytes());
    code.iter().flatten().fold(String::new(), |mut text, byte| {
        // Writing to a String never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether a code is that of these texts.
pub(super) fn is_right(
    cluster: &ValidatedCluster,
    key: &AccessKey,
    parts: [&str; 3],
    code: &str,
) -> bool {
    let digits = code.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let (Some(bytes), Some(wanted)) = (bytes, over(cluster, key, parts)) else {
        return false;
    };
    wanted.verify_slice(&bytes).is_ok()
}

/// HMAC accepts a key of any length, so there always is a result.
fn over(cluster: &ValidatedCluster, key: &AccessKey, parts: [&str; 3]) -> Option<Hmac<Sha256>> {
    let mut code = Hmac::<Sha256>::new_from_slice(&key.0).ok()?;
    let place = [PURPOSE, &cluster.namespace, cluster.name.as_str()];
    for part in place.into_iter().chain(parts) {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        code.update(&length.to_be_bytes());
        code.update(part.as_bytes());
    }
    Some(code)
}
