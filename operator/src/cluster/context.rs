//! The state that reconciles share, and the memory of each cluster between them.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use kube::{Client, runtime::events::Reporter};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    difference::FieldPath,
    lag::LastWhole,
    last_reports::LastReports,
    pace::Wait,
    recorder::Recorder,
    resource::ClusterStatus,
    rollout::{AT_ONCE, Place, Silence, Turns},
    settled::Settled,
    shared::SharedObjects,
    shown,
    validate::Installation,
    watched::Watched,
};
#[cfg(feature = "simulated-nodes")]
use crate::node::SimulatedNodes;
use crate::{
    leader::Term, metrics::Metrics, names::OPERATOR, node::NodeClients, rights::Standings,
};

/// The clock with the time of day.
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The state that reconciles share.
pub struct Context {
    pub(super) client: Client,
    /// The client for evictions, which tries each request once.
    pub(super) evictions: Client,
    clock: Clock,
    pub(super) nodes: NodeClients,
    /// The nodes' stand-ins in a simulation.
    #[cfg(feature = "simulated-nodes")]
    pub(super) simulated: Option<Arc<dyn SimulatedNodes>>,
    pub(super) installation: Installation,
    pub(super) recorder: Recorder,
    pub(super) metrics: Metrics,
    pub(super) rights: Standings,
    pub(super) node_image: String,
    /// Namespaces that are another operator's.
    pub(super) excluded: Vec<String>,
    /// The clusters whose pods are replaced for the operator's own changes.
    pub(super) turns: Turns,
    /// How long this process may act; `None` where no other process may lead.
    term: Option<Term>,
    memory: Mutex<HashMap<Place, Memory>>,
    /// By namespace; `None` is the key where all of them are watched at once.
    watched: Mutex<HashMap<Option<String>, Arc<Watched>>>,
}

/// The memory of one cluster.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The objects of the last reconcile with nothing to do.
    pub(super) settled: Option<Arc<Settled>>,
    /// The same where the nodes share a database.
    pub(super) settled_shared: Option<Arc<Settled<SharedObjects>>>,
    /// The present wait.
    pub(super) wait: Option<Wait>,
    /// The wanted state of each child at the last reconcile, by kind and name, as a hash.
    wanted: HashMap<(String, String), u64>,
    /// Values that came back in the answer to our own write, by kind, name and field, hashed with the wanted state: an
    /// admission webhook sets them.
    accepted: HashMap<(String, String, String), u64>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Failures that came before a status could be made.
    pub(super) unfinished: u32,
    /// When figures were last written.
    pub(super) figures_written: Option<Instant>,
    /// When each node last had everything.
    pub(super) last_whole: LastWhole,
    /// When each node last answered.
    pub(super) last_reports: LastReports,
    /// Since when nodes that serve do not answer.
    pub(super) silence: Silence,
}

impl Memory {
    /// Records the wanted state of a child, and returns whether it is unchanged.
    pub(super) fn wants(&mut self, kind: &str, name: &str, wanted: &Value) -> bool {
        let hash = hash_of(wanted);
        let place = (kind.to_owned(), name.to_owned());
        self.wanted.insert(place, hash) == Some(hash)
    }

    /// Accepts the value of a field of a child for this wanted state, and returns whether that is new.
    pub(super) fn accept(
        &mut self,
        kind: &str,
        name: &str,
        field: &FieldPath,
        (wanted, value): (Option<&Value>, Option<&Value>),
    ) -> bool {
        let (place, hash) = (field_of(kind, name, field), hash_of(&(wanted, value)));
        self.accepted.insert(place, hash) != Some(hash)
    }

    /// Whether this value was accepted.
    pub(super) fn accepts(
        &self,
        kind: &str,
        name: &str,
        field: &FieldPath,
        (wanted, value): (Option<&Value>, Option<&Value>),
    ) -> bool {
        self.accepted.get(&field_of(kind, name, field)) == Some(&hash_of(&(wanted, value)))
    }

    /// Ends a row of failures.
    pub(super) fn note_success(&mut self) {
        (self.failures, self.unfinished) = (0, 0);
    }
}

