//! The ports of a node: bound at the start, and the service at each once the node runs.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use anyhow::Context;
use futures::future::try_join_all;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    certificates::Certificates,
    connections::{ConnectionLimits, HealthPort, LiveTls, Port, SharedTable},
    sockets::{HttpsSocket, listen},
};
use crate::{
    api::{ApiService, Node, OpenPorts, Served},
    config::{Config, UsageError},
    metrics::{CountedPort, FileMetrics, PortMetrics},
    peers::PeerClient,
    tls::{Door, Identity, KnownHosts, Shown, TlsStatus},
};

/// Ports that are taken, and the certificates for them.
#[derive(Debug)]
pub(crate) struct Listeners {
    clients: Option<ClientPort>,
    https: Option<(HttpsSocket, Certificates)>,
    peers: Option<(TcpListener, LiveTls)>,
    metrics: Option<(TcpListener, Option<LiveTls>)>,
    health: Option<TcpListener>,
    node: Option<(Certificates, KnownHosts)>,
    client_limits: ConnectionLimits,
    peer_limits: ConnectionLimits,
    few_limits: ConnectionLimits,
}

/// The one port that every node has, unless it is closed.
#[derive(Debug)]
struct ClientPort {
    listener: TcpListener,
    tls: Option<(Certificates, LiveTls)>,
}

/// The running services, until all of them have ended.
pub(crate) struct Serving {
    node: Node,
    closing: CancellationToken,
    ports: Vec<JoinHandle<std::io::Result<()>>>,
    /// Certificates that are followed.
    pub(crate) background: Vec<JoinHandle<()>>,
}

/// The certificates of the start, for the client of other nodes.
#[derive(Debug, Default)]
pub(crate) struct StartIdentities {
    /// The certificate with which this process speaks TLS to other nodes.
    pub(crate) peers: Option<Identity>,
    /// Which hosts nodes may be at.
    pub(crate) hosts: KnownHosts,
}

impl Listeners {
    /// Reads the certificates first, so that the start makes nothing where one of them is useless.
    ///
    /// # Errors
    /// [`UsageError`] where a certificate cannot be used. That of `OSC_HTTPS_PORT` may come later.
    pub(crate) fn certificates(
        config: &Config,
        status: &Arc<TlsStatus>,
        metrics: &FileMetrics,
    ) -> anyhow::Result<(ReadCertificates, StartIdentities)> {
        let certificates =
            |files, shown| Certificates::new(files, shown, Arc::clone(status), metrics.clone());
        let hosts = KnownHosts::default();
        let mut read = ReadCertificates::default();
        let mut identities = StartIdentities {
            hosts: hosts.clone(),
            ..StartIdentities::default()
        };
        if let Some(files) = config.tls.clone() {
            let mut certificates = certificates(files, Shown::ToClients);
            let identity = usable("HTTPS", certificates.read())?;
            let live = LiveTls::new(identity.server_config()?);
            read.clients = Some((certificates, live));
            identities.peers = Some(identity);
        }
        if let Some(files) = config.node_tls.clone() {
            let mut certificates = certificates(files, Shown::ToNodes);
            if config.peer_listen.is_some() {
                certificates = certificates.judged();
            }
            let identity = usable("OSC_NODE_TLS_DIR", certificates.read())?;
            let for_peers = usable("OSC_NODE_TLS_DIR", identity.peer_tls(hosts.clone()))?;
            read.peers = Some(LiveTls::new(for_peers));
            read.metrics = Some(LiveTls::new(identity.metrics_config()?));
            read.node = Some((certificates, hosts));
            if config.peer_listen.is_some() {
                identities.peers = Some(identity);
            }
        }
        read.https = config
            .https
            .as_ref()
            .map(|https| certificates(https.files.clone(), Shown::ToClients));
        Ok((read, identities))
    }

    /// Binds the ports.
    ///
    /// # Errors
    /// Where one of them is in use.
    pub(crate) fn bind(config: &Config, read: ReadCertificates) -> anyhow::Result<Self> {
        let clients = config
            .http_enabled
            .then(|| {
                let listener = listen(config.listen, "OSC_HOST or OSC_HOST_PORT")?;
                anyhow::Ok(ClientPort {
                    listener,
                    tls: read.clients,
                })
            })
            .transpose()?;
        let https = config.https.as_ref().zip(read.https);
        let https = https.map(|(https, certificates)| {
            anyhow::Ok((HttpsSocket::bind(https.listen)?, certificates))
        });
        let peers = config.peer_listen.zip(read.peers);
        let peers =
            peers.map(|(address, live)| anyhow::Ok((listen(address, "OSC_PEER_PORT")?, live)));
        let metrics = config
            .metrics_bind
            .map(|address| anyhow::Ok((listen(address, "OSC_METRICS_BIND")?, read.metrics)));
        let health = config
            .health_bind
            .map(|address| listen(address, "OSC_HEALTH_BIND"))
            .transpose()?;
        Ok(Self {
            clients,
            https: https.transpose()?,
            peers: peers.transpose()?,
            metrics: metrics.transpose()?,
            client_limits: ConnectionLimits::of_clients(
                (config.max_connections, config.http2_streams),
                health.is_none(),
                config.max_body_bytes,
                config.trusted_proxies.clone(),
                config.timeouts,
            ),
            peer_limits: ConnectionLimits::of_nodes(config.max_body_bytes, config.timeouts),
            few_limits: ConnectionLimits::of_few(config.timeouts),
            health,
            node: read.node,
        })
    }

