//! Addresses of a cluster's nodes.

use std::{
    fmt, io,
    net::Ipv6Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow};
use opensecureconf_contract::status::PeerProof;

use super::{Values, read_items};
use crate::{
    cluster::{AckLevel, MemberName},
    os::{line_file, regular_file},
};

/// The addresses of a cluster's nodes, and the file that may bring others.
#[derive(Debug, Clone)]
pub struct PeerList {
    /// The addresses at the start.
    pub now: Vec<PeerAddress>,
    /// Where they came from; watched.
    pub file: Option<PathBuf>,
}

/// The name of this node.
pub(super) fn node_id(values: &mut Values<'_>, port: u16) -> String {
    let given = values.text("CLUSTER_NODE_ID");
    let name = given.unwrap_or_else(|| format!("node-{port}"));
    if name.len() > MemberName::LONGEST {
        let fault = format!("is longer than {} bytes", MemberName::LONGEST);
        values.faults.add("OSC_CLUSTER_NODE_ID", &fault);
    }
    name
}

/// How nodes prove themselves to each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerProofPolicy {
    /// Whether the node accepts only signed messages: all nodes are of a release that signs.
    pub required: bool,
    /// Whether the cluster key itself may be shown over plain HTTP to a node that knows no proofs.
    pub key_in_clear: bool,
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

    /// Reads one address; `None` for any other text. Strict, since other nodes send addresses too: an address cut out of a text
    /// with a user, a path or a query would lead elsewhere than it seems.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.trim().rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed
                .strip_suffix(']')
                .filter(|address| address.parse::<Ipv6Addr>().is_ok())?,
            None => Some(host).filter(|host| is_name_or_ipv4(host))?,
        };
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self {
            host: host.to_owned(),
            port: port.parse().ok().filter(|port| digits && *port > 0)?,
        })
    }
}

/// The non-blank lines of a file, without a byte order mark.
fn read_lines(path: &Path) -> io::Result<String> {
    let unusable = |fault: String| io::Error::new(io::ErrorKind::InvalidData, fault);
    let bytes = regular_file::read_bounded(path)?;
    let items = line_file::items(&bytes).map_err(|fault| unusable(fault.to_string()))?;
    String::from_utf8(items.join(&b'\n')).map_err(|error| unusable(error.to_string()))
}

/// Letters, digits, hyphens, underscores and dots, 253 at most (RFC 1035, and the underscores that many networks use).
fn is_name_or_ipv4(host: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=253).contains(&host.len()) && host.bytes().all(fits) && !host.starts_with(['-', '.'])
}

/// How many nodes must hold a write before it is answered, by default.
pub(super) fn write_ack(values: &mut Values<'_>) -> AckLevel {
    let level = values.one_of("CLUSTER_WRITE_ACK", AckLevel::NAMES);
    level.unwrap_or_default()
}

/// How often this node asks each other node for its changes.
pub(super) fn sync_interval(values: &mut Values<'_>) -> Duration {
    let seconds = values.within("CLUSTER_SYNC_INTERVAL", "a number of seconds", 1..=86_400);
    Duration::from_secs(seconds.unwrap_or(1))
}

/// How nodes prove themselves to each other, as the settings say it.
pub(super) fn proof_policy(values: &mut Values<'_>) -> PeerProofPolicy {
    let words = [PeerProof::Accept, PeerProof::Require].map(|proof| (proof.text(), proof));
    let proof = values.one_of("PEER_PROOF", &words).unwrap_or_default();
    PeerProofPolicy {
        required: proof == PeerProof::Require,
        key_in_clear: values.boolean("PEER_KEY_IN_CLEAR"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_and_nothing_else() {
        for good in [
            "osc-0.osc-nodes:9000",
            "192.0.2.1:1",
            "[2001:db8::1]:65535",
            "my_host.example.:9000",
        ] {
            let parsed = PeerAddress::parse(good).map(|address| address.to_string());
            assert_eq!(parsed.as_deref(), Some(good));
        }
        for bad in [
            "",
            ":9000",
            "host",
            "host:",
            "host:0",
            "host:+1",
            "host:65536",
            "user@host:9000",
            "user:word@host:9000",
            "host/path:9000",
            "host:9000/path",
            "host?q:9000",
            "host#f:9000",
            "ho st:9000",
            "host:90 00",
            "ho\tst:9000",
            "[::1:9000",
            "::1:9000",
            "[host]:9000",
            "[::1%25eth0]:9000",
            "h\u{f6}st:9000",
            "http://host:9000",
            "host\\x:9000",
            "-host:9000",
            "..:9000",
        ] {
            assert_eq!(PeerAddress::parse(bad), None, "{bad}");
        }
    }
}
