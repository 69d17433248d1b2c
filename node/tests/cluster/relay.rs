//! A cable between nodes that speak TLS: what goes through cannot be read, and all of it can be cut and healed.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// Relays in front of nodes, each at its node's own host, so that certificates fit.
#[derive(Debug)]
pub(crate) struct Relays {
    cut: watch::Sender<bool>,
    _relays: JoinSet<()>,
}

impl Relays {
    /// One for each pair of where others dial and where the node listens.
    pub(crate) async fn between(pairs: &[(String, String)]) -> Self {
        let (cut, mut relays) = (watch::Sender::new(false), JoinSet::new());
        for (dialled, listens) in pairs {
            let listener = TcpListener::bind(dialled).await.unwrap();
            relays.spawn(accept(listener, listens.clone(), cut.subscribe()));
        }
        Self {
            cut,
            _relays: relays,
        }
    }

    /// Ends all connections, and lets none come about.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }

    pub(crate) fn heal(&self) {
        self.cut.send_replace(false);
    }
}

async fn accept(listener: TcpListener, listens: String, cut: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((caller, _)) = listener.accept().await else {
            continue;
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(carry(caller, listens.clone(), cut.clone()));
    }
}

/// Carries one connection until an end closes it or the network is cut.
async fn carry(mut caller: TcpStream, listens: String, mut cut: watch::Receiver<bool>) {
    let carried = async {
        let mut called = TcpStream::connect(listens).await?;
        caller.set_nodelay(true)?;
        called.set_nodelay(true)?;
        copy_bidirectional(&mut caller, &mut called).await
    };
    tokio::select! {
        biased;
        _ = cut.wait_for(|cut| *cut) => {}
        _ = carried => {}
    }
}
