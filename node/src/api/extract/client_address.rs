//! Who the client is, seen through the proxies that are trusted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

use super::untrusted_forwarders::FORWARDED_FOR;
use crate::api::connection::ConnectionMark;

/// The address that failures are counted for.
pub(in crate::api) fn client_address(
    extensions: &Extensions,
    headers: &HeaderMap,
    trusted: &[IpNet],
) -> IpAddr {
    let peer = ConnectionMark::of(extensions).map_or(Ipv4Addr::UNSPECIFIED.into(), |connection| {
        connection.peer.ip().to_canonical()
    });
    forwarded_for(peer, headers, trusted)
}

/// The nearest address that is no trusted proxy: what stands left of it may be the client's invention.
pub(crate) fn forwarded_for(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    if !is_trusted(peer) {
        return peer;
    }
    let mut nearest = peer;
    let hops = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .rev()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.rsplit(','));
    for hop in hops {
        let Some(address) = parse_hop(hop.trim()) else {
            return nearest;
        };
        nearest = address;
        if !is_trusted(address) {
            return address;
        }
    }
    nearest
}

/// `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1` or `[2001:db8::1]:443`.
fn parse_hop(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_an_address_trusted(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in "[0-9a-f.:, \\[\\]]{0,60}") {
            let trusted = ["10.0.0.0/8".parse().unwrap()];
            let (proxy, stranger) = ("10.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                let Ok(value) = http::HeaderValue::from_bytes(bytes) else {
                    continue;
                };
                let headers = HeaderMap::from_iter([(http::HeaderName::from_static("x-forwarded-for"), value)]);
                forwarded_for(proxy, &headers, &trusted);
                prop_assert_eq!(forwarded_for(stranger, &headers, &trusted), stranger);
            }
        }
    }

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        forwarded_for(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_what_a_trusted_proxy_says_is_believed() {
        assert_eq!(seen("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(
            seen("10.0.0.1", &["1.2.3.4, 198.51.100.7, 10.0.0.2"]),
            "198.51.100.7"
        );
        assert_eq!(
            seen("10.0.0.1", &["1.2.3.4", "198.51.100.7:5000"]),
            "198.51.100.7"
        );
        assert_eq!(seen("10.0.0.1", &["198.51.100.7, rubbish"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["10.0.0.3"]), "10.0.0.3");
    }
}