    /// The facts about the ports that routes need.
    pub(crate) fn open_ports(&self) -> OpenPorts {
        let port = |address: Option<SocketAddr>| address.map(|address| address.port());
        OpenPorts {
            peers: port(self.peer_address()),
            metrics: port(self.metrics_address()),
        }
    }

    /// The address for clients: the one port, or that for HTTPS where the former is closed.
    pub(crate) fn client_address(&self) -> std::io::Result<SocketAddr> {
        match (&self.clients, self.https_address()) {
            (Some(clients), _) => clients.listener.local_addr(),
            (None, Some(address)) => Ok(address),
            (None, None) => Err(std::io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    /// Whether they speak HTTPS there.
    pub(crate) fn clients_speak_https(&self) -> bool {
        self.clients
            .as_ref()
            .is_none_or(|clients| clients.tls.is_some())
    }

    pub(crate) fn https_address(&self) -> Option<SocketAddr> {
        self.https.as_ref().map(|(socket, _)| socket.address())
    }

    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        self.peers.as_ref()?.0.local_addr().ok()
    }

    pub(crate) fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.0.local_addr().ok()
    }

    pub(crate) fn health_address(&self) -> Option<SocketAddr> {
        self.health.as_ref()?.local_addr().ok()
    }

    /// Serves at all ports until `closing`; probes get answers until `probed`.
    pub(crate) fn serve(
        self,
        node: &Node,
        client: Option<Arc<PeerClient>>,
        closing: CancellationToken,
        probed: CancellationToken,
    ) -> anyhow::Result<Serving> {
        let Self {
            clients,
            https,
            peers,
            metrics,
            health,
            node: identity,
            client_limits,
            peer_limits,
            few_limits,
        } = self;
        if let Some(listener) = health {
            let node = Arc::clone(node);
            HealthPort { listener, node }.start(probed)?;
        }
        let mut serving = Serving {
            node: Arc::clone(node),
            closing,
            ports: Vec::new(),
            background: Vec::new(),
        };
        // A node with a port for nodes uses that port's certificate as a client, otherwise the one for clients.
        let asks_as_node = peers.is_some();
        let (as_node, as_server) = match client {
            Some(client) if asks_as_node => (Some(client), None),
            client => (None, client),
        };
        let for_clients = if asks_as_node {
            Served::ToClients
        } else {
            Served::ToAll
        };
        if let Some((certificates, hosts)) = identity {
            let live = LiveIdentity {
                client: as_node,
                peers: peers.as_ref().map(|(_, live)| live.clone()),
                metrics: metrics.as_ref().and_then(|(_, live)| live.clone()),
                hosts,
            };
            serving.follow(certificates, move |identity| live.present(identity));
        }
        // One table for both ports: connections of an address at either count together.
        let of_clients = SharedTable::new(client_limits);
        let counted_at = |port| node.metrics.connections.at(port);
        if let Some((listener, live)) = peers {
            let service = ApiService::new(Arc::clone(node), Served::ToNodes);
            let counted = counted_at(CountedPort::Peers);
            serving.start(
                listener,
                service,
                Some(live),
                (SharedTable::new(peer_limits), counted),
            );
        }
        if let Some((listener, tls)) = metrics {
            let service = ApiService::of_metrics(Arc::clone(node));
            let counted = counted_at(CountedPort::Metrics);
            serving.start(
                listener,
                service,
                tls,
                (SharedTable::new(few_limits), counted),
            );
        }
        let service = ApiService::new(Arc::clone(node), for_clients);
        if let Some((socket, certificates)) = https {
            let connections = (of_clients.clone(), counted_at(CountedPort::Https));
            serving.start_late(socket, service.clone(), certificates, connections);
        }
        if let Some(ClientPort { listener, tls }) = clients {
            let live = tls.as_ref().map(|(_, live)| live.clone());
            if let Some((certificates, live)) = tls {
                serving.follow(certificates, move |identity| {
                    let config = identity.server_config()?;
                    if let Some(client) = &as_server {
                        client.present(identity)?;
                    }
                    live.replace(config);
                    Ok(())
                });
            }
            let counted = counted_at(CountedPort::Http);
            serving.start(listener, service, live, (of_clients, counted));
        }
        Ok(serving)
    }
}

/// Where the node's own certificate is shown.
struct LiveIdentity {
    client: Option<Arc<PeerClient>>,
    peers: Option<LiveTls>,
    metrics: Option<LiveTls>,
    hosts: KnownHosts,
}

impl LiveIdentity {
    /// Shows this certificate everywhere, or nowhere.
    fn present(&self, identity: &Identity) -> anyhow::Result<()> {
        let for_peers = identity.peer_tls(self.hosts.clone())?;
        let for_metrics = identity.metrics_config()?;
        if let Some(client) = &self.client {
            client.present(identity)?;
        }
        if let Some(live) = &self.peers {
            live.replace(for_peers);
        }
        if let Some(live) = &self.metrics {
            live.replace(for_metrics);
        }
        Ok(())
    }
}

impl Serving {
    fn port(
        &self,
        listener: TcpListener,
        service: ApiService,
        tls: Option<LiveTls>,
        (table, metrics): (SharedTable, PortMetrics),
    ) -> Port {
        Port {
            listener,
            service,
            tls,
            table,
            head_room: self.node.budgets.connections.clone(),
            metrics,
        }
    }

