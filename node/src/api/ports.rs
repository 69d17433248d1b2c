//! Which port serves which routes. A node with one port serves all of them there.

use std::fmt;

use opensecureconf_contract::route;

use super::answer::error::ApiError;

/// What is served at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// Everything that no other port has.
    ToAll,
    /// What clients need.
    ToClients,
    /// What nodes and the operator need.
    ToNodes,
    /// `/metrics` alone.
    Metrics,
}

/// Where a node listens beside its port for clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenPorts {
    /// For nodes and the operator.
    pub peers: Option<u16>,
    /// For metrics.
    pub metrics: Option<u16>,
}

/// Another port, which has the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OtherPort {
    number: u16,
    setting: &'static str,
}

impl fmt::Display for OtherPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, setting } = self;
        write!(
            f,
            "Not Found: this route is at port {number} ({setting}) of this node"
        )
    }
}

/// Refuses what another port has. `signed` is of a request that carries a proof, or asks for a challenge.
pub(super) fn judge(
    path: &str,
    signed: bool,
    ports: &OpenPorts,
    served: Served,
) -> Result<(), ApiError> {
    refusal(path, signed, ports, served).map_or(Ok(()), Err)
}

fn refusal(path: &str, signed: bool, ports: &OpenPorts, served: Served) -> Option<ApiError> {
    let elsewhere = |number, setting| ApiError::ServedElsewhere(OtherPort { number, setting });
    let path = path.trim_end_matches('/');
    match served {
        Served::ToNodes => (!takes_proofs(path)).then_some(ApiError::UnknownRoute),
        // Where only certificates of the cluster lead to its key, no proof is judged without one.
        Served::ToClients if is_for_nodes(path) || (signed && takes_proofs(path)) => {
            ports.peers.map(|port| elsewhere(port, "OSC_PEER_PORT"))
        }
        Served::ToAll | Served::ToClients if path == "/metrics" => ports
            .metrics
            .map(|port| elsewhere(port, "OSC_METRICS_BIND")),
        Served::ToAll | Served::ToClients | Served::Metrics => None,
    }
}

/// Routes on which callers may sign what they ask.
pub(super) fn takes_proofs(path: &str) -> bool {
    is_for_nodes(path) || path == route::STATUS
}

/// Routes that the cluster key opens.
fn is_for_nodes(path: &str) -> bool {
    const ONE: &[&str] = &[route::SALT, route::BOOTSTRAP, route::LEAVE, route::UNFENCE];
    const MANY: &[&str] = &["/admin/", route::MEMBERS, "/cluster/v1/"];
    ONE.contains(&path) || MANY.iter().any(|begin| path.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes;

    const PORTS: OpenPorts = OpenPorts {
        peers: Some(9001),
        metrics: Some(9002),
    };

    fn detail(path: &str, served: Served) -> Option<String> {
        told(path, false, served)
    }

    fn told(path: &str, signed: bool, served: Served) -> Option<String> {
        let refusal = refusal(path, signed, &PORTS, served)?;
        Some(refusal.body(None)["detail"].as_str().unwrap().to_owned())
    }

    #[test]
    fn every_route_is_at_one_kind_of_port_and_the_others_name_it() {
        let status = "/cluster/status".to_owned();
        for (_, path) in routes() {
            let (clients, nodes) = (
                detail(&path, Served::ToClients),
                detail(&path, Served::ToNodes),
            );
            if path == status {
                assert_eq!((clients, nodes), (None, None));
            } else if path == "/metrics" {
                assert!(clients.unwrap().contains("port 9002 (OSC_METRICS_BIND)"));
                assert_eq!(nodes.as_deref(), Some("Not Found"));
            } else {
                assert_ne!(clients.is_none(), nodes.is_none(), "{path}");
                let named = clients.is_none_or(|text| text.contains("port 9001 (OSC_PEER_PORT)"));
                assert!(named, "{path}");
            }
        }
    }

    #[test]
    fn what_is_signed_is_taken_at_the_port_for_nodes_alone() {
        for (_, path) in routes().iter().filter(|(_, path)| takes_proofs(path)) {
            let told = |served| told(path, true, served);
            assert!(
                told(Served::ToClients)
                    .unwrap()
                    .contains("port 9001 (OSC_PEER_PORT)"),
                "{path}"
            );
            assert_eq!(
                (told(Served::ToNodes), told(Served::ToAll)),
                (None, None),
                "{path}"
            );
        }
        assert_eq!(told("/configs", true, Served::ToClients), None);
    }

    #[test]
    fn whatever_others_than_clients_ask_is_there() {
        let paths: Vec<_> = routes().into_iter().map(|(_, path)| path).collect();
        for path in [
            route::STATUS,
            route::SALT,
            route::BOOTSTRAP,
            route::LEAVE,
            route::UNFENCE,
            route::LOG_LEVEL,
            route::HEALTH,
            route::READY,
        ] {
            assert!(paths.iter().any(|there| there == path), "{path}");
        }
        for (begin, path) in [
            (route::MEMBERS, "/cluster/members/{name}/remove"),
            (route::ADMIN_CONFIGS, "/admin/configs/{key}"),
        ] {
            assert!(path.starts_with(begin) && paths.iter().any(|there| there == path));
        }
    }

    #[test]
    fn what_the_cluster_key_opens_is_for_nodes() {
        let opened: Vec<_> = routes()
            .into_iter()
            .map(|(_, path)| path)
            .filter(|path| is_for_nodes(path))
            .collect();
        assert_eq!(opened.len(), 12, "{opened:?}");
    }
}
