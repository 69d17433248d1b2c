//! The parts of a world except the operators: the API server's objects, the nodes, and their messages.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use opensecureconf_node::{cluster, domain::Incarnation};
use opensecureconf_operator::cluster::rules::Rules;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tokio::sync::Notify;

use crate::{
    exchanges::Exchanges,
    faults::{Faults, Trouble},
    kubernetes::{
        files::{Kubelets, Pace},
        kubelet::Running,
        names,
        store::Store,
    },
    node_files::Processes,
    world::{SimulationEvent, World},
};

/// An operator's process, by its number.
pub(crate) type OperatorId = usize;

/// How long a step is.
pub(crate) const STEP: Duration = Duration::from_millis(50);

/// The stage, as tasks share it.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Stage>>);

impl Shared {
    pub(crate) fn new(stage: Stage) -> Self {
        Self(Arc::new(Mutex::new(stage)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap()
    }
}

/// The world around the operators.
pub(crate) struct Stage {
    pub(crate) store: Store,
    pub(crate) world: World,
    pub(crate) random: StdRng,
    pub(crate) faults: Faults,
    /// The rules that operators go by.
    pub(crate) rules: Rules,
    /// The node image of operators that start from now on.
    pub(crate) node_image: String,
    /// Which claim the disk of a node belongs to.
    pub(crate) volumes: BTreeMap<usize, String>,
    pub(crate) running: BTreeMap<usize, Running>,
    pub(crate) kubelets: Kubelets,
    pub(crate) processes: Processes,
    /// The promises about keys and certificates.
    pub(crate) exchanges: Exchanges,
    /// How many days have passed at once.
    pub(crate) days: i64,
    /// When faults end.
    pub(crate) chaos_ends: Duration,
    /// Until when no operator is there.
    pub(crate) no_operator_until: Duration,
    /// Whether operators are elected by the Lease.
    pub(crate) are_elected: bool,
    /// Operators that stand still, and until when.
    pub(crate) frozen: BTreeMap<OperatorId, Duration>,
    /// Notified whenever a frozen operator goes on.
    pub(crate) thawed: Arc<Notify>,
    /// The kind that operators may not write just now.
    pub(crate) forbidden: Option<&'static str>,
    /// Operators that are to end.
    pub(crate) doomed: Vec<OperatorId>,
    /// All salts that the Secret ever had.
    pub(crate) salts: BTreeSet<String>,
    /// Lives that users gave up, and whether by force.
    pub(crate) given_up: BTreeMap<Incarnation, bool>,
    /// Nodes that served when an operator took their pods away, and have not come back.
    pub(crate) away: BTreeSet<usize>,
    /// Nodes whose machine is being drained, and that have not come back.
    pub(crate) drained: BTreeSet<usize>,
    /// Since when nodes do not reach each other.
    pub(crate) apart_since: Option<Duration>,
    steps: u64,
}

impl Stage {
    pub(crate) fn new(
        seed: u64,
        rules: Rules,
        (trouble, pace): (Trouble, Pace),
        told: bool,
    ) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = World::new(random.random(), cluster::Rules::ALL, told);
        world.profile.client_pause = Duration::from_millis(500);
        world.later(Duration::from_millis(1), SimulationEvent::Client);
        let mut store = Store::new();
        store
            .create(
                names::STORAGE_CLASS,
                json!({ "metadata": { "name": "fast" }, "provisioner": "simulated", "allowVolumeExpansion": true }),
            )
            .unwrap();
        // A client may come before there is any node.
        world.add_node(&format!("{}-0", names::CLUSTER));
        Self {
            store,
            world,
            faults: Faults::of(trouble, &mut random),
            random,
            rules,
            node_image: "node:1".to_owned(),
            volumes: BTreeMap::new(),
            running: BTreeMap::new(),
            kubelets: Kubelets::new(seed, pace),
            processes: Processes::new(),
            exchanges: Exchanges::default(),
            days: 0,
            chaos_ends: Duration::ZERO,
            no_operator_until: Duration::ZERO,
            are_elected: false,
            frozen: BTreeMap::new(),
            thawed: Arc::default(),
            forbidden: None,
            doomed: Vec::new(),
            salts: BTreeSet::new(),
            given_up: BTreeMap::new(),
            away: BTreeSet::new(),
            drained: BTreeSet::new(),
            apart_since: None,
            steps: 0,
        }
    }

    /// Lets a little time pass for nodes, controllers and kubelets.
    pub(crate) fn step(&mut self) {
        self.steps += 1;
        self.world.pass(STEP);
        let now = self.world.time;
        self.store.tell_time(now);
        self.thaw(now);
        if self.random.random_bool(0.2) {
            self.store.control_the_set();
        }
        if self.steps.is_multiple_of(4) {
            self.look_after_pods();
            self.look_after_claims();
            self.retire_those_that_are_gone();
            self.bring_files(false);
            self.read_files(false);
            self.world.network.strangers = self.strangers();
            self.check_everything();
            self.check_exchanges();
        }
        if self.random.random_bool(0.1) {
            self.store.collect_garbage();
        }
    }

    /// Lets operators go on whose machines are due.
    fn thaw(&mut self, now: Duration) {
        let thawed: Vec<_> = self
            .frozen
            .extract_if(.., |_, until| *until <= now)
            .collect();
        for (operator, _) in thawed {
            self.tell(|| format!("operator {operator} goes on"));
            self.thawed.notify_waiters();
        }
    }

    /// Retires nodes that have no pod and are not wanted, so that no check waits for them.
    fn retire_those_that_are_gone(&mut self) {
        let wanted = self.replicas();
        for number in 1..self.world.nodes.len() {
            let is_there = self.running.contains_key(&number);
            let retired = number >= wanted && !is_there;
            self.world.nodes[number].retired = retired;
        }
    }

    /// The number of nodes in the resource.
    pub(crate) fn replicas(&self) -> usize {
        let resource = self.store.get(names::RESOURCE);
        let replicas = resource.and_then(|resource| resource["spec"]["replicas"].as_u64());
        usize::try_from(replicas.unwrap_or(3)).unwrap()
    }

    /// Adds a line to the story.
    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        let time = self.world.time;
        self.world.story.tell(time, line);
    }

    /// Everything works from now on.
    pub(crate) fn heal(&mut self) {
        self.tell(|| "everything works again".to_owned());
        self.faults = Faults::default();
        self.no_operator_until = Duration::ZERO;
        self.frozen.clear();
        self.thawed.notify_waiters();
        self.forbidden = None;
        self.store.may_make_pods = true;
        self.world.network.heal();
    }
}
