//! The address of a shared database, from a Secret. Pure.

use std::fmt::Write;

use opensecureconf_contract::key_proof;
use sha2::{Digest, Sha256};

use crate::{
    cluster::{resource::DatabaseSpec, secrets::ObservedSecret, stalled::Stalled},
    node::AccessKey,
    pki::Certificate,
};

/// How an address begins.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// The port where none is named.
const PORT: &str = "5432";
/// The part of an address that switches the server's proof off.
const WITHOUT_TLS: &str = "sslmode=disable";
/// No other code under the cluster key is over a text that begins so.
const PURPOSE: &str = "opensecureconf.io/database";

/// The Secrets that a resource names, as they were read.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedSecrets<'a> {
    pub(super) database: Option<&'a ObservedSecret>,
    pub(super) authorities: Option<&'a ObservedSecret>,
    pub(super) migration: Option<&'a ObservedSecret>,
}

/// How a database is reached. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Addresses {
    /// By nodes.
    pub(super) nodes: String,
    /// By the step that makes the tables.
    pub(super) migration: String,
    /// The authorities of its certificate, as their Secret has them.
    authorities: Vec<u8>,
}

impl std::fmt::Debug for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Addresses { .. }")
    }
}

impl Addresses {
    /// Reads the address and the authorities.
    ///
    /// # Errors
    /// The Secret that a user has to change, and how.
    pub(super) fn read(database: &DatabaseSpec, found: NamedSecrets<'_>) -> Result<Self, Stalled> {
        let authorities = authorities(database, found.authorities)?;
        let is_verified = !authorities.is_empty();
        let read = |field, name: &str, secret| -> Result<String, Stalled> {
            let place = Place { field, name };
            let url = address(&place, secret)?;
            place.verified(&url, is_verified)?;
            Ok(url)
        };
        let name = &database.secret_ref.name;
        let nodes = read("database.secretRef", name, found.database)?;
        let migration = match &database.migration_secret_ref {
            None => nodes.clone(),
            Some(reference) => read(
                "database.migrationSecretRef",
                &reference.name,
                found.migration,
            )?,
        };
        Ok(Self {
            nodes,
            migration,
            authorities,
        })
    }

    /// A text that changes with the node's connection settings for the database, and reveals none of them.
    pub(super) fn fingerprint(&self, cluster_key: &AccessKey) -> Option<String> {
        let mut digest = Sha256::new();
        for part in [PURPOSE.as_bytes(), self.nodes.as_bytes(), &self.authorities] {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            digest.update(length.to_be_bytes());
            digest.update(part);
        }
        key_proof(&cluster_key.0, &digest.finalize().into())
    }
}

/// A field of the resource, and the Secret that it names.
struct Place<'a> {
    field: &'static str,
    name: &'a str,
}

impl Place<'_> {
    fn missing(&self) -> Stalled {
        let Self { field, name } = self;
        Stalled {
            reason: "DatabaseSecretMissing",
            message: format!(
                "Secret {name} does not exist ({field}); create it, or correct {field}"
            ),
        }
    }

    fn unusable(&self, problem: &str) -> Stalled {
        let Self { field, name } = self;
        Stalled {
            reason: "DatabaseSecretUnusable",
            message: format!(
                "Secret {name} ({field}) {problem}; correct that Secret, or name another one in {field}"
            ),
        }
    }

    /// A node starts without neither.
    fn verified(&self, url: &str, is_verified: bool) -> Result<(), Stalled> {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        if is_verified || query.split('&').any(|given| given == WITHOUT_TLS) {
            return Ok(());
        }
        Err(self.unusable(&format!(
            "has an address over TLS, and database.caSecretRef is missing: it names the authorities of the server's certificate \
             ({WITHOUT_TLS} in the address is for a pooler that encrypts by itself)"
        )))
    }
}

