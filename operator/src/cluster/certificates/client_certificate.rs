//! Faults of the user's own certificate for clients: it is for no name of the Service, has ended or not begun.

use jiff::Timestamp;

use crate::{
    cluster::{dereference::DereferencedObjects, validate::ValidatedCluster},
    names::CERTIFICATE_ENTRY,
    pki::{Certificate, client_names, covers},
};

/// The names of the Service, where the certificate that clients see is for none of them, so that clients in the cluster refuse
/// it. Empty where it is for one, and where no certificate can be read.
pub(in crate::cluster) fn unnamed(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
) -> Vec<String> {
    let Some(certificate) = certificate(found) else {
        return Vec::new();
    };
    let domain = &cluster.installation.cluster_domain;
    let wanted = client_names(&cluster.name, &cluster.namespace, domain, &[]);
    let is_for = |name: &String| certificate.names.iter().any(|given| covers(given, name));
    if wanted.iter().any(is_for) {
        return Vec::new();
    }
    wanted.into_iter().collect()
}

/// That the certificate that clients see has ended or not begun, in words; `None` where it is valid now, and where there is none that can
/// be read.
pub(in crate::cluster) fn not_valid(found: &DereferencedObjects, now: Timestamp) -> Option<String> {
    validity(&certificate(found)?, now)
}

fn validity(certificate: &Certificate, now: Timestamp) -> Option<String> {
    let Certificate { begins, ends, .. } = certificate;
    if now > *ends {
        Some(format!("has ended on {ends}"))
    } else if now < *begins {
        Some(format!("begins on {begins} only"))
    } else {
        None
    }
}

fn certificate(found: &DereferencedObjects) -> Option<Certificate> {
    let secret = found.client_tls.as_ref()?;
    Certificate::read(secret.entries.get(CERTIFICATE_ENTRY)?)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::pki::Authority;

    #[test]
    fn a_certificate_that_has_ended_or_not_begun_is_told_with_its_time() {
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let authority = Authority::create("prod", begin).unwrap();
        let leaf = authority.issue_node_leaf(&["prod".to_owned()].into(), begin);
        let leaf = leaf.unwrap().certificate;
        let at = |days: i64| validity(&leaf, begin + SignedDuration::from_hours(24 * days));
        assert_eq!(at(0), None);
        assert_eq!(at(364), None);
        assert_eq!(at(366).unwrap(), "has ended on 2027-01-01T00:00:00Z");
        assert_eq!(at(-1).unwrap(), "begins on 2025-12-31T23:00:00Z only");
    }
}
