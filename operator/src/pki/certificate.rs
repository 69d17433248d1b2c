//! A certificate as far as decisions need it.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

/// SHA-256 of a certificate's DER, in lower-case hexadecimal: how nodes name certificates in their status.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// A fingerprint that a node reported.
    pub fn new(text: &str) -> Self {
        Self(text.to_ascii_lowercase())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The whole certificate.
    pub der: CertificateDer<'static>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Begin of its validity.
    pub begins: Timestamp,
    /// End of its validity.
    pub ends: Timestamp,
    /// DNS names and IP addresses that it is for.
    pub names: BTreeSet<String>,
    /// Common name and organization of its subject.
    pub subject: (String, String),
    /// Identifier of its own key; one without such a name has the digest by which leaves name it.
    pub key_id: Vec<u8>,
    /// Identifier of the key that signed it.
    pub issuer_key_id: Option<Vec<u8>>,
    /// Its public key.
    pub public_key: Vec<u8>,
}

impl Certificate {
    /// The certificates of a PEM text, in their order; other parts are left out.
    pub fn read_all(pem: &[u8]) -> Vec<Self> {
        CertificateDer::pem_slice_iter(pem)
            .filter_map(Result::ok)
            .filter_map(|der| Self::of(&der))
            .collect()
    }

    /// The first certificate of a PEM text.
    pub fn read(pem: &[u8]) -> Option<Self> {
        Self::read_all(pem).into_iter().next()
    }

    /// This certificate; `None` where it cannot be parsed.
    pub fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let subject = parsed.subject();
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            attribute.as_str().ok().map(str::to_owned)
        };
        let names = (
            subject.iter_common_name().find_map(text),
            subject.iter_organization().find_map(text),
        );
        let mut own = None;
        let mut issuer = None;
        let mut alternatives = BTreeSet::new();
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => own = Some(id.0.to_vec()),
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    issuer = id.key_identifier.as_ref().map(|id| id.0.to_vec());
                }
                ParsedExtension::SubjectAlternativeName(found) => {
                    alternatives.extend(found.general_names.iter().filter_map(name));
                }
                _ => {}
            }
        }
        let time = |time: i64| Timestamp::from_second(time).ok();
        let public_key = parsed.public_key().subject_public_key.data.to_vec();
        Some(Self {
            fingerprint: Fingerprint(hexadecimal(&Sha256::digest(der))),
            begins: time(parsed.validity().not_before.timestamp())?,
            ends: time(parsed.validity().not_after.timestamp())?,
            names: alternatives,
            subject: (names.0.unwrap_or_default(), names.1.unwrap_or_default()),
            key_id: own.unwrap_or_else(|| digest_of(parsed.public_key().raw)),
            issuer_key_id: issuer,
            public_key,
            der: der.clone().into_owned(),
        })
    }

    /// As PEM, with a newline at its end.
    pub fn pem(&self) -> String {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(&self.der);
        let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem + "-----END CERTIFICATE-----\n"
    }

    /// Whether the key of that certificate signed this one.
    pub fn is_signed_by(&self, authority: &Self) -> bool {
        self.issuer_key_id.as_ref() == Some(&authority.key_id)
    }
}

/// RFC 7093, method 1.
fn digest_of(public_key: &[u8]) -> Vec<u8> {
    Sha256::digest(public_key).into_iter().take(20).collect()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let address: IpAddr = if let Ok(four) = <[u8; 4]>::try_from(*bytes) {
                four.into()
            } else {
                <[u8; 16]>::try_from(*bytes).ok()?.into()
            };
            Some(address.to_string())
        }
        _ => None,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        use fmt::Write;
        // Writing to a String never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
