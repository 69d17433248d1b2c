//! Each way in which a shared database makes a cluster stand still, for tests of the status.

use k8s_openapi::{ByteString, api::core::v1::Secret};

use super::address::{Addresses, NamedSecrets};
use crate::cluster::{
    resource::{DatabaseSpec, prod},
    secrets::ObservedSecret,
    stalled::Stalled,
};

fn database() -> DatabaseSpec {
    let spec = "{mode: Shared, database: {secretRef: {name: pg-app}, caSecretRef: {name: pg-ca}}}";
    prod(spec).spec.database.unwrap()
}

fn secret(entry: &str, text: &str) -> ObservedSecret {
    let secret = Secret {
        data: Some([(entry.to_owned(), ByteString(text.into()))].into()),
        ..Secret::default()
    };
    ObservedSecret::read(secret, false, "uid")
}

/// All of them, as the operator reports them.
pub(in crate::cluster) fn all() -> Vec<Stalled> {
    let unverified = DatabaseSpec {
        ca_secret_ref: None,
        ..database()
    };
    let [tls, other, spaced, empty] = [
        "postgres://u:p@db/c",
        "mysql://u:p@db/c",
        "postgres://u: p@db/c",
        "",
    ]
    .map(|uri| secret("uri", uri));
    let authorities = secret("ca.crt", "no certificate");
    let read = |database: &DatabaseSpec, url, authorities| {
        let found = NamedSecrets {
            database: url,
            authorities,
            migration: None,
        };
        Addresses::read(database, found).unwrap_err()
    };
    [
        read(&unverified, None, None),
        read(&database(), Some(&tls), None),
        read(&database(), Some(&tls), Some(&authorities)),
        read(&database(), Some(&tls), Some(&empty)),
        read(&unverified, Some(&tls), None),
        read(&unverified, Some(&other), None),
        read(&unverified, Some(&spaced), None),
        read(&unverified, Some(&empty), None),
    ]
    .into()
}
