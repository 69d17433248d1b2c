//! Facts about certificates that a person must know before they fail.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

/// The logged facts about the certificates in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateFacts {
    /// When the first of them ends, in seconds since 1970.
    pub ends: i64,
    /// Whether the first certificate of the file is marked as an authority, as `openssl req -x509` makes it without further
    /// options. Other nodes refuse such a certificate as a node's own.
    pub begins_with_authority: bool,
}

/// Reads the certificates of a PEM file; `None` where there is none that can be read.
pub fn facts(path: &Path) -> Option<CertificateFacts> {
    let certificates = super::certificates(path).ok()?;
    let begins_with_authority = X509Certificate::from_der(certificates.first()?)
        .ok()
        .and_then(|(_, certificate)| {
            let constraints = certificate.basic_constraints().ok().flatten()?;
            Some(constraints.value.ca)
        });
    Some(CertificateFacts {
        ends: first_end(&certificates)?,
        begins_with_authority: begins_with_authority.unwrap_or_default(),
    })
}

/// Whether a certificate is of X.509 version 1, as `openssl x509 -req` makes it without extensions. No library accepts it.
pub(super) fn is_version_1(der: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(der)
        .is_ok_and(|(_, certificate)| certificate.version() == X509Version::V1)
}

/// When a certificate ends, in seconds since 1970; `None` where it cannot be read.
pub(crate) fn end(der: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// When the first of some certificates ends.
pub(super) fn first_end(certificates: &[CertificateDer<'_>]) -> Option<i64> {
    certificates.iter().filter_map(end).min()
}
