//! A database that nodes share, instead of one for each node.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use opensecureconf_contract::setting;
use zeroize::Zeroizing;

use super::{SETTINGS, Values};
use crate::{
    os::{line_file, regular_file},
    store::postgres::DatabaseUrl,
};

/// Settings of replicating nodes: beside a shared database no node would keep their promises.
const OF_REPLICATING_NODES: [&str; 7] = [
    setting::CLUSTER_ENABLED.name,
    setting::CLUSTER_MODE.name,
    "CLUSTER_NODES",
    setting::CLUSTER_NODES_FILE.name,
    setting::CLUSTER_SYNC_INTERVAL.name,
    setting::CLUSTER_WRITE_ACK.name,
    "PEER_KEY_IN_CLEAR",
];

/// The address of a shared database, and the cluster to which its store belongs.
#[derive(Debug, Clone)]
pub struct SharedDatabase {
    /// Its address, with user and password.
    pub url: DatabaseUrl,
    /// The file with the address, where no other setting has it.
    pub url_file: Option<PathBuf>,
    /// The authorities for the server's certificate, PEM; `None` only where the node connects without TLS.
    pub authorities: Option<PathBuf>,
    /// How long one request may wait for the database in all.
    pub timeout: Duration,
    /// Connections for reading, and as many for writing.
    pub connections: usize,
    /// The cluster to which the store must belong; empty where none is named.
    pub cluster: String,
}

impl SharedDatabase {
    /// The files with the address and its authorities, which may change while the node runs.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let files = self.url_file.iter().chain(&self.authorities);
        files.cloned().collect()
    }

    /// The same as its file names it now.
    ///
    /// # Errors
    /// In words, where the file cannot be read, or names no database that these settings can reach.
    pub(crate) fn read_again(&self) -> Result<Self, String> {
        let Some(file) = &self.url_file else {
            return Ok(self.clone());
        };
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let text = read_url(file).map_err(|error| told(&error))?;
        let url = text.parse::<DatabaseUrl>().map_err(|error| told(&error))?;
        if url.is_verified() && self.authorities.is_none() {
            return Err(told(&"it needs OSC_DATABASE_CA_FILE to verify the server"));
        }
        Ok(Self {
            url,
            ..self.clone()
        })
    }
}

/// The database that the settings name; `None` where the node has its own.
pub(super) fn database(values: &mut Values<'_>) -> Option<SharedDatabase> {
    let (timeout, connections) = (setting::DATABASE_TIMEOUT, setting::DATABASE_CONNECTIONS);
    let seconds = values.within(timeout.name, "a number of seconds", 1..=60);
    let connections = values.within(connections.name, "a number of connections", 2..=1000);
    let file = |name| values.text(name).map(PathBuf::from);
    let authorities = file(setting::DATABASE_CA_FILE.name);
    let url_file = file(setting::DATABASE_URL_FILE.name);
    let (variable, text) = url(values, url_file.as_deref())?;
    refuse_peers(values, variable);
    let url = match text.parse::<DatabaseUrl>() {
        Ok(url) => url,
        Err(error) => {
            let fault = format!("cannot be used: {error}");
            values.faults.add(variable, &fault);
            return None;
        }
    };
    if url.is_verified() && authorities.is_none() {
        let fault = format!(
            "is missing: {variable} needs it to verify the server (sslmode=disable is for a pooler on the same machine)"
        );
        let authorities = setting::DATABASE_CA_FILE.variable;
        values.faults.add(authorities, &fault);
    }
    let salt = setting::SALT_SECRET_FILE;
    if values.text(salt.name).is_none() {
        let fault =
            format!("is missing: {variable} needs the one salt of the store, which no node makes");
        values.faults.add(salt.variable, &fault);
    }
    Some(SharedDatabase {
        url,
        url_file,
        authorities,
        timeout: Duration::from_secs(seconds.unwrap_or(5)),
        connections: connections.unwrap_or(8),
        cluster: values.text(setting::CLUSTER_ID.name).unwrap_or_default(),
    })
}

/// The setting that names the database, and its value.
fn url(values: &mut Values<'_>, file: Option<&Path>) -> Option<(&'static str, Zeroizing<String>)> {
    const GIVEN: &str = setting::DATABASE_URL.variable;
    const FILE: &str = setting::DATABASE_URL_FILE.variable;
    let given = values.text(setting::DATABASE_URL.name);
    let given = given.map(Zeroizing::new);
    match (given, file) {
        (Some(_), Some(_)) => {
            let fault = format!("and {FILE} are both set; keep one");
            values.faults.add(GIVEN, &fault);
            None
        }
        (Some(url), None) => Some((GIVEN, url)),
        (None, Some(file)) => match read_url(file) {
            Ok(url) => Some((FILE, url)),
            Err(error) => {
                let fault = format!("cannot be read ({}): {error}", file.display());
                values.faults.add(FILE, &fault);
                None
            }
        },
        (None, None) => None,
    }
}

/// The one line of a file.
fn read_url(path: &Path) -> io::Result<Zeroizing<String>> {
    let unusable = |fault: String| io::Error::new(io::ErrorKind::InvalidData, fault);
    let bytes = Zeroizing::new(regular_file::read_bounded(path)?);
    let lines = line_file::items(&bytes).map_err(|fault| unusable(fault.to_string()))?;
    let [line] = lines.as_slice() else {
        return Err(unusable(format!(
            "it must hold one line, and has {}",
            lines.len()
        )));
    };
    let text = std::str::from_utf8(line).map_err(|error| unusable(error.to_string()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Refuses settings that only replicating nodes have.
fn refuse_peers(values: &mut Values<'_>, variable: &str) {
    for name in OF_REPLICATING_NODES {
        let known = SETTINGS.iter().find(|setting| setting.name == name);
        let default = known.and_then(|setting| setting.default);
        let is_set = values
            .text(name)
            .is_some_and(|text| default.is_none_or(|default| !default.eq_ignore_ascii_case(&text)));
        if is_set {
            let fault = format!(
                "has no meaning beside {variable}: nodes that share a database have no peers; unset it"
            );
            values.faults.add(&format!("OSC_{name}"), &fault);
        }
    }
}
