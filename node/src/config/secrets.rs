//! Access keys: from a setting or a file, kept as digests, compared in constant time.

use std::{fmt, fs};

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::{Values, settings::DEFAULT_API_KEY};

/// The SHA-256 of a key, so that a comparison tells nothing of its length.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey([u8; 32]);

impl AccessKey {
    /// The digest of a key as it is sent.
    pub fn new(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey(***)")
    }
}

/// Keys of one kind, all of them accepted.
#[derive(Debug, Clone)]
pub struct AccessKeys(Vec<AccessKey>);

impl AccessKeys {
    /// Whether the presented key is one of these; takes the same time whichever it is.
    pub fn accept(&self, presented: &[u8]) -> bool {
        let presented = AccessKey::new(presented);
        let none = Choice::from(0);
        self.0
            .iter()
            .fold(none, |found, key| found | key.0.ct_eq(&presented.0))
            .into()
    }

    /// Whether any key is in both.
    pub fn shares_a_key_with(&self, other: &Self) -> bool {
        self.0.iter().any(|key| other.0.contains(key))
    }
}

/// The API keys of a node that requires one.
pub(super) fn api_keys(values: &mut Values<'_>) -> AccessKeys {
    // The default is there for contract's sake; where a file is given it does not contradict it.
    let given = values.text("API_KEY").filter(|key| key != DEFAULT_API_KEY);
    keys(
        values,
        "API_KEY",
        given,
        "OSC_API_KEY_REQUIRED=true needs a key of your own: set OSC_API_KEY_FILE or OSC_API_KEY (the well-known default is refused)",
    )
}

/// The keys that nodes of a cluster show each other.
pub(super) fn cluster_keys(values: &mut Values<'_>) -> AccessKeys {
    let given = values.text("CLUSTER_KEY");
    keys(
        values,
        "CLUSTER_KEY",
        given,
        "OSC_CLUSTER_ENABLED=true needs a cluster key: set OSC_CLUSTER_KEY_FILE or OSC_CLUSTER_KEY",
    )
}

fn keys(values: &mut Values<'_>, name: &str, given: Option<String>, missing: &str) -> AccessKeys {
    let file = values.text(&format!("{name}_FILE"));
    let (variable, file_variable) = (format!("OSC_{name}"), format!("OSC_{name}_FILE"));
    let lines = match (given, file) {
        (Some(_), Some(_)) => {
            values.faults.add(
                &variable,
                &format!("and {file_variable} are both set; keep one"),
            );
            Vec::new()
        }
        (Some(key), None) => vec![key],
        (None, None) => {
            values
                .faults
                .add(&variable, &format!("is missing: {missing}"));
            Vec::new()
        }
        (None, Some(path)) => match fs::read_to_string(&path) {
            Err(error) => {
                values
                    .faults
                    .add(&file_variable, &format!("cannot be read ({path}): {error}"));
                Vec::new()
            }
            Ok(text) => {
                let lines: Vec<_> = text
                    .lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty())
                    .map(str::to_owned)
                    .collect();
                if lines.is_empty() {
                    values
                        .faults
                        .add(&file_variable, &format!("holds no key ({path})"));
                }
                if lines.iter().any(|line| line == DEFAULT_API_KEY) {
                    values.faults.add(
                        &file_variable,
                        "holds the well-known default key; make one of your own",
                    );
                }
                lines
            }
        },
    };
    AccessKeys(
        lines
            .iter()
            .map(|line| AccessKey::new(line.as_bytes()))
            .collect(),
    )
}