    fn start(
        &mut self,
        listener: TcpListener,
        service: ApiService,
        tls: Option<LiveTls>,
        connections: (SharedTable, PortMetrics),
    ) {
        let port = self.port(listener, service, tls, connections);
        self.ports
            .push(tokio::spawn(port.serve(self.closing.clone())));
    }

    /// Starts a port that opens when there is a certificate for it.
    fn start_late(
        &mut self,
        socket: HttpsSocket,
        service: ApiService,
        certificates: Certificates,
        connections: (SharedTable, PortMetrics),
    ) {
        self.node.tls.opens_late();
        let (opens, mut open) = watch::channel(None::<LiveTls>);
        self.follow(certificates, move |identity| {
            let config = identity.server_config()?;
            let live = opens.borrow().clone();
            match live {
                Some(live) => live.replace(config),
                None => drop(opens.send_replace(Some(LiveTls::new(config)))),
            }
            Ok(())
        });
        let serving = Self {
            node: Arc::clone(&self.node),
            closing: self.closing.clone(),
            ports: Vec::new(),
            background: Vec::new(),
        };
        self.ports.push(tokio::spawn(async move {
            let opened = tokio::select! {
                () = serving.closing.cancelled() => return Ok(()),
                opened = open.wait_for(Option::is_some) => opened.map(|live| live.clone()),
            };
            // Without a certificate the port would speak plain HTTP.
            let opened = opened.map_err(|_| {
                std::io::Error::other(
                    "the certificate of OSC_HTTPS_PORT is no longer read: restart the node",
                )
            })?;
            let address = socket.address();
            let listener = tokio::select! {
                () = serving.closing.cancelled() => return Ok(()),
                listener = socket.open(&serving.node.tls) => listener,
            };
            serving.node.tls.port_of_clients(Door::Open);
            tracing::info!(%address, "https_port_opened");
            let port = serving.port(listener, service, opened, connections);
            port.serve(serving.closing).await
        }));
    }

    fn follow(
        &mut self,
        certificates: Certificates,
        put_in_force: impl FnMut(&Identity) -> anyhow::Result<()> + Send + 'static,
    ) {
        self.background
            .push(tokio::spawn(certificates.follow(put_in_force)));
    }

    /// Waits until all ports have closed in good order, or until one of them has not.
    ///
    /// # Errors
    /// Where a port is not served any more, whatever the others do.
    pub(crate) async fn end(&mut self) -> anyhow::Result<()> {
        all_end(self.ports.drain(..)).await
    }
}

async fn all_end(
    ports: impl IntoIterator<Item = JoinHandle<std::io::Result<()>>>,
) -> anyhow::Result<()> {
    let ended = ports.into_iter().map(async |port| {
        let ended = port.await.context("a port was not served to its end")?;
        ended.context("the server ended")
    });
    try_join_all(ended).await.map(drop)
}

/// Certificates as they were at the start.
#[derive(Debug, Default)]
pub(crate) struct ReadCertificates {
    clients: Option<(Certificates, LiveTls)>,
    https: Option<Certificates>,
    peers: Option<LiveTls>,
    metrics: Option<LiveTls>,
    node: Option<(Certificates, KnownHosts)>,
}

/// A useless file stops the start, with the name of its setting.
fn usable<T>(setting: &str, read: anyhow::Result<T>) -> anyhow::Result<T> {
    read.map_err(|error| UsageError(vec![format!("{setting}: {error:#}")]).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_ends_with_an_error_is_noticed_while_another_one_serves() {
        let serves = tokio::spawn(std::future::pending());
        let fails = tokio::spawn(async { Err(std::io::Error::other("no certificate")) });
        let error = all_end([serves, fails]).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "the server ended: no certificate");
    }

    #[tokio::test]
    async fn all_ports_are_waited_for_that_close_in_good_order() {
        let (close, closed) = tokio::sync::oneshot::channel::<()>();
        let late = tokio::spawn(async move { closed.await.map_err(std::io::Error::other) });
        let mut all = std::pin::pin!(all_end([tokio::spawn(async { Ok(()) }), late]));
        assert!(futures::poll!(&mut all).is_pending());
        close.send(()).unwrap();
        all.await.unwrap();
    }
}
