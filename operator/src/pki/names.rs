//! Which names the nodes' leaf is for.

use std::{collections::BTreeSet, net::IpAddr};

use crate::names::ClusterName;

/// DNS names and IP addresses.
pub type AltNames = BTreeSet<String>;

/// Names of every node on its own machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The names of a cluster's nodes on Kubernetes, from short to long: the client Service, each pod behind the headless one,
/// loopback, and the user's additions. Never `*.svc`: no verifier accepts it, and it would cover too much.
pub fn cluster_names(
    cluster: &ClusterName,
    namespace: &str,
    cluster_domain: &str,
    more: &[String],
) -> AltNames {
    let suffixes = [
        String::new(),
        format!(".{namespace}"),
        format!(".{namespace}.svc"),
        format!(".{namespace}.svc.{cluster_domain}"),
    ];
    let services = [
        cluster.as_str().to_owned(),
        format!("*.{}", cluster.nodes()),
    ];
    services
        .iter()
        .flat_map(|service| {
            suffixes
                .iter()
                .map(move |suffix| format!("{service}{suffix}"))
        })
        .chain(LOOPBACK.map(str::to_owned))
        .chain(more.iter().map(|name| canonical(name)))
        .collect()
}

/// The names that clients use: those of the client Service, and the user's additions. No external issuer knows the others.
pub fn client_names(
    cluster: &ClusterName,
    namespace: &str,
    cluster_domain: &str,
    more: &[String],
) -> AltNames {
    [
        cluster.as_str().to_owned(),
        format!("{cluster}.{namespace}"),
        format!("{cluster}.{namespace}.svc"),
        format!("{cluster}.{namespace}.svc.{cluster_domain}"),
    ]
    .into_iter()
    .chain(more.iter().map(|name| canonical(name)))
    .collect()
}

/// The names of nodes that are processes on this machine.
pub fn local_names(more: &[String]) -> AltNames {
    LOOPBACK
        .map(str::to_owned)
        .into_iter()
        .chain(more.iter().map(|name| canonical(name)))
        .collect()
}

/// An address in the spelling of parsed certificates: in another one it would never be found there.
fn canonical(name: &str) -> String {
    name.parse::<IpAddr>()
        .map_or_else(|_| name.to_owned(), |address| address.to_string())
}

/// Whether a name of a certificate, whose first label may be a wildcard, covers this one.
pub fn covers(given: &str, name: &str) -> bool {
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
