//! An authority with its key, and the certificates that it issues.

use std::{fmt, net::IpAddr};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use time::OffsetDateTime;

use super::{AltNames, Certificate};

/// The name in the operator's own certificates. Only a caller with it may send administrative orders to nodes.
pub const OPERATOR_NAME: &str = "operator.opensecureconf.io";
/// Clocks may differ by so much.
const DATED_BACK: SignedDuration = SignedDuration::from_hours(1);
const AUTHORITY_DAYS: i64 = 3652;
const LEAF_DAYS: i64 = 365;
/// Longest text of one attribute of a name (X.520).
const ATTRIBUTE: usize = 64;

/// A private key, as PKCS#8 in PEM. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKeyPem(String);

impl PrivateKeyPem {
    /// A key that was read.
    pub fn new(pem: String) -> Self {
        Self(pem)
    }

    /// For a file or a Secret.
    pub fn pem(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyPem(***)")
    }
}

/// Why no certificate could be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The library refuses.
    #[error("failed to issue a certificate: {0}")]
    Refused(#[from] rcgen::Error),
    /// Verifiers would not find the authority by the name that its certificates would have for it.
    #[error(
        "failed to issue a certificate: the subject of the authority's certificate cannot be repeated; use an authority whose subject has each kind of \
         attribute once, such as CN=...,O=..."
    )]
    Subject,
}

/// The signer of leaves: P-256, ten years.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its certificate.
    pub certificate: Certificate,
    /// Its key.
    pub key: PrivateKeyPem,
}

/// A certificate that an authority issued, with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The certificate.
    pub certificate: Certificate,
    /// The key.
    pub key: PrivateKeyPem,
}

impl Authority {
    /// A new authority; `cluster` is shown to people and has no other meaning.
    pub fn create(cluster: &str, now: Timestamp) -> Result<Self, IssueError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        // Two authorities of one cluster have two names: some verifiers look for the issuer by its name alone.
        let id = now.as_second();
        let mut params = subject(&format!("OpenSecureConf node authority {id}"), cluster);
        params.not_before = date(now - DATED_BACK);
        params.not_after = date(after_days(now, AUTHORITY_DAYS));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Self::read(certificate.pem().as_bytes(), &key.serialize_pem())
            .ok_or(IssueError::Refused(rcgen::Error::CouldNotParseCertificate))
    }

    /// A stored authority; `None` where certificate or key cannot be read, or do not belong together.
    pub fn read(certificate: &[u8], key: &str) -> Option<Self> {
        let certificate = Certificate::read(certificate)?;
        let pair = key_pair(key).ok()?;
        (pair.public_key_raw() == certificate.public_key).then(|| Self {
            certificate,
            key: PrivateKeyPem(key.to_owned()),
        })
    }

    /// The leaf that all nodes of the cluster share: for servers and for clients.
    pub fn issue_node_leaf(&self, names: &AltNames, now: Timestamp) -> Result<Leaf, IssueError> {
        let alternatives = names.iter().map(|name| alternative(name));
        let mut params = subject("OpenSecureConf node", &self.certificate.subject.1);
        params.subject_alt_names = alternatives.collect::<Result<_, _>>()?;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        self.issue(params, now)
    }

    /// The operator's own certificate, for clients only.
    pub fn issue_operator_leaf(&self, now: Timestamp) -> Result<Leaf, IssueError> {
        let mut params = subject("OpenSecureConf operator", &self.certificate.subject.1);
        params.subject_alt_names = vec![alternative(OPERATOR_NAME)?];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, now)
    }

    fn issue(&self, mut params: CertificateParams, now: Timestamp) -> Result<Leaf, IssueError> {
        let own_key = key_pair(self.key.pem())?;
        let mut issuer = CertificateParams::default();
        issuer.distinguished_name =
            super::subject::of(&self.certificate.der).ok_or(IssueError::Subject)?;
        issuer.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // The key's name from the certificate: another release may have derived it otherwise.
        let key_id = self.certificate.key_id.clone();
        issuer.key_identifier_method = KeyIdMethod::PreSpecified(key_id);
        let issuer = Issuer::new(issuer, own_key);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let ends = after_days(now, LEAF_DAYS).min(self.certificate.ends);
        params.not_before = date(now - DATED_BACK);
        params.not_after = date(ends);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &issuer)?;
        if !super::subject::is_issuer(certificate.der(), &self.certificate.der) {
            return Err(IssueError::Subject);
        }
        Leaf::read(certificate.pem().as_bytes(), &key.serialize_pem())
            .ok_or(IssueError::Refused(rcgen::Error::CouldNotParseCertificate))
    }

    /// When it was made.
    pub fn created(&self) -> Timestamp {
        self.certificate.begins + DATED_BACK
    }
}

impl Leaf {
    /// A stored leaf; `None` where certificate or key cannot be read, or do not belong together.
    pub fn read(certificate: &[u8], key: &str) -> Option<Self> {
        let Authority { certificate, key } = Authority::read(certificate, key)?;
        Some(Self { certificate, key })
    }

    /// When it was issued.
    pub fn issued(&self) -> Timestamp {
        self.certificate.begins + DATED_BACK
    }
}

/// The key in a PEM text, whatever stands beside it: `openssl ecparam -genkey` puts the parameters of the curve before it.
fn key_pair(pem: &str) -> Result<KeyPair, rcgen::Error> {
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes());
    KeyPair::try_from(&key.map_err(|_| rcgen::Error::CouldNotParseKeyPair)?)
}

/// Parameters with only a subject.
fn subject(name: &str, organization: &str) -> CertificateParams {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, shortened(name));
    if !organization.is_empty() {
        subject.push(DnType::OrganizationName, shortened(organization));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params
}

fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(ATTRIBUTE))
        .unwrap_or_default()
}

fn alternative(name: &str) -> Result<SanType, rcgen::Error> {
    match name.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => Ok(SanType::DnsName(name.try_into()?)),
    }
}

fn after_days(now: Timestamp, days: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_hours(24 * days))
        .unwrap_or(Timestamp::MAX)
}

/// X.509 counts whole seconds.
fn date(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
