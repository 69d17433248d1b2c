//! Private keys from PEM files, in the forms that OpenSSL writes them.

use std::path::Path;

use pkcs8::{
    EncryptedPrivateKeyInfo, SecretDocument,
    pkcs5::{self, EncryptionScheme},
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::pem::{self, PemError};
use crate::os::regular_file;

const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// Why a private key cannot be used, and the remedy.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrivateKeyError {
    /// The file cannot be read.
    #[error("cannot read it")]
    Unreadable(#[from] std::io::Error),
    /// There is no private key in it.
    #[error("it is no private key in PEM: {0}")]
    NoKey(#[from] PemError),
    /// It needs a passphrase.
    #[error("it is encrypted; set OSC_SSL_KEYFILE_PASSWORD")]
    NoPassphrase,
    /// It needs another passphrase.
    #[error("OSC_SSL_KEYFILE_PASSWORD does not open it")]
    OtherPassphrase,
    /// It is encrypted in a way that is not safe any more, and that no maintained library reads.
    #[error(
        "it is encrypted in an outdated way ({0}); write it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD.pem -out NEW.pem"
    )]
    Outdated(&'static str),
}

/// Reads the first private key of a file: PKCS#8, PKCS#1 or SEC1, or PKCS#8 under a passphrase (PBES2).
pub(super) fn read(
    path: &Path,
    passphrase: Option<&Zeroizing<String>>,
) -> Result<PrivateKeyDer<'static>, PrivateKeyError> {
    let bytes = Zeroizing::new(regular_file::read_bounded(path)?);
    // Names of its owner, which `openssl pkcs12` writes above the key, may be in any encoding.
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(PrivateKeyError::Outdated("traditional PEM encryption"));
    }
    let Some(section) = section(&text, ENCRYPTED) else {
        return Ok(pem::first(&bytes)?);
    };
    let passphrase = passphrase.ok_or(PrivateKeyError::NoPassphrase)?;
    let (_, document) =
        SecretDocument::from_pem(section).map_err(|_| PrivateKeyError::NoKey(PemError::Other))?;
    let Ok(key) = EncryptedPrivateKeyInfo::try_from(document.as_bytes()) else {
        return Err(PrivateKeyError::Outdated("a PKCS#12 cipher"));
    };
    match &key.encryption_algorithm {
        EncryptionScheme::Pbes1(_) => return Err(PrivateKeyError::Outdated("PBES1")),
        EncryptionScheme::Pbes2(_) => {}
        _ => return Err(PrivateKeyError::Outdated("another cipher than PBES2")),
    }
    let key = key
        .decrypt(passphrase.as_bytes())
        .map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(
                pkcs5::Error::UnsupportedAlgorithm { .. }
                | pkcs5::Error::AlgorithmParametersInvalid { .. },
            ) => PrivateKeyError::Outdated("an old cipher"),
            _ => PrivateKeyError::OtherPassphrase,
        })?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

/// The first section of a label, with its borders.
fn section<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    let begin = text.find(&format!("-----BEGIN {label}-----"))?;
    let end = format!("-----END {label}-----");
    let rest = text.get(begin..)?;
    let length = rest.find(&end)? + end.len();
    rest.get(..length)
}
