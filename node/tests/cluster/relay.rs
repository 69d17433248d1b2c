//! Relays between nodes that speak TLS: the test cannot read the traffic, but can cut and heal each connection.

use std::collections::BTreeSet;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// The port of a node's relay for the first caller; the next ones follow.
const FIRST_PORT: usize = 9101;

/// The caller, and the node that it calls.
type Way = (usize, usize);

/// Relays in front of nodes, each at its node's own host, so that certificates match. A node has one relay for each other node,
/// which identifies the caller.
#[derive(Debug)]
pub(crate) struct Relays {
    ways: Vec<Way>,
    cut: watch::Sender<BTreeSet<Way>>,
    _running: JoinSet<()>,
}

impl Relays {
    /// Before nodes that listen at this port of their hosts.
    pub(crate) async fn between(hosts: &[String], port: u16) -> Self {
        let (cut, mut relays) = (watch::Sender::default(), JoinSet::new());
        let mut ways = Vec::new();
        for (called, host) in hosts.iter().enumerate() {
            for caller in (0..hosts.len()).filter(|caller| *caller != called) {
                let listener = TcpListener::bind(address(host, caller)).await.unwrap();
                let listens = format!("{host}:{port}");
                let way = (caller, called);
                relays.spawn(accept(listener, listens, way, cut.subscribe()));
                ways.push(way);
            }
        }
        Self {
            ways,
            cut,
            _running: relays,
        }
    }

    /// The addresses at which a node calls the others.
    pub(crate) fn addresses(&self, hosts: &[String], caller: usize) -> Vec<String> {
        let ways = self.ways.iter().filter(|way| way.0 == caller);
        ways.map(|(_, called)| address(&hosts[*called], caller))
            .collect()
    }

    /// Ends all connections, and lets none come about.
    pub(crate) fn cut(&self) {
        self.cut_ways(&self.ways);
    }

    /// Closes all connections that a node has opened to another, and blocks new ones. The other node still calls as before.
    pub(crate) fn cut_ways(&self, ways: &[Way]) {
        self.cut.send_replace(ways.iter().copied().collect());
    }

    pub(crate) fn heal(&self) {
        self.cut.send_replace(BTreeSet::new());
    }
}

/// The address of a node for one caller.
pub(crate) fn address(host: &str, caller: usize) -> String {
    format!("{host}:{}", FIRST_PORT + caller)
}

async fn accept(
    listener: TcpListener,
    listens: String,
    way: Way,
    cut: watch::Receiver<BTreeSet<Way>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((caller, _)) = listener.accept().await else {
            continue;
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(carry(caller, listens.clone(), way, cut.clone()));
    }
}

/// Carries one connection until an end closes it or its way is cut.
async fn carry(
    mut caller: TcpStream,
    listens: String,
    way: Way,
    mut cut: watch::Receiver<BTreeSet<Way>>,
) {
    let carried = async {
        let mut called = TcpStream::connect(listens).await?;
        caller.set_nodelay(true)?;
        called.set_nodelay(true)?;
        copy_bidirectional(&mut caller, &mut called).await
    };
    tokio::select! {
        biased;
        _ = cut.wait_for(|cut| cut.contains(&way)) => {}
        _ = carried => {}
    }
}