/// The authorities of its certificate; empty where none are named.
fn authorities(
    database: &DatabaseSpec,
    found: Option<&ObservedSecret>,
) -> Result<Vec<u8>, Stalled> {
    let Some(reference) = &database.ca_secret_ref else {
        return Ok(Vec::new());
    };
    let place = Place {
        field: "database.caSecretRef",
        name: &reference.name,
    };
    let secret = found.ok_or_else(|| place.missing())?;
    let key = &reference.key;
    let text = secret.entries.get(key);
    let text = text.ok_or_else(|| place.unusable(&format!("has no entry '{key}'")))?;
    if Certificate::read_all(text).is_empty() {
        return Err(place.unusable(&format!("has no certificate in PEM under '{key}'")));
    }
    Ok(text.clone())
}

/// The address that a Secret has under `uri`, else made of its parts.
fn address(place: &Place<'_>, secret: Option<&ObservedSecret>) -> Result<String, Stalled> {
    let secret = secret.ok_or_else(|| place.missing())?;
    let entry = |name: &str| {
        let text = secret.text(name)?.trim();
        (!text.is_empty()).then_some(text)
    };
    if let Some(uri) = entry("uri") {
        if !SCHEMES.iter().any(|scheme| uri.starts_with(scheme)) {
            return Err(place.unusable(
                "has an entry 'uri' that does not begin with postgres:// or postgresql://",
            ));
        }
        if uri.chars().any(char::is_whitespace) {
            return Err(place.unusable("has an entry 'uri' with white space in it"));
        }
        return Ok(uri.to_owned());
    }
    let user = entry("user").or_else(|| entry("username"));
    let parts = [
        ("host", entry("host")),
        ("dbname", entry("dbname")),
        ("user", user),
        ("password", entry("password")),
    ];
    let [Some(host), Some(database), Some(user), Some(password)] = parts.map(|(_, part)| part)
    else {
        let missing: Vec<_> = parts
            .iter()
            .filter(|(_, part)| part.is_none())
            .map(|(name, _)| *name)
            .collect();
        return Err(place.unusable(&format!(
            "has no entry 'uri', and lacks {}; without it host, dbname, user and password are needed (port is {PORT} where it is missing)",
            missing.join(", ")
        )));
    };
    let port = entry("port").unwrap_or(PORT);
    if port.parse::<u16>().is_err() {
        return Err(place.unusable("has an entry 'port' that is no port"));
    }
    // An address of IPv6 stands between brackets.
    let host = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let [user, password, database] = [user, password, database].map(encoded);
    let query = entry("sslmode").map_or_else(String::new, |mode| format!("?sslmode={mode}"));
    Ok(format!(
        "postgresql://{user}:{password}@{host}:{port}/{database}{query}"
    ))
}

