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
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        PrivateKeyDer,
        pem::{self, PemObject},
    },
};

use crate::pki::{Authority, Fingerprint, IssueError, StoredPki};

const CONNECT: Duration = Duration::from_secs(1);
/// How long an unused connection stays. Nodes that are waited for are asked every few seconds, all others every five minutes.
const IDLE: Duration = Duration::from_secs(10);
const HTTP: &[u8] = b"http/1.1";
/// The operator's certificate lives a year; another one is made long before.
const OWN_CERTIFICATE: SignedDuration = SignedDuration::from_hours(24 * 30);

/// The addresses of one cluster's nodes: their names do not resolve where the operator runs, or not yet.
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
    /// Its key cannot be read.
    #[error("failed to read the key of the operator's certificate")]
    Key(#[from] pem::Error),
    /// Its certificate or the cluster's authorities cannot be used.
    #[error("failed to use certificates for connections to nodes")]
    Tls(#[from] rustls::Error),
    /// The client cannot be made.
    #[error("failed to make a client for nodes")]
    Client(#[from] reqwest::Error),
}

/// The clients of all clusters, kept as long as their certificates are the same.
#[derive(Debug, Default)]
pub struct NodeClients(Mutex<HashMap<(String, String), Kept>>);

#[derive(Debug, Clone)]
struct Kept {
    /// The signer of the operator's certificate, and the authorities that the operator accepts.
    certificates: Vec<Fingerprint>,
    made: Timestamp,
    client: Client,
    addresses: PodAddresses,
}

impl NodeClients {
    /// The client for one cluster, and the addresses of its nodes; `None` while the cluster has no authority.
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
            // One that was made while the clock was ahead has not begun.
            && (found.made..found.made + OWN_CERTIFICATE).contains(&now)
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
    Ok(Client::builder()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .no_proxy()
        // Keys go to nodes and nowhere else.
        .redirect(Policy::none())
        .tls_backend_preconfigured(tls(signer, pki, now)?)
        .dns_resolver(addresses)
        .build()?)
}

/// The operator's side of handshakes. Every cluster has its own.
fn tls(signer: &Authority, pki: &StoredPki, now: Timestamp) -> Result<ClientConfig, ConnectError> {
    let own = signer.issue_operator_leaf(now)?;
    let key = PrivateKeyDer::from_pem_slice(own.key.pem().as_bytes())?;
    let mut roots = RootCertStore::empty();
    for authority in &pki.bundle {
        roots.add(authority.der.clone())?;
    }
    let provider = CryptoProvider::get_default().map(Arc::clone);
    let provider = provider.unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![own.certificate.der], key)?;
    tls.alpn_protocols = vec![HTTP.to_vec()];
    // A store of sessions takes 20 kB, and their tickets more: a handshake every five minutes costs less.
    tls.resumption = Resumption::disabled();
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(begin: Timestamp) -> StoredPki {
        let authority = Authority::create("team/demo", begin).unwrap();
        StoredPki {
            bundle: vec![authority.certificate.clone()],
            authority: Some(authority),
            ..StoredPki::default()
        }
    }

    #[test]
    fn the_operators_certificate_is_made_anew_after_thirty_days_and_for_another_authority() {
        // Another test of this process may have done it.
        let _ = aws_lc_rs::default_provider().install_default();
        let begin: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let (pki, clients) = (stored(begin), NodeClients::default());
        // Each client that is made has addresses of its own.
        let at = |days: i64, pki: &StoredPki| {
            let now = begin + SignedDuration::from_hours(24 * days);
            let (_, addresses) = clients.get(("team", "demo"), pki, now).unwrap().unwrap();
            addresses
        };
        let are_same = |one: &PodAddresses, other: &PodAddresses| Arc::ptr_eq(&one.0, &other.0);

        let first = at(0, &pki);
        assert!(are_same(&at(0, &pki), &first));
        assert!(are_same(&at(29, &pki), &first));
        let second = at(31, &pki);
        assert!(!are_same(&second, &first));
        assert!(are_same(&at(60, &pki), &second));
        assert!(!are_same(&at(60, &stored(begin)), &second));
    }

    #[test]
    fn the_operators_certificate_is_made_anew_where_the_clock_was_ahead() {
        let _ = aws_lc_rs::default_provider().install_default();
        let begin: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let (pki, clients) = (stored(begin), NodeClients::default());
        let at = |days: i64| {
            let now = begin + SignedDuration::from_hours(24 * days);
            let (_, addresses) = clients.get(("team", "demo"), &pki, now).unwrap().unwrap();
            addresses
        };
        let ahead = at(400);
        let back = at(0);
        assert!(!Arc::ptr_eq(&back.0, &ahead.0));
        assert!(Arc::ptr_eq(&at(1).0, &back.0));
    }

    #[test]
    fn clusters_share_no_client_and_one_that_is_gone_leaves_none() {
        let _ = aws_lc_rs::default_provider().install_default();
        let begin: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let (pki, clients) = (stored(begin), NodeClients::default());
        let of = |name: &str| {
            let (_, addresses) = clients.get(("team", name), &pki, begin).unwrap().unwrap();
            addresses
        };
        let demo = of("demo");
        assert!(!Arc::ptr_eq(&of("other").0, &demo.0));
        assert!(Arc::ptr_eq(&of("demo").0, &demo.0));
        clients.forget("team", "demo");
        assert!(!Arc::ptr_eq(&of("demo").0, &demo.0));

        let none = clients.get(("team", "new"), &StoredPki::default(), begin);
        assert!(none.unwrap().is_none(), "without an authority");
    }
}
