//! Whether the user's own certificate is for a name of the Service.

use crate::{
    cluster::{dereference::DereferencedObjects, validate::ValidatedCluster},
    names::CERTIFICATE_ENTRY,
    pki::{Certificate, client_names},
};

/// The names of the Service, where the certificate that clients see is for none of them: clients in the cluster refuse it then. Empty
/// where it is for one, and where there is none that can be read.
pub(in crate::cluster) fn unnamed(
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
) -> Vec<String> {
    let certificate = found.client_tls.as_ref().and_then(|secret| {
        let chain = secret.entries.get(CERTIFICATE_ENTRY)?;
        Certificate::read(chain)
    });
    let Some(certificate) = certificate else {
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

/// Whether a name of a certificate, of which the first label may be a wildcard, is for this one.
fn covers(given: &str, name: &str) -> bool {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    match (given.strip_prefix("*."), name.split_once('.')) {
        (Some(given), Some((_, parent))) => same(given, parent),
        _ => same(given, name),
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_wildcard_is_for_one_label() {
        assert!(covers("prod.shop.svc", "prod.shop.svc"));
        assert!(covers("*.shop.svc", "prod.shop.svc") && covers("Prod.shop.svc", "prod.shop.svc"));
        assert!(!covers("*.svc", "prod.shop.svc") && !covers("*.shop.svc", "shop.svc"));
        assert!(!covers("config.example.org", "prod"));
    }
}
