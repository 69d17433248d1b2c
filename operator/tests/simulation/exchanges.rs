//! Rules about keys and certificates: after every step, during any exchange, and once all faults have ended.

use std::{collections::BTreeSet, time::Duration};

use jiff::SignedDuration;
use opensecureconf_operator::{
    names::{
        ANNOTATION_API_KEY_PHASE, ANNOTATION_API_KEY_ROTATION, ANNOTATION_AUTHORITY_ROTATION,
        API_KEY_ENTRY, AUTHORITIES_ENTRY, CERTIFICATE_ENTRY, PREVIOUS_CERTIFICATE_ENTRY,
        PREVIOUS_PRIVATE_KEY_ENTRY, PRIVATE_KEY_ENTRY, previous_entry,
    },
    pki::Certificate,
};
use serde_json::Value;

use crate::{
    kubernetes::{
        files::{Entries, entries},
        names::{API_KEY, AUTHORITY, CLIENTS_AUTHORITIES, NODE_TLS, RESOURCE},
        store::{Change, What},
    },
    node_files::{certificates, lines},
    stage::Stage,
};

/// Where the key of its signer is lost, a leaf is replaced so long before its end whatever clients know.
const LAST_MOMENT: SignedDuration = SignedDuration::from_hours(24 * 30);
/// The longest time in which a mounted ConfigMap reaches its clients, by Kubernetes' defaults.
const MOUNTED: SignedDuration = SignedDuration::from_secs(90);
/// Without a node that runs clients need no time. So long may the write of an operator that saw that come after it: a late request of
/// one that stood still.
const IDLE: Duration = Duration::from_mins(2);
/// At this age a leaf is due.
pub(crate) const LEAF_RENEWAL: SignedDuration = SignedDuration::from_hours(24 * 60);

/// The keys and certificates that callers and nodes rely on.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    /// The keys that callers were given, until a user ends them.
    promised: BTreeSet<Vec<u8>>,
    /// Whether a user deleted the Secret with them: until all nodes accept the keys of another Secret, no promise holds.
    is_void: bool,
    /// Up to which version of the API server's objects.
    seen: u64,
    /// Whether leaves may have ended because no operator was there.
    pub(crate) was_alone: bool,
    /// When no node ran the last time.
    idle: Duration,
}

impl Stage {
    /// The files that a Secret would make.
    pub(crate) fn secret(&self, path: &str) -> Option<Entries> {
        Some(entries(path, self.store.get(path)?))
    }

    /// The leaf that is stored for nodes.
    pub(crate) fn stored_leaf(&self) -> Option<Certificate> {
        Some(certificates(&self.secret(NODE_TLS)?)?.0)
    }

    /// A user ends all keys except the one that the Secret shows.
    pub(crate) fn end_previous_key(&mut self) {
        self.note_keys();
        self.store.change(API_KEY, |secret| {
            if let Some(data) = secret["data"].as_object_mut() {
                data.remove(&previous_entry(API_KEY_ENTRY));
            }
        });
        let shown = self.secret(API_KEY).unwrap_or_default();
        let shown = lines(&shown, API_KEY_ENTRY);
        self.exchanges.promised.retain(|key| shown.contains(key));
    }

    /// Checks the rules that hold at any moment.
    pub(crate) fn check_exchanges(&mut self) {
        if self.processes().next().is_none() {
            self.exchanges.idle = self.world.time;
        }
        self.note_keys();
        self.check_keys();
        self.check_certificates();
    }

    /// Records the keys that callers may have read.
    fn note_keys(&mut self) {
        let seen = std::mem::replace(&mut self.exchanges.seen, self.store.version());
        let changes = self.store.log.iter().rev();
        let changes: Vec<_> = changes
            .take_while(|change| change.version > seen)
            .filter(|change| change.path == API_KEY)
            .map(|change| {
                let shown = lines(&entries(API_KEY, &change.object), API_KEY_ENTRY);
                (change.what, shown)
            })
            .collect();
        for (what, shown) in changes.into_iter().rev() {
            if what == What::Deleted {
                self.exchanges.promised.clear();
                self.exchanges.is_void = true;
            } else if !self.exchanges.is_void {
                self.exchanges.promised.extend(shown);
            }
        }
        if self.exchanges.is_void
            && let Some(secret) = self.secret(API_KEY)
        {
            let shown: BTreeSet<_> = lines(&secret, API_KEY_ENTRY).into_iter().collect();
            let accept = |files: &BTreeSet<Vec<u8>>| shown.is_subset(files);
            if self.processes().all(|(_, files)| accept(&files.api_keys)) {
                self.exchanges.is_void = false;
                self.exchanges.promised = shown;
            }
        }
    }

