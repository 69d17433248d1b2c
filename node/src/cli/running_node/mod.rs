//! The running node with some settings, as commands beside it speak to it.

mod administration;
mod bootstrap;
mod health;
mod import;
mod unfence;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use anyhow::{Context, anyhow, ensure};
use bytes::{Bytes, BytesMut};
use opensecureconf_contract::{
    command::AdminCommand,
    route,
    status::{NodeDetails, NodeStatus},
};
use reqwest::{Method, StatusCode};
use serde::{
    Serialize,
    de::{DeserializeOwned, Error as _},
};

pub(crate) use administration::{
    Member, Removed, compare_salt, export_salt, force_delete, leave, log_level, members,
    remove_member, set_log_level,
};
pub(crate) use bootstrap::{BootstrappedCluster, bootstrap};
pub(crate) use health::{Probe, probe};
pub(crate) use import::import;
pub(crate) use unfence::unfence;

use crate::{
    budget::MessagePools,
    cluster::ProcessEpoch,
    config::{Config, PeerAddress, UsageError},
    peers::{Caller, MESSAGE_BYTES, PeerClient, PeerError, ResolvedHost},
    tls::Identity,
};

const TIMEOUT: Duration = Duration::from_secs(5);
/// For messages to and from the node, in bytes: the longest one is not small.
const MEMORY: usize = MESSAGE_BYTES / 3 * 4;

/// The status that a node reports.
#[derive(Debug)]
pub(crate) struct Status {
    /// A node that stands alone shows no name.
    pub(crate) node_id: Option<String>,
    pub(crate) details: NodeDetails,
}

/// A node that runs with the settings of a command, and the others that it lists.
pub(crate) struct RunningNode {
    client: PeerClient,
    pub(crate) address: PeerAddress,
    /// The settings that name its address.
    settings: &'static str,
    /// Whether the node accepts orders from its own machine only.
    pub(crate) local_orders: bool,
}