fn field_of(kind: &str, name: &str, field: &FieldPath) -> (String, String, String) {
    (kind.to_owned(), name.to_owned(), field.to_string())
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Context {
    /// A context; `node_image` is used where a resource names none.
    pub fn new(client: Client, metrics: Metrics, node_image: String) -> Self {
        let reporter = Reporter {
            controller: OPERATOR.to_owned(),
            instance: std::env::var("POD_NAME").ok(),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            nodes: NodeClients::default(),
            #[cfg(feature = "simulated-nodes")]
            simulated: None,
            installation: Installation::default(),
            rights: Standings::new(metrics.clone()),
            evictions: client.clone(),
            client,
            clock: Arc::new(Timestamp::now),
            metrics,
            node_image,
            excluded: Vec::new(),
            turns: Turns::new(AT_ONCE),
            term: None,
            memory: Mutex::default(),
            watched: Mutex::default(),
        }
    }

    /// The same with another client for evictions.
    #[must_use]
    pub fn evicting_by(self, evictions: Client) -> Self {
        Self { evictions, ..self }
    }

    /// The same for another installation than the default.
    #[must_use]
    pub fn at(self, installation: Installation) -> Self {
        Self {
            installation,
            ..self
        }
    }

    /// The same with stand-ins for nodes.
    #[cfg(feature = "simulated-nodes")]
    #[must_use]
    pub fn answered_by(self, nodes: Arc<dyn SimulatedNodes>) -> Self {
        let simulated = Some(nodes);
        Self { simulated, ..self }
    }

    /// The same with another clock.
    #[cfg(feature = "simulated-nodes")]
    #[must_use]
    pub fn by_the_clock(self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let clock: Clock = Arc::new(clock);
        Self { clock, ..self }
    }

    /// The time of day, by which certificates end.
    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The same for an operator that leaves these namespaces to another one.
    #[must_use]
    pub fn without(self, excluded: Vec<String>) -> Self {
        Self { excluded, ..self }
    }

    /// The same for an operator that replaces pods of so many clusters at a time, for changes of its own.
    #[must_use]
    pub fn rolling_out_at_once(self, clusters: usize) -> Self {
        let turns = self.turns.with(clusters);
        Self { turns, ..self }
    }

    /// Shows the status of a cluster in the metrics.
    pub(super) fn show(&self, namespace: &str, name: &str, status: &ClusterStatus) {
        let figures = shown::figures(status);
        self.metrics.observed(namespace, name, &figures);
    }

    /// The same for a process that may act for so long.
    #[must_use]
    pub fn acting_in(self, term: Term) -> Self {
        let term = Some(term);
        Self { term, ..self }
    }

    /// Whether nodes may be given orders now.
    pub(super) fn may_order(&self) -> bool {
        self.term.as_ref().is_none_or(Term::lasts)
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The objects in the watches of a namespace, or of all namespaces; empty where no watch has begun.
    pub fn watch(&self, namespace: Option<&str>) -> Arc<Watched> {
        let scope = namespace.map(str::to_owned);
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || Arc::new(Watched::telling(self.turns.moves()));
        Arc::clone(watched.entry(scope).or_insert_with(begin))
    }

    /// The clusters of a namespace, or of all, whose reason to wait before replacing pods is gone. Each is given once.
    pub(super) fn wake(&self, namespace: Option<&str>) -> Vec<Place> {
        let is_in_scope = |(of, _): &Place| namespace.is_none_or(|namespace| namespace == of);
        self.turns.wake(is_in_scope, || self.rolling_out())
    }

    /// The objects in the watches of this namespace, where any watch it.
    pub(super) fn watched(&self, namespace: &str) -> Option<Arc<Watched>> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let own = watched.get(&Some(namespace.to_owned()));
        own.or_else(|| watched.get(&None)).map(Arc::clone)
    }

    /// The clusters whose `StatefulSets` are marked as replacing pods for the operator's own changes; `None` while the watches
    /// do not show all of them.
    pub(super) fn rolling_out(&self) -> Option<Vec<Place>> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let scopes = watched.values();
        let marked: Option<Vec<_>> = scopes
            .map(|scope| scope.rolling_out(&self.installation.operator))
            .collect();
        Some(marked?.into_iter().flatten().collect())
    }

    /// Whether the watches show that a cluster is not there any more.
    pub(super) fn is_gone(&self, namespace: &str, name: &str) -> bool {
        let watched = self.watched(namespace);
        watched.is_some_and(|watched| watched.has_no_cluster(namespace, name))
    }

    pub(super) fn remember<T>(
        &self,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Memory) -> T,
    ) -> T {
        let place = (namespace.to_owned(), name.to_owned());
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        change(memory.entry(place).or_default())
    }

    /// Drops everything about a cluster that is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(namespace.to_owned(), name.to_owned()));
        self.turns.forget(&(namespace.to_owned(), name.to_owned()));
        self.nodes.forget(namespace, name);
        self.metrics.forget(namespace, name);
    }

    /// The number of clusters in memory.
    pub fn remembered(&self) -> usize {
        self.memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("node_image", &self.node_image)
            .finish_non_exhaustive()
    }
}
