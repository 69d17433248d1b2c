//! Which access keys the settings name.

use std::{net::IpAddr, path::PathBuf};

use zeroize::Zeroizing;

use super::{Values, settings::DEFAULT_API_KEY};
use crate::access::{AccessKeys, Lengths};

/// The API keys of a node that requires one.
pub(super) fn api_keys(values: &mut Values<'_>) -> AccessKeys {
    // The default is there for contract's sake; where a file is given it does not contradict it.
    let given = values.text("API_KEY").filter(|key| key != DEFAULT_API_KEY);
    let previous = values.text("API_KEY_PREVIOUS_FILE").map(PathBuf::from);
    if previous.is_some() && values.text("API_KEY_FILE").is_none() {
        values.faults.add(
            "OSC_API_KEY_PREVIOUS_FILE",
            "needs OSC_API_KEY_FILE, which holds the keys that stay",
        );
    }
    keys(values, "API_KEY", given, previous, Lengths::API_KEY).unwrap_or_else(|| {
        values.faults.add(
            "OSC_API_KEY",
            "is missing: OSC_API_KEY_REQUIRED=true needs a key of your own: set OSC_API_KEY_FILE or OSC_API_KEY (the well-known default is refused)",
        );
        AccessKeys::none(Lengths::API_KEY)
    })
}

/// Warnings about keys that are set, although this node requires no API key.
pub(super) fn unrequired(values: &Values<'_>, host: IpAddr) -> Vec<String> {
    let mut lines = Vec::new();
    if values
        .text("API_KEY")
        .is_some_and(|key| key != DEFAULT_API_KEY)
    {
        lines.push(
            "OSC_API_KEY is set and OSC_API_KEY_REQUIRED is not: no client has to show a key; set OSC_API_KEY_REQUIRED=true"
                .to_owned(),
        );
    }
    if !host.to_canonical().is_loopback() {
        lines.push(format!(
            "OSC_HOST is {host} and OSC_API_KEY_REQUIRED is not set: a client that reaches this node needs no API key; set \
             OSC_API_KEY_REQUIRED=true and a key"
        ));
    }
    lines
}

/// The keys that nodes and operators show; `None` where none is set.
pub(super) fn cluster_keys(values: &mut Values<'_>, required: bool) -> Option<AccessKeys> {
    let given = values.text("CLUSTER_KEY");
    let keys = keys(values, "CLUSTER_KEY", given, None, Lengths::CLUSTER_KEY);
    if required && keys.is_none() {
        values.faults.add(
            "OSC_CLUSTER_KEY",
            "is missing: OSC_CLUSTER_ENABLED=true needs a cluster key: set OSC_CLUSTER_KEY_FILE or OSC_CLUSTER_KEY",
        );
    }
    keys
}

fn keys(
    values: &mut Values<'_>,
    name: &str,
    given: Option<String>,
    previous: Option<PathBuf>,
    lengths: Lengths,
) -> Option<AccessKeys> {
    let file = values.text(&format!("{name}_FILE")).map(PathBuf::from);
    let (variable, file_variable) = (format!("OSC_{name}"), format!("OSC_{name}_FILE"));
    let (variable, accepted) = match (given, file) {
        (Some(_), Some(_)) => {
            let fault = format!("and {file_variable} are both set; keep one");
            values.faults.add(&variable, &fault);
            return Some(AccessKeys::none(lengths));
        }
        (Some(key), None) => {
            let key = Zeroizing::new(key);
            (variable, AccessKeys::given(key.as_bytes(), lengths))
        }
        (None, Some(file)) => (file_variable, AccessKeys::of_files(file, previous, lengths)),
        (None, None) => return None,
    };
    Some(accepted.unwrap_or_else(|error| {
        values.faults.add(&variable, &error.to_string());
        AccessKeys::none(lengths)
    }))
}
