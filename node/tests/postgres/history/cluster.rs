//! Nodes on one database whose address leads to the primary, and the faults of both.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{clients::Nodes, record::History};
use crate::{
    server::{Server, url_at},
    world::{Node, World},
};

const NODES: usize = 3;
/// Operations that clients finish while a server is as a fault left it.
const MEANWHILE: usize = 60;

/// Where an acknowledged write is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commits {
    /// On both servers.
    OnBoth,
    /// On the primary; the standby gets it later.
    OnPrimary,
}

/// A fault of a node, a server or their connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A node is killed, and another one takes its place.
    NodeKilled,
    /// Every connection of nodes to the server ends.
    ConnectionsCut,
    /// The primary is killed and starts again.
    ServerKilled,
    /// The standby is lost, and the waits for it are cancelled, so that reads show rows that no other server has. Then the
    /// primary is killed, and the standby comes back and takes over without those rows.
    UnconfirmedLost,
    /// The primary is killed, and the standby takes over.
    Promoted,
}

impl Fault {
    /// All faults, in the order of a short run.
    pub(super) const ALL: [Self; 5] = [
        Self::NodeKilled,
        Self::ConnectionsCut,
        Self::ServerKilled,
        Self::UnconfirmedLost,
        Self::Promoted,
    ];
}

/// A primary, its standby, and nodes.
pub(super) struct Cluster {
    /// Its server is the primary.
    world: World,
    standby: Option<Server>,
    /// How many standbys there were.
    standbys: usize,
    commits: Commits,
    nodes: Vec<Node>,
    callers: Nodes,
    history: Arc<History>,
}

impl Cluster {
    pub(super) async fn new(commits: Commits) -> Self {
        let world = World::new().await;
        lead(&address(&world), world.server.folder());
        let mut cluster = Self {
            world,
            standby: None,
            standbys: 0,
            commits,
            nodes: Vec::new(),
            callers: Arc::new(Mutex::new(Vec::new())),
            history: Arc::new(History::new()),
        };
        cluster.attach_standby().await;
        for _ in 0..NODES {
            cluster.start_node();
        }
        cluster
    }

    pub(super) fn history(&self) -> &Arc<History> {
        &self.history
    }

    pub(super) fn callers(&self) -> &Nodes {
        &self.callers
    }

    /// Causes a fault, and restores what it broke.
    pub(super) async fn meet(&mut self, fault: Fault) {
        match fault {
            Fault::NodeKilled => {
                self.nodes.remove(0).kill();
                self.callers.lock().unwrap().remove(0);
                self.start_node();
            }
            Fault::ConnectionsCut => self.world.server.disconnect_everybody().await,
            Fault::ServerKilled => {
                self.world.server.kill();
                self.world.server.start().await;
            }
            Fault::UnconfirmedLost => {
                self.attach_standby().await;
                self.show_what_no_standby_has().await;
                self.take_over().await;
            }
            Fault::Promoted => {
                self.attach_standby().await;
                self.take_over().await;
            }
        }
    }

    /// Loses writes that nodes acknowledged.
    pub(super) async fn lose_acknowledged_writes(&mut self) {
        assert_eq!(self.commits, Commits::OnPrimary);
        self.standby.as_mut().unwrap().kill();
        // Enough to change each entry.
        self.history.more(5 * MEANWHILE).await;
        self.take_over().await;
    }

    fn start_node(&mut self) {
        let url = url_at(&address(&self.world));
        let settings = [("OSC_DATABASE_URL", &*url), ("OSC_DATABASE_TIMEOUT", "1")];
        let node = self.world.node_with(&settings);
        self.callers.lock().unwrap().push(node.caller());
        self.nodes.push(node);
    }

    /// Gives the primary a standby that has every acknowledged write, where it has none.
    async fn attach_standby(&mut self) {
        if self.standby.is_some() {
            return;
        }
        self.standbys += 1;
        let (primary, name) = (&self.world.server, format!("standby{}", self.standbys));
        let standby = match self.commits {
            Commits::OnBoth => primary.synchronous_standby(&name).await,
            Commits::OnPrimary => Server::standby_of(primary, &name).await,
        };
        self.standby = Some(standby);
    }

    /// Ends the waits of writes for a standby that is lost: reads show them from then on.
    async fn show_what_no_standby_has(&mut self) {
        const WAITING: &str = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        self.standby.as_mut().unwrap().kill();
        let primary = &self.world.server;
        while primary.count(&format!("SELECT count(*) {WAITING}")).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for function in ["pg_cancel_backend", "pg_terminate_backend"] {
            primary
                .sql(&format!("SELECT {function}(pid) {WAITING}"))
                .await;
            self.history.more(MEANWHILE).await;
        }
    }

    /// Kills the primary; the standby takes its place.
    async fn take_over(&mut self) {
        let mut standby = self.standby.take().unwrap();
        let began = self.history.now();
        self.world.server.kill();
        if !standby.is_running() {
            standby.start().await;
        }
        standby.promote();
        lead(&address(&self.world), standby.folder());
        self.world.server = standby;
        self.history.promoted(began);
    }
}

/// The folder with the socket of the server that nodes shall use.
fn address(world: &World) -> PathBuf {
    world.folder().join("database")
}

/// Makes an address lead to a server.
fn lead(address: &Path, server: &Path) {
    // The first time there is none.
    let _ = std::fs::remove_file(address);
    std::os::unix::fs::symlink(server, address).unwrap();
}
