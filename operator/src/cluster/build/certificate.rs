//! The request to cert-manager: the certificate that clients see with `tls.mode: Issuer`.

use std::net::IpAddr;

use super::metadata;
use crate::{
    certificate::{Certificate, CertificateSpec, PrivateKey},
    cluster::{resource::TlsMode, validate::ValidatedCluster},
    pki::client_names,
};

pub(super) fn build(cluster: &ValidatedCluster) -> Option<Certificate> {
    let tls = &cluster.spec.tls;
    let issuer = tls.issuer_ref.clone()?;
    if tls.mode != TlsMode::Issuer {
        return None;
    }
    let names = client_names(
        &cluster.name,
        &cluster.namespace,
        &cluster.installation.cluster_domain,
        &tls.alt_names,
    );
    let (addresses, names): (Vec<_>, Vec<_>) = names
        .into_iter()
        .partition(|name| name.parse::<IpAddr>().is_ok());
    Some(Certificate {
        metadata: metadata::owned(cluster, cluster.name.as_str().to_owned()),
        spec: CertificateSpec {
            secret_name: cluster.name.client_tls(),
            // One of the DNS names, as issuers demand.
            common_name: cluster.name.as_str().to_owned(),
            dns_names: names,
            ip_addresses: addresses,
            issuer_ref: issuer,
            private_key: PrivateKey {
                algorithm: "ECDSA".to_owned(),
                size: 256,
                rotation_policy: "Always".to_owned(),
            },
            usages: vec!["digital signature".to_owned(), "server auth".to_owned()],
        },
    })
}
