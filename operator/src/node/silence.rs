//! Why the operator has no status of a node.

use std::{error::Error, fmt, io};

use rustls::CertificateError;

/// Why the operator has no status of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silence {
    /// It does not answer in time, or gives no sensible answer.
    NoAnswer,
    /// What answers is not the node that was meant.
    NotVerified(Unverified),
}

/// Why what answers is not the node that was meant. It was sent nothing, unless it is another node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unverified {
    /// It speaks no TLS, or not as a node does.
    NoTls,
    /// No authority of the cluster signed its certificate.
    OtherAuthority,
    /// Its certificate is for other names.
    OtherName,
    /// Its certificate is for clients alone.
    ForClients,
    /// Its certificate has ended.
    Ended,
    /// Its certificate has not begun.
    NotBegun,
    /// Its certificate has another fault.
    Unusable,
    /// It ends the handshake: it does not accept the operator's certificate, or has none itself.
    EndsHandshake,
    /// It is another node of the cluster, of this name; `None` where it gives no name.
    OtherNode(Option<String>),
}

/// Of another node's name so many characters are repeated: more than a pod's name has.
const NAME: usize = 253;

impl Unverified {
    /// A node of the cluster with this name of its own.
    pub(super) fn another_node(name: Option<String>) -> Self {
        let plain = |name: String| {
            let plain = name.chars().filter(|character| !character.is_control());
            plain.take(NAME).collect()
        };
        Self::OtherNode(name.map(plain))
    }

    /// What a failed request says of the other side; `None` where its handshake was not at fault.
    pub(super) fn of(error: &reqwest::Error) -> Option<Self> {
        let mut next = error.source();
        while let Some(error) = next {
            if let Some(error) = in_io(error) {
                return Self::in_handshake(error);
            }
            next = error.source();
        }
        None
    }

    fn in_handshake(error: &rustls::Error) -> Option<Self> {
        use rustls::Error as Fault;
        Some(match error {
            Fault::InvalidCertificate(fault) => Self::in_certificate(fault),
            Fault::NoCertificatesPresented => Self::Unusable,
            Fault::InvalidMessage(_)
            | Fault::InappropriateMessage { .. }
            | Fault::InappropriateHandshakeMessage { .. }
            | Fault::PeerIncompatible(_)
            | Fault::PeerMisbehaved(_)
            | Fault::PeerSentOversizedRecord
            | Fault::DecryptError
            | Fault::NoApplicationProtocol => Self::NoTls,
            Fault::AlertReceived(_) => Self::EndsHandshake,
            _ => return None,
        })
    }

    fn in_certificate(fault: &CertificateError) -> Self {
        match fault {
            // Another authority may have the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Self::OtherAuthority
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::OtherName
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::ForClients
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Ended,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotBegun
            }
            _ => Self::Unusable,
        }
    }
}

/// The fault of TLS in an error of I/O, whose `source` leaves out what it holds itself.
fn in_io<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    in_io(error.downcast_ref::<io::Error>()?.get_ref()?)
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::OtherNode(Some(name)) = self {
            return write!(f, "says that it is node {name}");
        }
        f.write_str(match self {
            Self::NoTls => "does not speak TLS as a node does",
            Self::OtherAuthority => {
                "shows a certificate that no authority of this cluster has signed"
            }
            Self::OtherName => "shows a certificate that is not for this pod's name",
            Self::ForClients => "shows a certificate that is for clients alone",
            Self::Ended => "shows a certificate that has ended",
            Self::NotBegun => "shows a certificate that has not begun",
            Self::Unusable => "shows a certificate that cannot be verified",
            Self::EndsHandshake => "ends the handshake with the operator",
            Self::OtherNode(_) => "does not say which node it is",
        })
    }
}
