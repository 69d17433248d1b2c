//! The status of certificates, for every cluster.

use jiff::Timestamp;

use crate::{
    cluster::{
        certificates,
        dereference::{DereferencedObjects, OptionalKind},
        observe::UnverifiedPods,
        settled::RefusedKind,
        status::Tls,
        validate::ValidatedCluster,
    },
    pki::Waiting,
};

/// The state of the certificates.
pub(in crate::cluster) struct CertificatesSeen {
    kind: OptionalKind,
    unnamed: Vec<String>,
    not_valid: Option<String>,
    authority_refused: Option<String>,
    is_secret_there: bool,
    unverified: UnverifiedPods,
}

impl CertificatesSeen {
    /// Judges the objects that were read, those that could not be written, and the nodes that could not be verified.
    pub(in crate::cluster) fn look(
        cluster: &ValidatedCluster,
        found: &DereferencedObjects,
        (refused, unverified): (&[RefusedKind], UnverifiedPods),
        now: Timestamp,
    ) -> Self {
        let kind = match refused.iter().find(|(kind, _)| kind == "Certificate") {
            Some((_, words)) => OptionalKind::Forbidden(words.clone()),
            None => found.certificates.clone(),
        };
        Self {
            kind,
            unnamed: certificates::unnamed(cluster, found),
            not_valid: certificates::not_valid(found, now),
            authority_refused: certificates::refused(found),
            is_secret_there: found.client_tls.is_some(),
            unverified,
        }
    }

    /// The same for the status, with the nodes for which a renewal of the authority waits.
    pub(in crate::cluster) fn tls<'a>(&'a self, waiting: Option<&'a Waiting>) -> Tls<'a> {
        Tls {
            waiting,
            client_secret_found: self.is_secret_there,
            certificates: Some(&self.kind),
            unnamed: &self.unnamed,
            not_valid: self.not_valid.as_deref(),
            authority_refused: self.authority_refused.as_deref(),
            unverified: &self.unverified,
        }
    }
}
