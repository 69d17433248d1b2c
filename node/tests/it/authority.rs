//! Certificates for tests: an authority, and the certificates that it signs.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

/// The claims of a certificate about its holder.
pub(crate) struct Leaf<'n> {
    pub(crate) names: &'n [&'n str],
    pub(crate) usages: &'n [ExtendedKeyUsagePurpose],
    /// Days from now on which it begins and ends.
    pub(crate) days: (i64, i64),
}

/// Key usages of a node: to serve, and to authenticate to other nodes.
pub(crate) const OF_NODES: &[ExtendedKeyUsagePurpose] = &[
    ExtendedKeyUsagePurpose::ServerAuth,
    ExtendedKeyUsagePurpose::ClientAuth,
];
/// Key usages of a process that is only a client.
pub(crate) const OF_CLIENTS: &[ExtendedKeyUsagePurpose] = &[ExtendedKeyUsagePurpose::ClientAuth];

impl<'n> Leaf<'n> {
    /// A node's, good for a year.
    pub(crate) fn of_node(names: &'n [&'n str]) -> Self {
        Self {
            names,
            usages: OF_NODES,
            days: (-1, 365),
        }
    }
}

/// A certificate and its private key, both in PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(parameters, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn issue(&self, leaf: &Leaf<'_>) -> Pair {
        self.issue_until(leaf, leaf.days.1 * 86_400)
    }

    /// The same with an end in so many seconds.
    pub(crate) fn issue_until(&self, leaf: &Leaf<'_>, seconds: i64) -> Pair {
        let names: Vec<_> = leaf.names.iter().map(ToString::to_string).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.extended_key_usages = leaf.usages.to_vec();
        let at = |seconds: i64| {
            let seconds = now().checked_add_signed(seconds).unwrap();
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
        };
        (parameters.not_before, parameters.not_after) = (at(leaf.days.0 * 86_400), at(seconds));
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Writes the files that a node mounts.
pub(crate) fn write_node_tls(folder: &Path, pair: &Pair, authorities: &str) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("ca.crt"), authorities).unwrap();
    fs::write(folder.join("tls.key"), &pair.key).unwrap();
    fs::write(folder.join("tls.crt"), &pair.certificate).unwrap();
}

/// SHA-256 of a certificate's DER.
pub(crate) fn fingerprint(pem: &str) -> String {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    use sha2::{Digest, Sha256};
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let digest = Sha256::digest(&der);
    let bytes: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.concat()
}
