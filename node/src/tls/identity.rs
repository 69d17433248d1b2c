//! A certificate with its private key and the authorities that go with it, read together.

use std::{fmt, net::IpAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime},
    server::{
        NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier, danger::ClientCertVerifier,
    },
};
use sha2::{Digest, Sha256};

use super::{
    InForce, KnownHosts,
    admission::{PeerVerifier, name_at},
    certificate::{end, is_version_1},
    certificates, private_key,
};
use crate::config::TlsFiles;

/// How TLS is spoken at a port.
#[derive(Debug)]
pub struct PortTls {
    pub(crate) config: ServerConfig,
    /// Judges the certificates of nodes and the operator; `None` at a port for clients, which need no certificate.
    pub(crate) nodes: Option<Arc<dyn ClientCertVerifier>>,
    /// When the certificate ends that this port shows to nodes, in seconds since 1970; `None` at a port for clients.
    pub(crate) leaf_ends: Option<i64>,
}

impl From<ServerConfig> for PortTls {
    fn from(config: ServerConfig) -> Self {
        Self {
            config,
            nodes: None,
            leaf_ends: None,
        }
    }
}

/// The content of the files of one certificate.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authorities: Option<Vec<CertificateDer<'static>>>,
    /// The files of the chain and the key, for messages about them.
    files: [PathBuf; 2],
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads the files.
    ///
    /// # Errors
    /// Where one of them cannot be used, or where certificate and key do not fit together.
    pub fn read(files: &TlsFiles) -> anyhow::Result<Self> {
        let key = private_key::read(&files.key, files.key_password.as_ref())
            .with_context(|| format!("cannot use the private key {}", files.key.display()));
        let identity = Self {
            chain: certificates(&files.certificate)?,
            key: key?,
            authorities: files
                .client_authorities
                .as_deref()
                .map(certificates)
                .transpose()?,
            files: [files.certificate.clone(), files.key.clone()],
        };
        identity.server_config()?;
        Ok(identity)
    }

    /// HTTPS for clients. Where there are authorities, a client may show a certificate, which some routes demand.
    ///
    /// # Errors
    /// Where certificate and key do not fit together, or an authority is none.
    pub fn server_config(&self) -> anyhow::Result<ServerConfig> {
        let builder = server()?;
        let Some(roots) = self.roots()? else {
            return self.finished(builder.with_no_client_auth());
        };
        // Every client is asked for a certificate, and a route may demand it: probes and scrapers have none.
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .allow_unauthenticated()
            .build()?;
        self.finished(builder.with_client_cert_verifier(verifier))
    }

    /// HTTPS for clients that have no certificates, such as Prometheus.
    ///
    /// # Errors
    /// Where certificate and key do not fit together.
    pub fn metrics_config(&self) -> anyhow::Result<ServerConfig> {
        self.finished(server()?.with_no_client_auth())
    }

    /// Mutual TLS for nodes of these hosts and for the operator.
    ///
    /// # Errors
    /// Where there are no authorities, or certificate and key do not fit together.
    pub fn peer_tls(&self, hosts: KnownHosts) -> anyhow::Result<PortTls> {
        let roots = self.roots()?.context("there are no authorities of nodes")?;
        let leaf = self.chain.first().context("there is no certificate")?;
        let verifier = PeerVerifier::new(roots, provider(), leaf, hosts)?;
        let verifier: Arc<dyn ClientCertVerifier> = Arc::new(verifier);
        let builder = server()?.with_client_cert_verifier(Arc::clone(&verifier));
        let mut config = self.finished(builder)?;
        // A resumed session would not be asked for its certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(PortTls {
            config,
            nodes: Some(verifier),
            leaf_ends: end(leaf),
        })
    }

    /// How a node verifies others and proves itself to them: the same authorities and the same certificate as towards clients.
    ///
    /// # Errors
    /// Where certificate and key do not belong together, or an authority is invalid.
    pub fn client_config(&self) -> anyhow::Result<ClientConfig> {
        let roots = match self.roots()? {
            Some(roots) => roots,
            // Without authorities of its own, a cluster's certificate is its own authority.
            None => store(&self.chain)?,
        };
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions()?;
        builder
            .with_root_certificates(roots)
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .with_context(|| self.misfit())
    }

    /// Whether others of this cluster accept it now, both as a client and as a server.
    ///
    /// # Errors
    /// Where they do not: its own authorities have not signed it, it has ended or not begun, or it is for another purpose.
    pub fn verify(&self) -> anyhow::Result<()> {
        let roots = self.roots()?.context("there are no authorities of nodes")?;
        let (leaf, others) = self
            .chain
            .split_first()
            .context("there is no certificate")?;
        let [certificate, _] = &self.files;
        let refused = |by: &str| format!("{by} refuse {}", certificate.display());
        let now = UnixTime::now();
        let provider = provider();
        let parsed = ParsedCertificate::try_from(leaf)?;
        let algorithms = provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, others, now, algorithms)
            .with_context(|| refused("nodes that ask this one would"))?;
        WebPkiClientVerifier::builder_with_provider(roots, provider)
            .build()?
            .verify_client_cert(leaf, others, now)
            .with_context(|| refused("nodes that this one asks would"))?;
        Ok(())
    }

    /// A digest over its certificates and authorities.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new_with_prefix(self.chain.len().to_be_bytes());
        for part in self.chain.iter().chain(self.authorities.iter().flatten()) {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    /// The facts that the status shows of it.
    pub fn in_force(&self) -> InForce {
        InForce::of(&self.chain, self.authorities.as_deref())
    }

    /// The name by which a program beside the node verifies it, where it reaches it at this address; `None` where the
    /// certificate has the address itself, or no name.
    pub fn name_at(&self, address: IpAddr) -> Option<String> {
        name_at(self.chain.first()?, address)
    }

    fn finished(
        &self,
        builder: ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
    ) -> anyhow::Result<ServerConfig> {
        let config = builder.with_single_cert(self.chain.clone(), self.key.clone_key());
        let mut config = config.with_context(|| self.misfit())?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn roots(&self) -> anyhow::Result<Option<Arc<RootCertStore>>> {
        self.authorities.as_deref().map(store).transpose()
    }

    fn misfit(&self) -> String {
        let [certificate, key] = &self.files;
        if self.chain.first().is_some_and(is_version_1) {
            return format!(
                "certificate {} is of X.509 version 1, and version 3 is needed; openssl x509 -req needs -extfile FILE with \
                 subjectAltName=DNS:NAME",
                certificate.display()
            );
        }
        format!(
            "certificate {} and private key {} do not fit together, or the chain does not begin with the node's own certificate",
            certificate.display(),
            key.display()
        )
    }
}

fn store(certificates: &[CertificateDer<'static>]) -> anyhow::Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for authority in certificates {
        roots.add(authority.clone())?;
    }
    Ok(Arc::new(roots))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn server() -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, rustls::Error> {
    ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()
}
