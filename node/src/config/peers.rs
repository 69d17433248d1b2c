//! Addresses of a cluster's nodes.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};

use super::{Values, line_file, read_items};

/// The addresses of a cluster's nodes, and the file that may bring others.
#[derive(Debug, Clone)]
pub struct PeerList {
    /// The addresses at the start.
    pub now: Vec<PeerAddress>,
    /// Where they came from; watched.
    pub file: Option<PathBuf>,
}

/// Where a node can be reached: `host:port`, `192.0.2.1:9000` or `[2001:db8::1]:9000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddress {
    /// Name or IP address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl PeerAddress {
    /// Reads a file with one address per line.
    pub fn read_file(path: &Path) -> anyhow::Result<Vec<Self>> {
        let text = read_lines(path)
            .with_context(|| format!("cannot read the peer list {}", path.display()))?;
        let path = path.display();
        let list = read_items(text.lines(), Self::parse)
            .map_err(|bad| anyhow!("{path} must list host:port, not {bad}"))?;
        anyhow::ensure!(!list.is_empty(), "{path} names no node");
        Ok(list)
    }

    /// Reads one address; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.trim().rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']')?,
            None => Some(host).filter(|host| !host.contains([':', '/']))?,
        };
        (!host.is_empty()).then_some(Self {
            host: host.to_owned(),
            port: port.parse().ok()?,
        })
    }
}

/// A file's lines that are no blank ones, below a byte order mark.
fn read_lines(path: &Path) -> io::Result<String> {
    let unusable = |fault: String| io::Error::new(io::ErrorKind::InvalidData, fault);
    let bytes = fs::read(path)?;
    let items = line_file::items(&bytes).map_err(|fault| unusable(fault.to_string()))?;
    String::from_utf8(items.join(&b'\n')).map_err(|error| unusable(error.to_string()))
}

/// The addresses of the setting or the file; exactly one of both must be given.
pub(super) fn list(values: &mut Values<'_>) -> PeerList {
    PeerList {
        now: addresses(values),
        file: values.text("CLUSTER_NODES_FILE").map(PathBuf::from),
    }
}

fn addresses(values: &mut Values<'_>) -> Vec<PeerAddress> {
    let (list, file) = (
        values.text("CLUSTER_NODES"),
        values.text("CLUSTER_NODES_FILE"),
    );
    let (variable, list) = match (list, file) {
        (Some(_), Some(_)) => {
            values.faults.add(
                "OSC_CLUSTER_NODES",
                "and OSC_CLUSTER_NODES_FILE are both set; keep one",
            );
            return Vec::new();
        }
        (None, None) => {
            values.faults.add(
                "OSC_CLUSTER_NODES",
                "is missing: OSC_CLUSTER_ENABLED=true needs it or OSC_CLUSTER_NODES_FILE",
            );
            return Vec::new();
        }
        (Some(list), None) => ("OSC_CLUSTER_NODES", list.replace(',', "\n")),
        (None, Some(path)) => match read_lines(Path::new(&path)) {
            Ok(text) => ("OSC_CLUSTER_NODES_FILE", text),
            Err(error) => {
                values.faults.add(
                    "OSC_CLUSTER_NODES_FILE",
                    &format!("cannot be read ({path}): {error}"),
                );
                return Vec::new();
            }
        },
    };
    if list.trim_matches(char::is_whitespace).is_empty() {
        values.faults.add(
            variable,
            "names no node; a cluster of one lists this node itself",
        );
    }
    values.items(variable, "list host:port", list.lines(), PeerAddress::parse)
}
