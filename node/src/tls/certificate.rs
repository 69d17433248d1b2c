//! What a person must know of certificates before they fail.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What is told of the certificates in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateFacts {
    /// When the first of them ends, in seconds since 1970.
    pub ends: i64,
    /// Whether the first certificate of the file says that it is an authority: as `openssl req -x509` makes it without
    /// further options. Other nodes refuse such a one as a node's own.
    pub begins_with_authority: bool,
}

/// Reads the certificates of a PEM file; `None` where there is none that can be read.
pub fn facts(path: &Path) -> Option<CertificateFacts> {
    let certificates = super::certificates(path).ok()?;
    let read = |der: &CertificateDer<'_>| {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let constraints = certificate.basic_constraints().ok().flatten();
        Some((
            certificate.validity().not_after.timestamp(),
            constraints.is_some_and(|constraints| constraints.value.ca),
        ))
    };
    let read: Vec<_> = certificates.iter().filter_map(read).collect();
    let (_, begins_with_authority) = *read.first()?;
    Some(CertificateFacts {
        ends: read.iter().map(|(ends, _)| *ends).min()?,
        begins_with_authority,
    })
}