/// As it may stand in any part of an address.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String never fails.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::{Workload, resource::prod, validate::validate};

    fn secret(entries: &[(&str, &str)]) -> ObservedSecret {
        let entries: serde_json::Map<_, _> = entries
            .iter()
            .map(|(name, text)| ((*name).to_owned(), json!(text)))
            .collect();
        let text = json!({ "stringData": entries });
        let mut secret: k8s_openapi::api::core::v1::Secret = serde_json::from_value(text).unwrap();
        let data = secret.string_data.take().into_iter().flatten();
        secret.data = Some(
            data.map(|(name, text)| (name, k8s_openapi::ByteString(text.into_bytes())))
                .collect(),
        );
        ObservedSecret::read(secret, true, "uid")
    }

    fn read(spec: &str, found: NamedSecrets<'_>) -> Result<Addresses, Stalled> {
        let cluster = validate(
            &prod(&format!("{{mode: Shared, database: {spec}}}")),
            "node:1",
        )
        .unwrap();
        let Workload::Deployment(database) = cluster.workload() else {
            panic!("it is shared");
        };
        Addresses::read(database, found)
    }

    fn of(entries: &[(&str, &str)]) -> Result<String, Stalled> {
        let secret = secret(entries);
        let found = NamedSecrets {
            database: Some(&secret),
            authorities: None,
            migration: None,
        };
        read("{secretRef: {name: app}}", found).map(|addresses| addresses.nodes)
    }

    #[test]
    fn what_cloudnative_pg_writes_is_taken_as_it_is() {
        let uri = "postgresql://app:p%40ss@pg-rw.shop:5432/app?sslmode=disable";
        let all = [
            ("uri", uri),
            ("host", "pg-rw"),
            ("dbname", "app"),
            ("user", "app"),
            ("username", "app"),
            ("password", "p@ss"),
            ("port", "5432"),
        ];
        assert_eq!(of(&all).unwrap(), uri);
    }

    #[test]
    fn an_address_is_made_of_its_parts_whatever_is_in_the_password() {
        let parts = [
            ("host", "db.example"),
            ("dbname", "config"),
            ("user", "osc@tenant"),
            ("password", "a/b:c?d#e f%\n"),
            ("sslmode", "disable"),
        ];
        assert_eq!(
            of(&parts).unwrap(),
            "postgresql://osc%40tenant:a%2Fb%3Ac%3Fd%23e%20f%25@db.example:5432/config?sslmode=disable"
        );
        let six = [
            ("host", "fd00::1"),
            ("port", "6432"),
            ("dbname", "c"),
            ("username", "u"),
            ("password", "p"),
            ("sslmode", "disable"),
        ];
        assert_eq!(
            of(&six).unwrap(),
            "postgresql://u:p@[fd00::1]:6432/c?sslmode=disable"
        );
    }

    #[test]
    fn what_is_missing_is_named_and_the_password_never_is() {
        let told = |entries: &[(&str, &str)]| of(entries).unwrap_err().message;
        let lacks = told(&[("host", "db"), ("password", "s3cret")]);
        assert!(lacks.contains("lacks dbname, user;"), "{lacks}");
        for text in [
            told(&[("uri", "mysql://u:s3cret@db/c")]),
            told(&[("uri", "postgres://u:s3 cret@db/c")]),
            told(&[("uri", "postgres://u:s3cret@db/c")]),
            lacks,
        ] {
            assert!(!text.contains("s3"), "{text}");
        }
    }

    #[test]
    fn a_server_that_does_not_prove_itself_is_asked_for_by_name() {
        let refused = of(&[("uri", "postgres://u:p@db/c")]).unwrap_err();
        assert_eq!(refused.reason, "DatabaseSecretUnusable");
        assert!(refused.message.contains("database.caSecretRef"));
        let database = secret(&[("uri", "postgres://u:p@db/c")]);
        let (none, empty) = (None, secret(&[("ca.crt", "nothing")]));
        for (authorities, reason) in [
            (none, "DatabaseSecretMissing"),
            (Some(&empty), "DatabaseSecretUnusable"),
        ] {
            let found = NamedSecrets {
                database: Some(&database),
                authorities,
                migration: None,
            };
            let spec = "{secretRef: {name: app}, caSecretRef: {name: ca}}";
            let refused = read(spec, found).unwrap_err();
            assert_eq!(refused.reason, reason);
            assert!(refused.message.contains("Secret ca "), "{refused:?}");
        }
    }

    #[test]
    fn tables_are_made_by_another_role_where_one_is_named() {
        let [node, owner] = ["node", "owner"]
            .map(|user| secret(&[("uri", &format!("postgres://{user}@db/c?sslmode=disable"))]));
        let spec = "{secretRef: {name: node}, migrationSecretRef: {name: owner}}";
        let found = NamedSecrets {
            database: Some(&node),
            authorities: None,
            migration: Some(&owner),
        };
        let addresses = read(spec, found).unwrap();
        assert!(addresses.nodes.contains("//node@"));
        assert!(addresses.migration.contains("//owner@"));
        let missing = NamedSecrets {
            migration: None,
            ..found
        };
        let refused = read(spec, missing).unwrap_err();
        assert!(refused.message.contains("database.migrationSecretRef"));
        assert!(!format!("{addresses:?}").contains("owner"));
    }

    #[test]
    fn the_fingerprint_follows_what_nodes_read_at_their_start() {
        let key = AccessKey(b"0123456789".to_vec());
        let of = |nodes: &str, migration: &str| {
            let addresses = Addresses {
                nodes: nodes.to_owned(),
                migration: migration.to_owned(),
                authorities: Vec::new(),
            };
            addresses.fingerprint(&key).unwrap()
        };
        assert_eq!(of("a", "x"), of("a", "y"));
        assert_ne!(of("a", "x"), of("b", "x"));
    }
}
