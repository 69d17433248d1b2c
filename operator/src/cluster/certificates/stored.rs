//! Authority and leaf as they stand in the Secrets. Pure.

use crate::{
    cluster::secrets::{ManagedSecret, ObservedSecrets},
    pki::{StoredPki, from_entries},
};

/// The stored certificates, as far as they are this cluster's.
pub(in crate::cluster) fn stored(secrets: &ObservedSecrets) -> StoredPki {
    let entries = |which| {
        let secret = secrets.get(&which).filter(|secret| secret.ours)?;
        Some(&secret.entries)
    };
    from_entries(
        entries(ManagedSecret::NodeAuthority),
        entries(ManagedSecret::NodeTls),
    )
}
