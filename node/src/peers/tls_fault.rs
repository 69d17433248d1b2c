//! The meaning of a failed TLS handshake here, and the setting that mends it: the library's error texts have neither.

use std::{error::Error, io};

use rustls::{AlertDescription, CertificateError, Error as TlsError, InvalidMessage};

/// A note in brackets behind the error; empty where TLS is not the cause.
pub(super) fn meaning(error: &(dyn Error + 'static)) -> &'static str {
    match tls_error(error) {
        Some(tls) => meaning_of(tls),
        // The first bytes of its answer are no HTTP: an alert of TLS, most likely.
        None if is_no_http(error) => {
            " (what answers there speaks TLS or no HTTP at all, and this node dials it by plain HTTP: OSC_CLUSTER_NODES lists \
             OSC_HOST_PORT of nodes without OSC_PEER_PORT, and all nodes have that or none)"
        }
        _ => "",
    }
}

/// The HTTP library names this fault in its text alone, to callers of the client.
fn is_no_http(error: &(dyn Error + 'static)) -> bool {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string() == "invalid HTTP version parsed"
}

/// The error of the handshake among the causes.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An error inside a system error is not among its causes.
        let wrapped = error.downcast_ref().and_then(io::Error::get_ref);
        next = wrapped.map_or_else(|| error.source(), |wrapped| Some(wrapped));
    }
    None
}

fn meaning_of(error: &TlsError) -> &'static str {
    match error {
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => {
            " (what answers there speaks no TLS: OSC_CLUSTER_NODES lists OSC_PEER_PORT of each node)"
        }
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer) => {
            " (its certificate is of another authority: ca.crt in OSC_NODE_TLS_DIR must hold that of each node, and OSC_CLUSTER_NODES \
             list OSC_PEER_PORT of each)"
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            " (its certificate in OSC_NODE_TLS_DIR does not name the host by which OSC_CLUSTER_NODES lists it)"
        }
        TlsError::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => " (its certificate in OSC_NODE_TLS_DIR has ended)",
        TlsError::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::AccessDenied,
        ) => {
            " (it refuses this node's certificate: OSC_NODE_TLS_DIR must be of the cluster's own authority, and name a listed node)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshakes_error_is_found_below_those_of_the_system() {
        let fault = TlsError::InvalidMessage(InvalidMessage::InvalidContentType);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, fault));
        assert!(!meaning(&io::Error::other("something else")).contains("OSC_"));
        assert!(meaning(&wrapped).contains("OSC_PEER_PORT"));
    }
}
