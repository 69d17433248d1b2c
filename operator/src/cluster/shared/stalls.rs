//! Each way in which a shared database makes a cluster stand still, for tests of the status.

use k8s_openapi::{ByteString, api::core::v1::Secret};

use super::{
    address::{Addresses, NamedSecrets},
    converge, salt,
};
use crate::cluster::{
    resource::{DatabaseSpec, OpenSecureConfCluster, prod},
    salt::RestoreBlocked,
    secrets::ObservedSecret,
    stalled::Stalled,
    validate::{ValidatedCluster, validate},
};

fn resource() -> OpenSecureConfCluster {
    prod("{mode: Shared, database: {secretRef: {name: pg-app}, caSecretRef: {name: pg-ca}}}")
}

fn database() -> DatabaseSpec {
    resource().spec.database.unwrap()
}

fn cluster() -> ValidatedCluster {
    let mut cluster = resource();
    cluster.metadata.namespace = Some("shop".to_owned());
    validate(&cluster, "node:1").unwrap()
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
    let lost = [
        RestoreBlocked::Nowhere,
        RestoreBlocked::Asleep,
        RestoreBlocked::Silent(Vec::new()),
        RestoreBlocked::Disputed(Vec::new()),
    ];
    let of_database = [
        read(&unverified, None, None),
        read(&database(), Some(&tls), None),
        read(&database(), Some(&tls), Some(&authorities)),
        read(&database(), Some(&tls), Some(&empty)),
        read(&unverified, Some(&tls), None),
        read(&unverified, Some(&other), None),
        read(&unverified, Some(&spaced), None),
        read(&unverified, Some(&empty), None),
    ];
    let lost = lost.map(|why| salt::missing(&cluster(), &why));
    let taken = converge::taken(&cluster());
    of_database.into_iter().chain(lost).chain([taken]).collect()
}
