//! Acts of users on keys and certificates, and the time that passes for them.

use jiff::SignedDuration;
use rand::RngExt;
use serde_json::{Value, json};

use crate::{
    exchanges::LEAF_RENEWAL,
    kubernetes::{
        names::{API_KEY, AUTHORITY, NODE_TLS, RESOURCE},
        store::Preconditions,
    },
    plots::Act,
    stage::Stage,
};

/// Days that pass while an operator looks after certificates.
const SEASON: i64 = 100;
/// Longer than a leaf lives.
const YEAR: i64 = 400;
/// Longer than an authority lives.
const LONGEST: i64 = 6_000;

impl Stage {
    /// A user acts on keys or certificates, or time passes for them.
    pub(crate) fn exchange(&mut self, act: Act, number: u64) {
        match act {
            Act::RotateKey => self.rotate_key(number),
            Act::EndKey => self.end_previous_key(),
            Act::NameAnew => self.name_anew(number),
            Act::RotateAuthority => self.rotate_authority(number),
            Act::LoseAuthority => self.lose_authority(),
            Act::LoseLeaf => self.lose_leaf(),
            Act::PassSeason => self.pass_a_season(),
            _ => {}
        }
    }

    /// A user wants another key.
    fn rotate_key(&mut self, number: u64) {
        self.ask(|spec| spec["apiKey"]["rotate"] = json!(format!("key {number}")));
    }

    /// A user wants another authority.
    fn rotate_authority(&mut self, number: u64) {
        self.ask(|spec| spec["tls"]["authority"]["rotate"] = json!(format!("authority {number}")));
    }

    /// A user changes a name of the certificate.
    fn name_anew(&mut self, number: u64) {
        let names = json!([format!("config-{number}.example.org"), "10.1.2.3"]);
        self.ask(|spec| spec["tls"]["altNames"] = names);
    }

    /// The authority with its key is lost: nodes have their leaf, and accept it of each other.
    fn lose_authority(&mut self) {
        if self.is_leaf_shown() {
            let _ = self
                .store
                .delete(AUTHORITY, &Preconditions::default(), false);
        }
    }

    /// The leaf is lost, as where a user issues another one; not while the authority is being exchanged.
    fn lose_leaf(&mut self) {
        let authority = self.store.get(AUTHORITY);
        if authority.is_some_and(|secret| secret["data"].get("previous.crt").is_none()) {
            let _ = self
                .store
                .delete(NODE_TLS, &Preconditions::default(), false);
        }
    }

    /// Whether every node that runs shows the leaf that is stored, which counts.
    fn is_leaf_shown(&self) -> bool {
        let Some(leaf) = self.stored_leaf() else {
            return false;
        };
        leaf.ends > self.store.time()
            && self
                .processes()
                .all(|(_, files)| files.leaf.as_ref() == Some(&leaf))
    }

    /// A season passes, if the operator has finished its work of the one before.
    fn pass_a_season(&mut self) {
        let now = self.store.time();
        let leaf = self.stored_leaf();
        let outlives = SignedDuration::from_hours(24 * (SEASON + 50));
        let is_fresh = leaf.is_some_and(|leaf| {
            now.duration_since(leaf.begins) < LEAF_RENEWAL
                && leaf.ends.duration_since(now) > outlives
        });
        if is_fresh && self.is_leaf_shown() && self.may_pass(SEASON) {
            self.pass_days(SEASON);
        }
    }

    pub(crate) fn may_pass_a_year(&self) -> bool {
        self.may_pass(YEAR)
    }

    /// More than a year passes without any operator, and a while after that.
    pub(crate) fn pass_a_year_alone(&mut self) {
        self.exchanges.was_alone = true;
        self.pass_days(YEAR);
        let alone = self.random.random_range(1_000..40_000);
        self.no_operator_until = self.world.time + std::time::Duration::from_millis(alone);
    }

    /// All nodes are there, and the world does not become too old.
    fn may_pass(&self, days: i64) -> bool {
        self.all_serve_but(None) && self.days + days <= LONGEST
    }

    /// Days pass for the API server and for certificates. Kubelets and processes, which need seconds, are done by then.
    fn pass_days(&mut self, days: i64) {
        self.days += days;
        self.tell(|| format!("{days} days pass"));
        self.store.pass_days(days);
        self.bring_files(true);
        self.read_files(true);
    }

    /// Users follow the status: they end a key once nodes accept the next one.
    pub(crate) fn follow_advice(&mut self) {
        let resource = self.store.get(RESOURCE);
        let conditions = resource.map(|resource| &resource["status"]["conditions"]);
        let mut conditions = conditions.and_then(Value::as_array).into_iter().flatten();
        let is_advised = conditions.any(|told| {
            let reason = &told["reason"];
            told["type"] == "ApiKeyRotated"
                && (reason == "PreviousKeyAccepted" || reason == "EarlierKeyAccepted")
        });
        let has_previous = self
            .store
            .get(API_KEY)
            .is_some_and(|secret| secret["data"].get("api-key-previous").is_some());
        if is_advised && has_previous {
            self.tell(|| "a user ends the key before, as the status says".to_owned());
            self.end_previous_key();
        }
    }
}
