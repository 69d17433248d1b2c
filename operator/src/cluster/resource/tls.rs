//! How clients are served over TLS, and what the certificates of nodes are for.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// TLS of a cluster. Nodes always speak TLS to each other, whatever stands here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TlsSpec {
    /// Which certificate clients see on port 9443.
    pub mode: TlsMode,
    /// Whether port 9000, which is not encrypted, is open.
    pub plain_http: PlainHttp,
    /// With `mode: Secret`: your own Secret with `tls.crt` (the chain, leaf first) and `tls.key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// With `mode: Issuer`: who issues the certificate; needs cert-manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<IssuerReference>,
    /// More DNS names and IP addresses that the certificate is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "alternative_names")]
    pub alt_names: Vec<String>,
    /// The authority of the nodes' own certificates.
    pub authority: AuthoritySpec,
}

/// Which certificate clients see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// That of the nodes, which the operator makes and renews.
    #[default]
    Auto,
    /// That of a Secret of your own.
    Secret,
    /// One that cert-manager makes.
    Issuer,
    /// None: port 9443 is closed.
    Disabled,
}

/// Whether port 9000 is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum PlainHttp {
    /// It is.
    #[default]
    Allowed,
    /// It is not: clients use port 9443.
    Forbidden,
}

/// A Secret in the same namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Its name.
    pub name: String,
}

/// An issuer of cert-manager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerReference {
    /// Its name.
    pub name: String,
    /// `Issuer`, `ClusterIssuer`, or a kind of another group.
    #[serde(default = "issuer_kind")]
    pub kind: String,
    /// Its group.
    #[serde(default = "issuer_group")]
    pub group: String,
}

fn issuer_kind() -> String {
    "Issuer".to_owned()
}

fn issuer_group() -> String {
    "cert-manager.io".to_owned()
}

/// The authority of the nodes' own certificates.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AuthoritySpec {
    /// Any text; another one than before asks for another authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub rotate: Option<String>,
}

impl TlsSpec {
    /// Whether port 9443 is served.
    pub fn serves_https(&self) -> bool {
        self.mode != TlsMode::Disabled
    }

    /// Whether port 9000 is served.
    pub fn serves_http(&self) -> bool {
        self.plain_http == PlainHttp::Allowed
    }
}

/// Bounded, so that a rule about each of them has a bounded cost.
fn alternative_names(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": { "type": "string", "maxLength": 253 },
    })
}
