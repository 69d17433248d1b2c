//! Connections to nodes over mutual TLS: the operator shows a certificate of its own, and verifies nodes by their names,
//! wherever their pods are.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use reqwest::{
    Certificate as Root, Client, Identity,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};

use crate::pki::{Authority, Fingerprint, IssueError, StoredPki};

const CONNECT: Duration = Duration::from_secs(1);
/// The operator's certificate lives a year; another one is made long before.
const OWN_CERTIFICATE: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Where the nodes of one cluster are: their names do not resolve where the operator runs, or not yet.
#[derive(Debug, Clone, Default)]
pub struct PodAddresses(Arc<Mutex<HashMap<String, IpAddr>>>);

impl PodAddresses {
    /// Replaces all of them.
    pub fn set(&self, addresses: HashMap<String, IpAddr>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    fn get(&self, name: &str) -> Option<IpAddr> {
        let addresses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.get(name).copied()
    }
}

impl Resolve for PodAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.get(name.as_str());
        Box::pin(async move {
            let address = found.ok_or_else(|| format!("no pod is called {}", name.as_str()))?;
            let addresses: Addrs = Box::new(std::iter::once(SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// Why there is no connection to the nodes of a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The operator's certificate cannot be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The client cannot be made.
    #[error("failed to make a client for nodes")]
    Client(#[from] reqwest::Error),
}

/// The clients of all clusters, kept as long as their certificates are the same.
#[derive(Debug, Default)]
pub struct NodeClients(Mutex<HashMap<(String, String), Kept>>);

#[derive(Debug, Clone)]
struct Kept {
    /// Who signed the operator's certificate, and whom it accepts.
    certificates: Vec<Fingerprint>,
    made: Timestamp,
    client: Client,
    addresses: PodAddresses,
}

impl NodeClients {
    /// The client for one cluster, and where its nodes take requests; `None` while the cluster has no authority.
    ///
    /// # Errors
    /// Where a certificate cannot be issued or used.
    pub fn get(
        &self,
        cluster: (&str, &str),
        pki: &StoredPki,
        now: Timestamp,
    ) -> Result<Option<(Client, PodAddresses)>, ConnectError> {
        let place = (cluster.0.to_owned(), cluster.1.to_owned());
        let Some(signer) = pki.operators_signer(now) else {
            return Ok(None);
        };
        let certificates: Vec<_> = std::iter::once(&signer.certificate)
            .chain(&pki.bundle)
            .map(|certificate| certificate.fingerprint.clone())
            .collect();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.get(&place)
            && found.certificates == certificates
            && found.made + OWN_CERTIFICATE > now
        {
            return Ok(Some((found.client.clone(), found.addresses.clone())));
        }
        let addresses = PodAddresses::default();
        let made = Kept {
            certificates,
            made: now,
            client: connect(&signer, pki, addresses.clone(), now)?,
            addresses,
        };
        let answer = (made.client.clone(), made.addresses.clone());
        kept.insert(place, made);
        Ok(Some(answer))
    }

    /// Drops the client of a cluster that is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(&(namespace.to_owned(), name.to_owned()));
    }
}

fn connect(
    signer: &Authority,
    pki: &StoredPki,
    addresses: PodAddresses,
    now: Timestamp,
) -> Result<Client, ConnectError> {
    let own = signer.issue_operator_leaf(now)?;
    let identity = own.certificate.pem() + own.key.pem();
    let roots = pki
        .bundle
        .iter()
        .map(|certificate| Root::from_der(&certificate.der))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Client::builder()
        .connect_timeout(CONNECT)
        .no_proxy()
        // Keys go to nodes and nowhere else.
        .redirect(Policy::none())
        .tls_certs_only(roots)
        .identity(Identity::from_pem(identity.as_bytes())?)
        .dns_resolver(addresses)
        .build()?)
}
