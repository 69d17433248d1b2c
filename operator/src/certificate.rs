//! cert-manager's Certificate, as far as we set it. Not our type: its definition comes with cert-manager.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::cluster::resource::IssuerReference;

/// What is issued, and where it is kept.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "cert-manager.io",
    version = "v1",
    kind = "Certificate",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSpec {
    /// The Secret that holds it.
    pub secret_name: String,
    /// Its subject. Without one the certificate of a `SelfSigned` issuer has no issuer either, and clients refuse it.
    pub common_name: String,
    /// DNS names.
    pub dns_names: Vec<String>,
    /// IP addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_addresses: Vec<String>,
    /// Who issues it.
    pub issuer_ref: IssuerReference,
    /// Its key.
    pub private_key: PrivateKey,
    /// What it is for.
    pub usages: Vec<String>,
}

/// The key of a certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrivateKey {
    /// Its algorithm.
    pub algorithm: String,
    /// Its length in bits.
    pub size: i32,
    /// Whether each certificate has another one.
    pub rotation_policy: String,
}
