//! The trial of an authority that a user provides, before nodes are given it. Pure.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use rustls::{RootCertStore, pki_types::UnixTime, server::WebPkiClientVerifier};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{AltNames, Authority, Certificate, IssueError, Leaf};

/// Why an authority cannot be used, in words for its owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// There is no certificate with its key.
    #[error("tls.crt or tls.key cannot be read, or they do not belong together")]
    Unreadable,
    /// Nothing that it signs is valid any more.
    #[error("it has ended on {0}")]
    Ended(Timestamp),
    /// Some clients accept nothing that it signs.
    #[error("it begins on {0} only")]
    NotBegun(Timestamp),
    /// Some clients accept nothing that it signs.
    #[error("it is the certificate of no authority: it lacks basicConstraints CA:TRUE")]
    NoAuthority,
    /// The same.
    #[error("its keyUsage lacks keyCertSign")]
    NotForSigning,
    /// Certificates would not name it as their issuer.
    #[error(
        "its subject has one kind of attribute twice, or a text in an old encoding; use one such as CN=...,O=..."
    )]
    Subject,
    /// It signs nothing, or nodes would refuse what it signs.
    #[error("what it signs is of no use: {0}")]
    Refused(String),
}

/// Issues certificates as they would be issued, and verifies them as nodes do.
///
/// # Errors
/// Where the authority is of no use.
pub fn try_out(authority: &Authority, names: &AltNames, now: Timestamp) -> Result<(), Unusable> {
    let certificate = &authority.certificate;
    if certificate.ends <= now {
        return Err(Unusable::Ended(certificate.ends));
    }
    if certificate.begins > now {
        return Err(Unusable::NotBegun(certificate.begins));
    }
    let parsed = X509Certificate::from_der(&certificate.der);
    let (_, parsed) = parsed.map_err(|_| Unusable::Unreadable)?;
    let constraints = parsed.basic_constraints().ok().flatten();
    if !constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err(Unusable::NoAuthority);
    }
    // Without a key usage there is no limit.
    let usage = parsed.key_usage().ok().flatten();
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err(Unusable::NotForSigning);
    }
    for leaf in [
        authority.issue_node_leaf(names, now),
        authority.issue_operator_leaf(now),
    ] {
        let leaf = leaf.map_err(|error| match error {
            IssueError::Subject => Unusable::Subject,
            IssueError::Refused(source) => Unusable::Refused(source.to_string()),
        })?;
        is_accepted(&leaf, certificate, now)
            .map_err(|error| Unusable::Refused(error.to_string()))?;
    }
    Ok(())
}

fn is_accepted(
    leaf: &Leaf,
    authority: &Certificate,
    now: Timestamp,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
    let seconds = u64::try_from(now.as_second())?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    verifier.verify_client_cert(&leaf.certificate.der, &[], now)?;
    Ok(())
}

#[cfg(test)]
mod tests;
