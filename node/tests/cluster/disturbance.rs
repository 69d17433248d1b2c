//! Faults at random: of processes, of the network between them, of disks and clocks.

use std::{collections::BTreeMap, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{cluster::Cluster, network::Way, record::Record, wait::until};

const KINDS: &[Kind] = &[
    Kind::Kill,
    Kind::Kill,
    Kind::KillAll,
    Kind::Stop,
    Kind::Freeze,
    Kind::Freeze,
    Kind::Network,
    Kind::Network,
    Kind::Network,
    Kind::FullDisk,
    Kind::Clock,
    Kind::Wipe,
    Kind::RollBack,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Kill,
    KillAll,
    Stop,
    Freeze,
    Network,
    FullDisk,
    Clock,
    Wipe,
    RollBack,
}

/// Whoever brings the faults.
pub(crate) struct Disturbance {
    random: StdRng,
    /// How often each fault was brought.
    pub(crate) brought: BTreeMap<Kind, usize>,
    /// Kinds that are still to come in this turn: each comes before any comes again.
    next: Vec<Kind>,
    /// The node whose disk the disturbance copied.
    copied: Option<usize>,
}

impl Disturbance {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            brought: BTreeMap::new(),
            next: Vec::new(),
            copied: None,
        }
    }

    /// Prepares nodes that do not run yet for all faults.
    pub(crate) fn prepare(cluster: &mut Cluster) {
        for node in 0..cluster.nodes.len() {
            cluster.fill_disk(node, false);
        }
    }

    /// Brings one fault and ends it again; a network fault may stay.
    pub(crate) async fn step(&mut self, cluster: &mut Cluster, record: &Record) {
        if self.next.is_empty() {
            self.next = KINDS.to_vec();
        }
        let kind = self
            .next
            .remove(self.random.random_range(0..self.next.len()));
        *self.brought.entry(kind).or_default() += 1;
        let victim = self.random.random_range(0..cluster.nodes.len());
        eprintln!("{kind:?} n{victim}");
        match kind {
            Kind::Kill => {
                cluster.nodes[victim].kill();
                self.pause(0..2000).await;
                cluster.nodes[victim].start().await;
            }
            Kind::KillAll => {
                for node in &mut cluster.nodes {
                    node.kill();
                }
                cluster.start_all().await;
            }
            Kind::Stop => {
                cluster.nodes[victim].stop().await;
                self.pause(0..1000).await;
                cluster.nodes[victim].start().await;
            }
            Kind::Freeze => {
                cluster.nodes[victim].freeze(true);
                self.pause(100..4000).await;
                cluster.nodes[victim].freeze(false);
            }
            Kind::Network => {
                self.disturb_network(cluster);
                self.pause(500..4000).await;
                if self.random.random() {
                    cluster.network.heal();
                }
            }
            Kind::FullDisk => {
                cluster.fill_disk(victim, true);
                self.pause(100..2000).await;
                cluster.fill_disk(victim, false);
            }
            Kind::Clock => {
                let ahead = self.random.random_range(-3000..3000);
                cluster.nodes[victim].kill();
                cluster.skew_clock(victim, ahead);
                cluster.nodes[victim].start().await;
            }
            Kind::Wipe => {
                self.take_disk(cluster, record, victim).await;
                cluster.nodes[victim].wipe();
                self.copied = self.copied.filter(|copied| *copied != victim);
                cluster.nodes[victim].start().await;
                cluster.all_ready().await;
            }
            Kind::RollBack => self.roll_back(cluster, record, victim).await,
        }
    }

    /// Each direction between two nodes gets its own fault.
    fn disturb_network(&mut self, cluster: &Cluster) {
        let nodes = cluster.nodes.len();
        if self.random.random() {
            let way = if self.random.random() {
                Way::Cut
            } else {
                Way::Swallowed
            };
            cluster
                .network
                .around(&[self.random.random_range(0..nodes)], way);
            return;
        }
        for from in 0..nodes {
            for to in (0..nodes).filter(|to| *to != from) {
                let way = match self.random.random_range(0..6) {
                    0 => Way::Cut,
                    1 => Way::Swallowed,
                    2 => Way::Delayed(Duration::from_millis(self.random.random_range(1..300))),
                    _ => Way::Open,
                };
                cluster.network.one_way(from, to, way);
            }
        }
    }

    /// Copies a disk, or brings back a disk that was copied earlier.
    async fn roll_back(&mut self, cluster: &mut Cluster, record: &Record, victim: usize) {
        let Some(copied) = self.copied.take() else {
            cluster.nodes[victim].kill();
            cluster.nodes[victim].copy_disk_aside();
            cluster.nodes[victim].start().await;
            self.copied = Some(victim);
            return;
        };
        self.take_disk(cluster, record, copied).await;
        cluster.nodes[copied].roll_disk_back();
        cluster.nodes[copied].start().await;
        cluster.all_ready().await;
    }

    /// Kills a node and removes its disk, once the others hold its rows; writes that it alone acknowledges after that are lost
    /// with it.
    async fn take_disk(&mut self, cluster: &mut Cluster, record: &Record, victim: usize) {
        cluster.network.heal();
        cluster.all_ready().await;
        let api = cluster.api(victim);
        let since = until("the others hold what it holds", async || {
            let acknowledged = record.acknowledged();
            let status = api.status().await;
            let mut others = status["details"]["members"].as_array()?.iter();
            let others_hold = others.all(|other| other["lag"] == 0 && other["reachable"] == true);
            others_hold.then_some(acknowledged)
        })
        .await;
        cluster.nodes[victim].kill();
        until(
            "every client knows what became of its request",
            async || record.is_quiet(victim).then_some(()),
        )
        .await;
        record.excuse(victim, since);
    }

    async fn pause(&mut self, milliseconds: std::ops::Range<u64>) {
        let time = self.random.random_range(milliseconds);
        tokio::time::sleep(Duration::from_millis(time)).await;
    }
}