    /// No node that runs refuses a key that callers were given.
    fn check_keys(&mut self) {
        let promised = &self.exchanges.promised;
        let refuses = self
            .processes()
            .find(|(_, files)| !promised.is_subset(&files.api_keys))
            .map(|(node, _)| node);
        if let Some(node) = refuses {
            self.world.break_off(format!(
                "node {node} refuses a key that callers were given and no user has ended"
            ));
        }
    }

    /// Nodes always accept each other's certificates, unless those ended while no operator ran.
    fn check_certificates(&mut self) {
        let now = self.store.time();
        let has_ended: Vec<_> = self
            .processes()
            .filter(|(_, files)| files.has_ended(now))
            .map(|(node, _)| node)
            .collect();
        if self.exchanges.was_alone
            && has_ended.is_empty()
            && self.stored_leaf().is_some_and(|leaf| leaf.ends > now)
        {
            self.exchanges.was_alone = false;
        }
        if !self.exchanges.was_alone
            && let Some(node) = has_ended.first()
        {
            self.world.break_off(format!(
                "the certificate of node {node} has ended although operators were there"
            ));
        }
        let strangers = self.world.network.strangers.clone();
        let strange = strangers
            .iter()
            .find(|(one, other)| !has_ended.contains(one) && !has_ended.contains(other));
        if let Some((one, other)) = strange {
            self.world.break_off(format!(
                "nodes {one} and {other} do not take each other's certificates"
            ));
        }
    }

    /// No authority's key goes while a node shows, or may still read, a certificate that it signed.
    pub(crate) fn check_authority(&mut self, change: &Change) {
        let Some(before) = self.before(change) else {
            return;
        };
        let (before, after) = (
            entries(AUTHORITY, &before),
            entries(AUTHORITY, &change.object),
        );
        let stays = |key: &Vec<u8>| {
            let entries = [PRIVATE_KEY_ENTRY, PREVIOUS_PRIVATE_KEY_ENTRY];
            entries.iter().any(|entry| after.get(*entry) == Some(key))
        };
        if before.get(PRIVATE_KEY_ENTRY).is_some_and(|key| !stays(key)) {
            self.world
                .break_off("the key of the newest authority is lost");
        }
        if before
            .get(PREVIOUS_PRIVATE_KEY_ENTRY)
            .is_some_and(|key| !stays(key))
        {
            let certificates = before.get(PREVIOUS_CERTIFICATE_ENTRY);
            let certificates =
                Certificate::read_all(certificates.map(Vec::as_slice).unwrap_or_default());
            let is_of_it = |leaf: &Certificate| {
                let mut authorities = certificates.iter();
                authorities.any(|authority| leaf.is_signed_by(authority))
            };
            let shown = |(_, files): (usize, &crate::node_files::InForce)| {
                files.leaf.as_ref().is_some_and(is_of_it)
            };
            let is_needed =
                self.stored_leaf().as_ref().is_some_and(is_of_it) || self.processes().any(shown);
            if is_needed {
                self.world
                    .break_off("the key of the authority before is lost while nodes need it");
            }
        }
    }

