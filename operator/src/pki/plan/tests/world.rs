//! A cluster through the years: its operator acts, and files reach its nodes one after the other.

use std::sync::Arc;

use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{ServerName, UnixTime},
    server::WebPkiClientVerifier,
};

use super::*;

pub(super) const DAY: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn begin() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub(super) fn names() -> AltNames {
    let name = ClusterName::new("prod").unwrap();
    cluster_names(&name, "shop", "cluster.local", &[])
}

pub(super) fn unix(now: Timestamp) -> UnixTime {
    let seconds = u64::try_from(now.as_second()).unwrap();
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}

pub(super) fn roots(bundle: &[Certificate]) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in bundle {
        roots.add(certificate.der.clone()).unwrap();
    }
    Arc::new(roots)
}

pub(super) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Whether a client with this bundle accepts this leaf as a server's of that name.
pub(super) fn is_server(leaf: &Leaf, name: &str, bundle: &[Certificate], now: Timestamp) -> bool {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(bundle), provider())
        .build()
        .unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let verified = verifier.verify_server_cert(&leaf.certificate.der, &[], &name, &[], unix(now));
    verified.is_ok()
}

/// Whether a server with this bundle accepts this leaf as a client's.
pub(super) fn is_client(leaf: &Leaf, bundle: &[Certificate], now: Timestamp) -> bool {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(bundle), provider())
        .build()
        .unwrap();
    verifier
        .verify_client_cert(&leaf.certificate.der, &[], unix(now))
        .is_ok()
}

/// A node with the files that it read last.
pub(super) struct Node {
    pub(super) leaf: Leaf,
    pub(super) bundle: Vec<Certificate>,
    /// Its files do not change any more.
    pub(super) stuck: bool,
}

pub(super) struct World {
    pub(super) stored: StoredPki,
    pub(super) nodes: Vec<Node>,
    pub(super) now: Timestamp,
    pub(super) rotation_asked: bool,
    /// When nodes were first given the newest authority.
    pub(super) given: Option<Timestamp>,
    /// The authorities in the file that clients read.
    pub(super) file: Vec<Certificate>,
    /// Whether that file is not written, as where the API server refuses it.
    pub(super) is_file_stuck: bool,
    /// Since when it has the newest authority.
    pub(super) shown: Option<Timestamp>,
    pub(super) last: Option<PkiPlan>,
    /// How often a leaf was issued, and an authority made.
    pub(super) issued: (usize, usize),
    pub(super) verified: BTreeSet<(Fingerprint, Vec<Fingerprint>)>,
}

impl World {
    pub(super) fn begin() -> Self {
        let mut world = Self {
            stored: StoredPki::default(),
            nodes: Vec::new(),
            now: begin(),
            rotation_asked: false,
            given: None,
            file: Vec::new(),
            is_file_stuck: false,
            shown: None,
            last: None,
            issued: (0, 0),
            verified: BTreeSet::new(),
        };
        world.operator_acts();
        world.nodes = (0..3)
            .map(|_| Node {
                leaf: world.stored.leaf.clone().unwrap(),
                bundle: world.stored.bundle.clone(),
                stuck: false,
            })
            .collect();
        world.check();
        world
    }

    pub(super) fn operator_acts(&mut self) {
        let running: Vec<_> = self
            .nodes
            .iter()
            .enumerate()
            .map(|(ordinal, node)| Trust {
                node: format!("prod-{ordinal}"),
                accepts: node
                    .bundle
                    .iter()
                    .map(|certificate| certificate.fingerprint.clone())
                    .collect(),
                shows: Some(node.leaf.certificate.fingerprint.clone()),
            })
            .collect();
        let names = names();
        let plan = plan(&Situation {
            stored: &self.stored,
            now: self.now,
            names: &names,
            rotation_asked: self.rotation_asked,
            given: self.given,
            shown: self.shown,
            running: &running,
        });
        if plan.authority == AuthorityStep::Rotate {
            self.rotation_asked = false;
        }
        self.issued.0 += usize::from(plan.leaf != LeafStep::Keep);
        self.issued.1 += usize::from(matches!(
            plan.authority,
            AuthorityStep::Create | AuthorityStep::Rotate
        ));
        let after = execute(&self.stored, &plan, "shop/prod", &names, self.now).unwrap();
        if is_given_anew(&self.stored, &after) {
            self.given = Some(self.now);
            self.shown = None;
        }
        self.stored = after;
        self.last = Some(plan);
        self.write_file();
    }

    /// Clients get what nodes accept, and the operator sees that.
    pub(super) fn write_file(&mut self) {
        if !self.is_file_stuck {
            self.file.clone_from(&self.stored.bundle);
        }
        let newest = self.stored.authority.as_ref();
        let has_it = newest.is_some_and(|newest| self.file.contains(&newest.certificate));
        self.shown = has_it.then(|| self.shown.unwrap_or(self.now));
    }

    /// Files reach one node after the other; the promises hold at each moment between.
    pub(super) fn files_arrive(&mut self) {
        for ordinal in 0..self.nodes.len() {
            let node = &mut self.nodes[ordinal];
            if !node.stuck {
                node.leaf = self.stored.leaf.clone().unwrap();
                node.bundle = self.stored.bundle.clone();
            }
            self.check();
        }
    }

    pub(super) fn check(&mut self) {
        for (shown, shows) in self.nodes.iter().enumerate() {
            for accepts in &self.nodes {
                let leaf = &shows.leaf.certificate;
                assert!(self.now < leaf.ends, "on {} a leaf has ended", self.now);
                let bundle = accepts.bundle.iter();
                let pair = (
                    leaf.fingerprint.clone(),
                    bundle
                        .map(|authority| authority.fingerprint.clone())
                        .collect(),
                );
                // Between two renewals only the time changes.
                if !self.verified.insert(pair) {
                    continue;
                }
                let name = format!("prod-{shown}.prod-nodes.shop.svc");
                assert!(
                    is_server(&shows.leaf, &name, &accepts.bundle, self.now)
                        && is_client(&shows.leaf, &accepts.bundle, self.now),
                    "on {} a node does not accept prod-{shown}",
                    self.now
                );
            }
        }
    }

    /// Lets time pass, with an operator that reconciles at each step, or without one.
    pub(super) fn pass(&mut self, days: i64, step: SignedDuration, operator: bool) {
        let end = self.now + DAY.checked_mul(i32::try_from(days).unwrap()).unwrap();
        while self.now < end {
            self.now += step;
            if operator {
                self.operator_acts();
                self.check();
            }
            self.files_arrive();
        }
    }

    pub(super) fn settle(&mut self) {
        for _ in 0..6 {
            self.now += SignedDuration::from_mins(2);
            self.operator_acts();
            self.check();
            self.files_arrive();
        }
    }

    pub(super) fn waiting(&self) -> Option<&Waiting> {
        self.last.as_ref()?.waiting.as_ref()
    }
}