impl RunningNode {
    /// The node with this configuration.
    ///
    /// # Errors
    /// Where there is no cluster key to sign with, no port is named, or the certificates cannot be used.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Self> {
        let cluster_keys = config.cluster_keys.clone().ok_or_else(|| {
            UsageError(vec![
                "OSC_CLUSTER_KEY is missing: the running node obeys a holder of its cluster key only; give OSC_CLUSTER_KEY or \
                 OSC_CLUSTER_KEY_FILE as that node has it (a node without one obeys no command: restart it with one)"
                    .to_owned(),
            ])
        })?;
        let https = config.https.as_ref().filter(|_| !config.http_enabled);
        let (listen, tls, settings) = match (config.peer_listen, https) {
            (Some(peers), _) => (peers, config.peer_tls(), "OSC_HOST, OSC_PEER_PORT"),
            (None, Some(https)) => (https.listen, Some(&https.files), "OSC_HOST, OSC_HTTPS_PORT"),
            (None, None) => (config.listen, config.peer_tls(), "OSC_HOST, OSC_HOST_PORT"),
        };
        ensure!(
            listen.port() != 0,
            "the port is 0, so the node took a free one: name it ({settings})"
        );
        // A node that listens everywhere listens here too.
        let ip = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let identity = tls.map(Identity::read).transpose();
        let identity = identity
            .map_err(|error| UsageError(vec![format!("{}: {error:#}", tls_settings(config))]))?;
        let name = identity.as_ref().and_then(|identity| identity.name_at(ip));
        let resolved = name.map(|name| ResolvedHost { name, address: ip });
        let host = resolved.as_ref().map(|host| host.name.clone());
        let caller = Caller {
            name: None,
            process_epoch: ProcessEpoch::from_random(rand::random()),
            cluster_keys,
            policy: config.peer_proof,
            tls: identity,
            resolved,
        };
        Ok(Self {
            client: PeerClient::new(caller, MessagePools::new(MEMORY))?,
            address: PeerAddress {
                host: host.unwrap_or_else(|| ip.to_string()),
                port: listen.port(),
            },
            settings,
            local_orders: config.peer_listen.is_some(),
        })
    }

    /// The status that the node reports.
    ///
    /// # Errors
    /// Where it does not answer, or refuses.
    pub(crate) async fn status(&self) -> anyhow::Result<Status> {
        let Self {
            address, settings, ..
        } = self;
        match self.try_status_of(address).await {
            Err(error @ (PeerError::Refused { .. } | PeerError::NoProof(_))) => {
                Err(refused(error, address))
            }
            answer => answer.with_context(|| {
                format!("the node at {address} ({settings}) must be up to be instructed")
            }),
        }
    }

    /// The status that a node reports.
    pub(crate) async fn status_of(&self, node: &PeerAddress) -> anyhow::Result<Status> {
        Ok(self.try_status_of(node).await?)
    }

    async fn try_status_of(&self, node: &PeerAddress) -> Result<Status, PeerError> {
        let path = route::STATUS_WITH_DETAILS;
        let status = self
            .client
            .ask_route(Method::GET, node, path, Bytes::new(), TIMEOUT)
            .await?;
        let status: NodeStatus = serde_json::from_slice(&status).map_err(PeerError::Unreadable)?;
        let without = || PeerError::Unreadable(serde_json::Error::missing_field("details"));
        Ok(Status {
            node_id: status.node_id,
            details: status.details.ok_or_else(without)?,
        })
    }

    /// Sends a request with the cluster key; gives the body of the answer.
    ///
    /// # Errors
    /// Where it does not answer, or refuses.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
        timeout: Duration,
    ) -> anyhow::Result<BytesMut> {
        let answer = self
            .client
            .ask_route(method, &self.address, path, body.into(), timeout)
            .await;
        answer.map_err(|error| refused(error, &self.address))
    }

    /// Sends an order about the node's membership.
    ///
    /// # Errors
    /// Where it does not answer, or refuses.
    pub(crate) async fn command<T: DeserializeOwned>(
        &self,
        command: &AdminCommand<'_>,
        timeout: Duration,
    ) -> anyhow::Result<T> {
        let body = command.body().map(|body| serde_json::to_vec(&body));
        let body = body.transpose()?.unwrap_or_default();
        let path = command.path();
        let answer = self.ask(Method::POST, &path, body, timeout).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Sends an order of the cluster admin.
    pub(crate) async fn order<T: DeserializeOwned>(
        &self,
        path: &str,
        order: &impl Serialize,
        timeout: Duration,
    ) -> anyhow::Result<T> {
        self.order_to(&self.address, path, order, timeout).await
    }

    /// Sends an order of the cluster admin to a listed node.
    pub(crate) async fn order_to<T: DeserializeOwned>(
        &self,
        node: &PeerAddress,
        path: &str,
        order: &impl Serialize,
        timeout: Duration,
    ) -> anyhow::Result<T> {
        let answer = self
            .client
            .post(&node.to_string(), path, order, timeout)
            .await;
        answer.map_err(|error| refused(error, node))
    }
}

/// The settings of the certificate with which a command asks.
fn tls_settings(config: &Config) -> &'static str {
    match config.peer_listen {
        Some(_) => "OSC_NODE_TLS_DIR",
        None => "OSC_SSL_CERTFILE, OSC_SSL_KEYFILE",
    }
}

fn refused(error: PeerError, node: &PeerAddress) -> anyhow::Error {
    match error {
        PeerError::Refused { text, .. } => anyhow!("the node refused: {text}"),
        // This is a client's port, or a node without a cluster key: no older release, and a key in clear would not help.
        PeerError::NoProof(answer) if answer.status() == Some(StatusCode::NOT_FOUND) => anyhow!(
            "the node at {node} does not take this there: give OSC_CLUSTER_KEY, OSC_PEER_PORT and OSC_NODE_TLS_DIR as that node has \
             them ({answer})"
        ),
        error => anyhow::Error::from(error).context(format!("the node at {node}")),
    }
}
