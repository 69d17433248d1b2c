//! PEM, with errors that repeat nothing of a file: a private key may lie in any of them.

use rustls::pki_types::pem::{self, PemObject};
use thiserror::Error;

/// What is wrong with a PEM file. The library's own words repeat the line at fault, which may be a whole key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum PemError {
    /// A line with a border has more in it, or an end is missing: often a file whose line breaks were lost.
    #[error("its BEGIN or its END is no line of its own")]
    Borders,
    /// Something else stands between them.
    #[error("what stands between BEGIN and END is no base64")]
    Base64,
    /// There is no such section.
    #[error("no items found")]
    Nothing,
    /// It is damaged in another way.
    #[error("it is damaged")]
    Other,
}

impl From<pem::Error> for PemError {
    fn from(error: pem::Error) -> Self {
        match error {
            pem::Error::MissingSectionEnd { .. } | pem::Error::IllegalSectionStart { .. } => {
                Self::Borders
            }
            pem::Error::Base64Decode(_) => Self::Base64,
            pem::Error::NoItemsFound => Self::Nothing,
            _ => Self::Other,
        }
    }
}

/// The bytes without a byte order mark, which editors on Windows write: with it, the first line is no border.
fn unmarked(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The first item of a kind.
pub(super) fn first<T: PemObject>(bytes: &[u8]) -> Result<T, PemError> {
    Ok(T::from_pem_slice(unmarked(bytes))?)
}

/// All items of a kind, in their order.
pub(super) fn all<T: PemObject>(bytes: &[u8]) -> Result<Vec<T>, PemError> {
    T::pem_slice_iter(unmarked(bytes))
        .map(|item| item.map_err(PemError::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    use super::*;

    #[test]
    fn a_key_whose_line_breaks_were_lost_is_not_repeated_in_any_form() {
        let key = KeyPair::generate().unwrap().serialize_pem();
        let on_one_line = key.replace(['\r', '\n'], "");
        let with_written_breaks = key.replace("\r\n", "\n").replace('\n', "\\n");
        let without_end = key.replace("-----END", "-----ENDE");
        for text in [on_one_line, with_written_breaks, without_end] {
            let found = first::<PrivateKeyDer<'_>>(text.as_bytes()).unwrap_err();
            assert_eq!(found, PemError::Borders, "{text}");
            let found = all::<CertificateDer<'_>>(text.as_bytes()).unwrap_err();
            assert_eq!(found, PemError::Borders, "{text}");
        }
    }

    #[test]
    fn a_file_with_a_byte_order_mark_is_read() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let marked = |text: String| format!("\u{feff}{text}");
        let key = marked(made.signing_key.serialize_pem());
        assert!(first::<PrivateKeyDer<'_>>(key.as_bytes()).is_ok());
        let certificate = marked(made.cert.pem());
        let read = all::<CertificateDer<'_>>(certificate.as_bytes()).unwrap();
        assert_eq!(read, [made.cert.der().clone()]);
    }
}
