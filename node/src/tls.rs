//! HTTPS: certificates from PEM files.

use std::{fs, io, path::Path, sync::Arc};

use anyhow::{Context, anyhow, bail};
use pkcs8::EncryptedPrivateKeyInfo;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use zeroize::Zeroizing;

use crate::config::TlsFiles;

/// Reads the files and makes sure that they fit together. Called again when they change.
pub fn server_config(files: &TlsFiles) -> anyhow::Result<ServerConfig> {
    let chain = certificates(&files.certificate)?;
    let key = private_key(&files.key, files.key_password.as_ref())
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
            "certificate {} and private key {} do not fit together",
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
    let key = private_key(&files.key, files.key_password.as_ref())
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

fn private_key(
    path: &Path,
    passphrase: Option<&Zeroizing<String>>,
) -> anyhow::Result<PrivateKeyDer<'static>> {
    let pem = Zeroizing::new(fs::read_to_string(path)?);
    if !pem.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        return PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| anyhow!("it is no private key in PEM: {error}"));
    }
    let Some(passphrase) = passphrase else {
        bail!("it is encrypted; set OSC_SSL_KEYFILE_PASSWORD");
    };
    // This reader allows no blank line before or after.
    let (_, document) = pkcs8::SecretDocument::from_pem(pem.trim())
        .map_err(|error| anyhow!("it is no private key in PEM: {error}"))?;
    let key = EncryptedPrivateKeyInfo::try_from(document.as_bytes())
        .and_then(|key| key.decrypt(passphrase.as_bytes()))
        .map_err(|_| io::Error::other("OSC_SSL_KEYFILE_PASSWORD does not open it"))?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}
