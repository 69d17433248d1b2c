//! The record that the operator's authority stands in the place of one that a user had put there and that is of no use. Pure.

use super::stored;
use crate::{
    cluster::{dereference::DereferencedObjects, secrets::ManagedSecret},
    pki::{Authority, Unusable},
};

/// The record about this authority of the operator.
pub(super) fn record(replacement: &Authority, why: &Unusable) -> String {
    format!("{} {why}", replacement.certificate.fingerprint)
}

/// The record on the Secret, whichever authority it is about.
pub(super) fn recorded(found: &DereferencedObjects) -> Option<&String> {
    let secret = found.secrets.get(&ManagedSecret::NodeAuthority)?;
    secret.authority_refused.as_ref().filter(|_| secret.ours)
}

/// Why the user's authority is of no use, where a record is about this authority: any other one ends the refusal.
pub(super) fn reason<'a>(record: &'a str, authority: Option<&Authority>) -> Option<&'a str> {
    let (fingerprint, why) = record.split_once(' ')?;
    let stands = authority?.certificate.fingerprint.to_string() == fingerprint;
    stands.then_some(why)
}

/// The same of the Secret that was read.
pub(in crate::cluster) fn refused(found: &DereferencedObjects) -> Option<String> {
    let record = recorded(found)?;
    reason(record, stored(&found.secrets).authority.as_ref()).map(str::to_owned)
}
