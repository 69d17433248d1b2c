//! The files of node processes: the API keys that they accept, the certificate that they show, and the certificates that they
//! accept.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use opensecureconf_contract::{
    key_proof,
    status::{ClientCertificate, NodeCertificates, NodeTls},
};
use opensecureconf_operator::{
    names::{
        API_KEY_ENTRY, AUTHORITIES_ENTRY, CERTIFICATE_ENTRY, CLUSTER_KEY_ENTRY, PRIVATE_KEY_ENTRY,
        previous_entry,
    },
    node::Caller,
    pki::{Certificate, Leaf},
};
use sha2::{Digest, Sha256};

use crate::{
    kubernetes::{
        files::Entries,
        names::{API_KEY, CLUSTER_KEY, NODE_TLS},
    },
    stage::Stage,
    world::NodeId,
};

/// How often a process reads its files, in milliseconds.
const EVERY: u64 = 2000;
/// The probability that a process reads one of two files before they change and the other after that.
const TORN: f64 = 0.3;

/// The files in force in a process.
#[derive(Debug, Clone, Default)]
pub(crate) struct InForce {
    /// Which process of its node it is.
    life: u64,
    pub(crate) api_keys: BTreeSet<Vec<u8>>,
    cluster_key: Vec<u8>,
    pub(crate) leaf: Option<Certificate>,
    pub(crate) authorities: Vec<Certificate>,
    /// Why the certificates on its disk are not in force.
    error: Option<String>,
    /// When it reads files that have changed.
    reads: Option<Duration>,
}

impl InForce {
    fn read(&mut self, keys: &Entries, cluster_key: &Entries, tls: &Entries) {
        let accepted = accepted_keys(keys, keys);
        // A useless file leaves the keys in force.
        if !accepted.is_empty() {
            self.api_keys = accepted;
        }
        if let Some(key) = lines(cluster_key, CLUSTER_KEY_ENTRY).into_iter().next() {
            self.cluster_key = key;
        }
        match certificates(tls) {
            Some((leaf, authorities)) => {
                (self.leaf, self.authorities) = (Some(leaf), authorities);
                self.error = None;
            }
            None => self.error = Some("the files do not fit together".to_owned()),
        }
        self.reads = None;
    }

    /// Its proofs of the API keys that it accepts.
    pub(crate) fn proofs(&self) -> Vec<String> {
        let proofs = self.api_keys.iter();
        let proofs =
            proofs.filter_map(|key| key_proof(&self.cluster_key, &Sha256::digest(key).into()));
        proofs.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Its report on its certificates.
    pub(crate) fn tls(&self) -> NodeTls {
        let leaf = self.leaf.as_ref();
        let shown = leaf.map(|leaf| leaf.fingerprint.to_string());
        let ends = leaf.map(|leaf| leaf.ends.to_string());
        let accepted = self.authorities.iter();
        let accepted = accepted.map(|authority| authority.fingerprint.to_string());
        NodeTls {
            node: Some(NodeCertificates {
                leaf: shown.clone(),
                leaf_ends: ends.clone(),
                authorities: leaf.map(|_| accepted.collect()),
                error: self.error.clone(),
            }),
            clients: Some(ClientCertificate {
                open: leaf.is_some(),
                leaf: shown,
                leaf_ends: ends,
                error: self.error.clone(),
            }),
        }
    }

    /// Whether its certificate has ended, or has not begun.
    pub(crate) fn has_ended(&self, now: Timestamp) -> bool {
        let leaf = self.leaf.as_ref();
        leaf.is_none_or(|leaf| now > leaf.ends || now < leaf.begins)
    }

    fn accepts(&self, other: &Certificate) -> bool {
        let mut authorities = self.authorities.iter();
        authorities.any(|authority| other.is_signed_by(authority))
    }

    /// Whether a connection between two nodes comes about.
    pub(crate) fn fits(&self, other: &Self, now: Timestamp) -> bool {
        let accepts = |one: &Self, other: &Self| {
            let leaf = other.leaf.as_ref();
            leaf.is_some_and(|leaf| one.accepts(leaf))
        };
        let has_ended = self.has_ended(now) || other.has_ended(now);
        !has_ended && accepts(self, other) && accepts(other, self)
    }

    /// Whether an operator's certificate and this node's fit together.
    fn fits_operator(&self, caller: &Caller, now: Timestamp) -> bool {
        let is_accepted = caller.signer.as_ref().is_some_and(|signer| {
            // The operator's own certificate ends with its authority at the latest.
            signer.ends > now && self.authorities.contains(signer)
        });
        let accepts = self.leaf.as_ref().is_some_and(|leaf| {
            let mut accepted = caller.accepts.iter();
            accepted.any(|authority| leaf.is_signed_by(authority))
        });
        is_accepted && accepts && !self.has_ended(now)
    }
}

/// The keys in the file of the API key and in that of the previous keys, which a process reads one after the other.
fn accepted_keys(current: &Entries, previous: &Entries) -> BTreeSet<Vec<u8>> {
    let current = lines(current, API_KEY_ENTRY);
    if current.is_empty() {
        return BTreeSet::new();
    }
    let previous = lines(previous, &previous_entry(API_KEY_ENTRY));
    current.into_iter().chain(previous).collect()
}

/// The non-empty lines of a file.
pub(crate) fn lines(entries: &Entries, name: &str) -> Vec<Vec<u8>> {
    let text = entries.get(name).map(Vec::as_slice).unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.filter(|line| !line.is_empty());
    lines.map(<[u8]>::to_vec).collect()
}

/// A leaf that has its key, and the authorities beside it.
pub(crate) fn certificates(tls: &Entries) -> Option<(Certificate, Vec<Certificate>)> {
    let key = std::str::from_utf8(tls.get(PRIVATE_KEY_ENTRY)?).ok()?;
    let leaf = Leaf::read(tls.get(CERTIFICATE_ENTRY)?, key)?.certificate;
    let authorities = Certificate::read_all(tls.get(AUTHORITIES_ENTRY)?);
    (!authorities.is_empty()).then_some((leaf, authorities))
}

/// The files in force in all processes.
pub(crate) type Processes = BTreeMap<NodeId, InForce>;

impl Stage {
    /// The files in force in a node whose process runs.
    pub(crate) fn in_force(&self, node: NodeId) -> Option<&InForce> {
        let process = self.world.nodes.get(node)?;
        process.engine.as_ref()?;
        let files = self.processes.get(&node)?;
        (files.life == process.life).then_some(files)
    }

