//! HTTPS: certificates from PEM files.

mod certificate;
mod private_key;

use std::{path::Path, sync::Arc};

use anyhow::{Context, bail};
pub use certificate::{CertificateFacts, facts};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::config::TlsFiles;

/// Reads the files and makes sure that they fit together. Called again when they change.
pub fn server_config(files: &TlsFiles) -> anyhow::Result<ServerConfig> {
    let chain = certificates(&files.certificate)?;
    let key = private_key::read(&files.key, files.key_password.as_ref())
        .with_context(|| format!("cannot use the private key {}", files.key.display()))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match &files.client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority)?;
            }
            // Asked of everyone, demanded where a route says so: probes and scrapers have none.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).with_context(|| {
        format!(
            "certificate {} and private key {} do not fit together, or the chain does not begin with the node's own certificate",
            files.certificate.display(),
            files.key.display()
        )
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// How a node trusts others and proves itself to them: the same authorities and the same certificate as towards
/// clients.
pub fn peer_config(files: &TlsFiles) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let mut roots = RootCertStore::empty();
    // Without authorities of its own, a cluster's certificate is its own authority.
    let authorities = files.client_authorities.as_ref();
    for authority in certificates(authorities.unwrap_or(&files.certificate))? {
        roots.add(authority)?;
    }
    let chain = certificates(&files.certificate)?;
    let key = private_key::read(&files.key, files.key_password.as_ref())
        .with_context(|| format!("cannot use the private key {}", files.key.display()))?;
    Ok(builder
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?)
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read certificates from {}", path.display()))?;
    if certificates.is_empty() {
        bail!("{} holds no certificate in PEM", path.display());
    }
    Ok(certificates)
}
