//! Since when clients and scrapers can read the newest authority: in ConfigMap `NAME-ca`, as it was read. Pure.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    cluster::{
        dereference::DereferencedObjects, resource::TlsMode, secrets::ManagedSecret,
        validate::ValidatedCluster,
    },
    names::{AUTHORITIES_ENTRY, NODE_AUTHORITIES_ENTRY},
    pki::{Authority, Certificate, StoredPki},
};

/// The time at which the operator first saw it there; `None` while it is not there, and where no authority is exchanged.
pub(super) fn shown(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    pki: &StoredPki,
    now: Timestamp,
) -> Option<Timestamp> {
    let (newest, _) = pki.authority.as_ref().zip(pki.previous.as_ref())?;
    // A time to come was recorded while the clock was ahead.
    let recorded = recorded(found).filter(|recorded| *recorded <= now);
    is_shown(cluster, found, newest).then(|| recorded.unwrap_or(now))
}

/// The same as the nodes' Secret records it.
pub(super) fn recorded(found: &DereferencedObjects) -> Option<Timestamp> {
    let secret = found.secrets.get(&ManagedSecret::NodeTls);
    secret.and_then(|secret| secret.authority_shown)
}

fn is_shown(cluster: &ValidatedCluster, found: &DereferencedObjects, newest: &Authority) -> bool {
    let Some(map) = found.child("ConfigMap", &cluster.name.ca()) else {
        return false;
    };
    // While nothing changes its content is not kept: it is as it is wanted.
    let Some(live) = &map.live else {
        return true;
    };
    let entries: &[_] = match cluster.spec.tls.mode {
        TlsMode::Auto => &[NODE_AUTHORITIES_ENTRY, AUTHORITIES_ENTRY],
        TlsMode::Secret | TlsMode::Issuer | TlsMode::Disabled => &[NODE_AUTHORITIES_ENTRY],
    };
    entries.iter().all(|entry| {
        let text = live.object.pointer(&format!("/data/{entry}"));
        let text = text.and_then(Value::as_str).unwrap_or_default();
        Certificate::read_all(text.as_bytes()).contains(&newest.certificate)
    })
}
