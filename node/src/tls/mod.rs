//! Certificates: the one that a process shows, and those that it accepts.
//!
//! | file | idea |
//! |---|---|
//! | `identity` | certificate chain, private key and authorities, as they were read together |
//! | `admission` | which certificates open the port for nodes |
//! | `status` | which certificates are in force |
//! | `certificate` | facts that a person must know of a certificate before it fails |
//! | `pem` | PEM, with errors that repeat nothing of a file |
//! | `private_key` | private keys in the forms that OpenSSL writes |

mod admission;
mod certificate;
mod identity;
mod pem;
mod private_key;
mod status;

use std::path::Path;

pub use admission::{CertificateRole, KnownHosts, OPERATOR_NAME};
use anyhow::{Context, bail};
pub(crate) use certificate::end;
pub use certificate::{CertificateFacts, facts};
pub use identity::{Identity, PortTls};
use rustls::pki_types::CertificateDer;
pub(crate) use status::Shown;
pub use status::{Door, InForce, Presented, TlsStatus};

use crate::os::regular_file;

/// The refusal of plain HTTP at a port of TLS. A node that dials such a port knows its mistake by it.
pub(crate) const PLAIN_HTTP_REFUSED: &str = "This port speaks HTTPS: use https:// in the address";

/// The certificates of a PEM file, one at least.
pub(crate) fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let unreadable = || format!("cannot read certificates from {}", path.display());
    let bytes = regular_file::read_bounded(path).with_context(unreadable)?;
    let certificates = pem::all::<CertificateDer<'_>>(&bytes).with_context(unreadable)?;
    if certificates.is_empty() {
        bail!("{} holds no certificate in PEM", path.display());
    }
    Ok(certificates)
}