    /// No authority replaces the leaf of another one before it has reached all clients that mount the ConfigMap.
    pub(crate) fn check_leaf(&mut self, change: &Change) {
        let leaf_of = |object: &Value| Some(certificates(&entries(NODE_TLS, object))?.0);
        let before = self.before(change).and_then(|before| leaf_of(&before));
        let (Some(before), Some(after)) = (before, leaf_of(&change.object)) else {
            return;
        };
        let now = self.store.time();
        let is_last_moment = before.ends.duration_since(now) < LAST_MOMENT;
        if before.issuer_key_id == after.issuer_key_id || is_last_moment {
            return;
        }
        let is_idle = self.world.time < self.exchanges.idle + IDLE;
        let time = if is_idle {
            SignedDuration::ZERO
        } else {
            MOUNTED
        };
        let mut shown = self.store.log.iter().filter(|shown| {
            shown.path == CLIENTS_AUTHORITIES
                && shown.version < change.version
                && shown.at + time <= change.at
        });
        let is_known = shown.any(|shown| {
            let text = shown.object["data"][AUTHORITIES_ENTRY].as_str();
            let authorities = Certificate::read_all(text.unwrap_or_default().as_bytes());
            authorities
                .iter()
                .any(|authority| after.is_signed_by(authority))
        });
        if !is_known {
            self.world
                .break_off("an authority signs that has not reached all clients");
        }
    }

    /// The exchange that is not complete; `None` where all are.
    pub(crate) fn unfinished_exchange(&self) -> Option<String> {
        let spec = &self.store.get(RESOURCE)?["spec"];
        self.unfinished_key(&spec["apiKey"]["rotate"])
            .or_else(|| self.unfinished_authority(&spec["tls"]["authority"]["rotate"]))
            .or_else(|| self.unfinished_leaf(&spec["tls"]["altNames"]))
    }

    fn unfinished_key(&self, asked: &Value) -> Option<String> {
        let secret = self.store.get(API_KEY)?;
        let files = entries(API_KEY, secret);
        let annotations = &secret["metadata"]["annotations"];
        if !asked.is_null() && annotations[ANNOTATION_API_KEY_ROTATION] != *asked {
            return Some(format!("the API key is not exchanged for {asked}"));
        }
        let phase = &annotations[ANNOTATION_API_KEY_PHASE];
        if !phase.is_null() {
            return Some(format!("an exchange of the API key stays {phase}"));
        }
        let shown = lines(&files, API_KEY_ENTRY).into_iter();
        let wanted = shown.chain(lines(&files, &previous_entry(API_KEY_ENTRY)));
        let wanted: BTreeSet<_> = wanted.collect();
        self.processes()
            .find(|(_, files)| files.api_keys != wanted)
            .map(|(node, _)| format!("node {node} accepts other API keys than the Secret has"))
    }

    fn unfinished_authority(&self, asked: &Value) -> Option<String> {
        let Some(secret) = self.store.get(AUTHORITY) else {
            return Some("there is no authority".to_owned());
        };
        let carried_out = &secret["metadata"]["annotations"][ANNOTATION_AUTHORITY_ROTATION];
        if !asked.is_null() && carried_out != asked {
            return Some(format!("the authority is not exchanged for {asked}"));
        }
        let files = entries(AUTHORITY, secret);
        if files.contains_key(PREVIOUS_CERTIFICATE_ENTRY) {
            return Some("the authority before is still there".to_owned());
        }
        let authority = Certificate::read(files.get(CERTIFICATE_ENTRY)?)?;
        let leaf = self.stored_leaf();
        let is_signed = leaf.is_some_and(|leaf| leaf.is_signed_by(&authority));
        (!is_signed)
            .then(|| "the leaf is of another authority than the one that is there".to_owned())
    }

    fn unfinished_leaf(&self, names: &Value) -> Option<String> {
        let tls = self.secret(NODE_TLS).unwrap_or_default();
        let Some((leaf, authorities)) = certificates(&tls) else {
            return Some("there is no leaf".to_owned());
        };
        let now = self.store.time();
        if leaf.ends <= now
            || now.duration_since(leaf.begins) > LEAF_RENEWAL + SignedDuration::from_hours(2)
        {
            return Some(format!("the leaf of {} is not renewed", leaf.begins));
        }
        let mut wanted = names.as_array().into_iter().flatten();
        let lacks = |name: &&Value| name.as_str().is_some_and(|name| !leaf.names.contains(name));
        if let Some(name) = wanted.find(lacks) {
            return Some(format!("the leaf is not for {name}"));
        }
        self.processes()
            .find(|(_, files)| {
                files.leaf.as_ref() != Some(&leaf) || files.authorities != authorities
            })
            .map(|(node, _)| format!("node {node} goes by other certificates than the Secret has"))
    }
}
