//! The certificates that open the port for nodes: that of a node of this cluster, and that of its operator. All others are
//! refused in the handshake, before a byte of a request is read.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

/// The name in the certificate of the operator, and of nothing else.
pub const OPERATOR_NAME: &str = "operator.opensecureconf.io";

/// Stands for any label that a wildcard allows.
const ANY_LABEL: &str = "node";

/// The role of a certificate's holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateRole {
    /// A node of this cluster. Its name, incarnation and process in the message show which one.
    Node,
    /// The operator of this cluster.
    Operator,
}

impl CertificateRole {
    /// The role in a certificate that a [`PeerVerifier`] has accepted. The operator's name must stand there literally: a
    /// wildcard that would cover it is made for other names, and gives no orders.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        let is_operator = X509Certificate::from_der(certificate).is_ok_and(|(_, certificate)| {
            alternatives(&certificate).any(|name| {
                matches!(name, GeneralName::DNSName(name) if name.eq_ignore_ascii_case(OPERATOR_NAME))
            })
        });
        if is_operator {
            Self::Operator
        } else {
            Self::Node
        }
    }
}

/// Hosts of this cluster's nodes: the listed ones, and those of members. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts(Arc<RwLock<Hosts>>);

#[derive(Debug, Default)]
struct Hosts {
    listed: Vec<ServerName<'static>>,
    of_members: Vec<ServerName<'static>>,
}

impl KnownHosts {
    /// The list names these hosts now.
    pub fn list<'h>(&self, hosts: impl Iterator<Item = &'h str>) {
        let hosts = names(hosts);
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .listed = hosts;
    }

    /// Members are at these hosts now.
    pub fn hold<'h>(&self, hosts: impl Iterator<Item = &'h str>) {
        let hosts = names(hosts);
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .of_members = hosts;
    }

    fn first(&self, fits: impl Fn(&ServerName<'static>) -> bool) -> Option<ServerName<'static>> {
        let hosts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = hosts.listed.iter().chain(&hosts.of_members);
        all.find(|name| fits(name)).cloned()
    }
}

/// A text that cannot be a certificate's name is at no host.
fn names<'h>(hosts: impl Iterator<Item = &'h str>) -> Vec<ServerName<'static>> {
    hosts
        .filter_map(|host| ServerName::try_from(host.to_owned()).ok())
        .collect()
}

/// Accepts certificates of the cluster's authorities that are valid now and show a [`CertificateRole`].
#[derive(Debug)]
pub(super) struct PeerVerifier {
    clients: Arc<dyn ClientCertVerifier>,
    servers: Arc<WebPkiServerVerifier>,
    /// This node's own certificate: the nodes of a cluster may share it, and programs beside the node show it.
    leaf: CertificateDer<'static>,
    /// The names in it.
    own: Vec<ServerName<'static>>,
    hosts: KnownHosts,
}

impl PeerVerifier {
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        provider: Arc<CryptoProvider>,
        leaf: &CertificateDer<'_>,
        hosts: KnownHosts,
    ) -> anyhow::Result<Self> {
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        Ok(Self {
            clients: clients.build()?,
            servers: WebPkiServerVerifier::builder_with_provider(roots, provider).build()?,
            leaf: leaf.clone().into_owned(),
            own: own_names(leaf),
            hosts,
        })
    }

    /// A name of a node that the certificate has.
    fn node_name(&self, certificate: &CertificateDer<'_>) -> Option<ServerName<'static>> {
        let fits = |name: &ServerName<'static>| bears(certificate, name);
        let own = self.own.iter().find(|name| fits(name)).cloned();
        own.or_else(|| self.hosts.first(fits))
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.clients.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .clients
            .verify_client_cert(end_entity, intermediates, now)?;
        if CertificateRole::of(end_entity) == CertificateRole::Operator || *end_entity == self.leaf
        {
            return Ok(verified);
        }
        // A node serves too: a certificate that others could not verify as a node's is none.
        let name = self.node_name(end_entity);
        let name = name.ok_or(CertificateError::NotValidForName)?;
        self.servers
            .verify_server_cert(end_entity, intermediates, &name, &[], now)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.clients
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.clients
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.clients.supported_verify_schemes()
    }
}

/// Whether a certificate has this name.
fn bears(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let parsed = ParsedCertificate::try_from(certificate);
    parsed.is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok())
}

/// The alternative names of a certificate.
fn alternatives<'c>(
    certificate: &'c X509Certificate<'c>,
) -> impl Iterator<Item = &'c GeneralName<'c>> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    extension
        .into_iter()
        .flat_map(|extension| &extension.value.general_names)
}

/// The names of a certificate, except those that every machine gives to itself. A wildcard becomes one of its names.
fn own_names(leaf: &CertificateDer<'_>) -> Vec<ServerName<'static>> {
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
        return Vec::new();
    };
    let names = alternatives(&certificate).filter_map(|name| {
        let name = match name {
            GeneralName::DNSName(name) => match name.strip_prefix('*') {
                Some(rest) => ServerName::try_from(format!("{ANY_LABEL}{rest}")).ok()?,
                None => ServerName::try_from((*name).to_owned()).ok()?,
            },
            GeneralName::IPAddress(bytes) => ServerName::IpAddress(address(bytes)?.into()),
            _ => return None,
        };
        (!is_loopback(&name)).then_some(name)
    });
    names.collect()
}

/// The name by which a program beside a node verifies its certificate, where it reaches it at this address; `None` where the
/// certificate has the address itself.
pub(super) fn name_at(leaf: &CertificateDer<'_>, address: IpAddr) -> Option<String> {
    if bears(leaf, &ServerName::from(address)) {
        return None;
    }
    let localhost = ServerName::try_from("localhost").ok();
    let own = own_names(leaf).into_iter();
    let name = localhost.filter(|name| bears(leaf, name)).or_else(|| {
        own.filter(|name| matches!(name, ServerName::DnsName(_)))
            .find(|name| bears(leaf, name))
    });
    name.map(|name| name.to_str().into_owned())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn is_loopback(name: &ServerName<'_>) -> bool {
    match name {
        ServerName::DnsName(name) => name.as_ref().eq_ignore_ascii_case("localhost"),
        ServerName::IpAddress(address) => IpAddr::from(*address).is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn only_who_has_the_operators_very_name_is_the_operator() {
        let role = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            let certificate = CertificateParams::new(names)
                .unwrap()
                .self_signed(&KeyPair::generate().unwrap())
                .unwrap();
            CertificateRole::of(certificate.der())
        };
        assert_eq!(role(&[OPERATOR_NAME]), CertificateRole::Operator);
        assert_eq!(
            role(&["a.example", OPERATOR_NAME]),
            CertificateRole::Operator
        );
        for other in ["*.opensecureconf.io", "opensecureconf.io", "a.example"] {
            assert_eq!(role(&[other]), CertificateRole::Node, "{other}");
        }
    }

    #[test]
    fn a_member_at_a_host_that_no_list_names_is_known_for_as_long_as_it_is_one() {
        let hosts = KnownHosts::default();
        let unlisted = ServerName::try_from("c.example").unwrap();
        let is_known = || hosts.first(|name| *name == unlisted).is_some();
        hosts.list(["a.example", "b.example"].into_iter());
        assert!(!is_known());
        hosts.hold(["a.example", "c.example"].into_iter());
        assert!(is_known());
        hosts.list(["a.example"].into_iter());
        assert!(is_known(), "a list says nothing of members");
        hosts.hold(["a.example"].into_iter());
        assert!(!is_known());
    }
}