    /// All that run.
    pub(crate) fn processes(&self) -> impl Iterator<Item = (NodeId, &InForce)> {
        (0..self.world.nodes.len()).filter_map(move |node| Some((node, self.in_force(node)?)))
    }

    /// A process that starts reads all files.
    pub(crate) fn read_files_at_start(&mut self, node: NodeId) {
        let mut files = InForce {
            life: self.world.nodes[node].life,
            ..InForce::default()
        };
        self.read_files_of(node, &mut files);
        self.processes.insert(node, files);
    }

    fn read_files_of(&self, node: NodeId, files: &mut InForce) {
        let [keys, cluster_key, tls] =
            [API_KEY, CLUSTER_KEY, NODE_TLS].map(|path| self.kubelets.files(node, path));
        files.read(&keys, &cluster_key, &tls);
    }

    /// The kubelet has exchanged a folder; the process will see it, and may read in the middle of the exchange.
    pub(crate) fn note_new_files(&mut self, node: NodeId, path: &str, before: &Entries) {
        let now = self.world.time;
        let is_torn = path == API_KEY && self.kubelets.happens(TORN);
        let wait = if is_torn {
            Duration::from_millis(EVERY)
        } else {
            self.kubelets.moment(EVERY)
        };
        let keys = self.kubelets.files(node, API_KEY);
        let Some(files) = self.processes.get_mut(&node) else {
            return;
        };
        files.reads.get_or_insert(now + wait);
        if is_torn {
            // The file of the previous keys is read first.
            let accepted = accepted_keys(&keys, before);
            if !accepted.is_empty() {
                files.api_keys = accepted;
            }
        }
    }

    /// Processes read changed files: those that are due, or all.
    pub(crate) fn read_files(&mut self, at_once: bool) {
        let now = self.world.time;
        let is_due = |files: &InForce| files.reads.is_some_and(|reads| at_once || reads <= now);
        let due: Vec<_> = self
            .processes
            .iter()
            .filter(|(_, files)| is_due(files))
            .map(|(node, files)| (*node, files.clone()))
            .collect();
        for (node, mut files) in due {
            self.read_files_of(node, &mut files);
            self.processes.insert(node, files);
        }
    }

    /// Which nodes do not reach each other because their certificates do not fit.
    pub(crate) fn strangers(&self) -> BTreeSet<(NodeId, NodeId)> {
        let now = self.store.time();
        let mut strangers = BTreeSet::new();
        for (one, files) in self.processes() {
            for (other, others) in self.processes().filter(|(other, _)| *other > one) {
                if !files.fits(others, now) {
                    strangers.extend([(one, other), (other, one)]);
                }
            }
        }
        strangers
    }

    /// Whether an operator with these certificates reaches a node.
    pub(crate) fn reaches(&self, node: NodeId, caller: &Caller) -> bool {
        let now = self.store.time();
        self.in_force(node)
            .is_some_and(|files| files.fits_operator(caller, now))
    }
}
