//! Addresses that forward for others without being trusted: a proxy that was forgotten makes all its clients one address.

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Mutex, PoisonError, atomic::Ordering},
};

use axum::{extract::Request, http::HeaderName};
use ipnet::IpNet;

use crate::api::connection::ConnectionMark;

pub(in crate::api) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Addresses that are named at most: more of them are no forgotten proxies.
const NAMED: usize = 100;

/// Those that the log has named.
#[derive(Debug, Default)]
pub(in crate::api) struct UntrustedForwarders {
    named: Mutex<HashSet<IpAddr>>,
}

impl UntrustedForwarders {
    /// Names the other side of the connection in the log, once, where it says for whom it asks and is not believed.
    pub(in crate::api) fn look_at(&self, request: &Request, trusted: &[IpNet]) {
        if !request.headers().contains_key(FORWARDED_FOR) {
            return;
        }
        let Some(connection) = ConnectionMark::of(request.extensions()) else {
            return;
        };
        if connection.forwards.swap(true, Ordering::Relaxed) {
            return;
        }
        let peer = connection.peer.ip().to_canonical();
        let is_trusted = trusted.iter().any(|network| network.contains(&peer));
        if !is_trusted && self.is_new(peer) {
            tracing::warn!(
                client = %peer,
                setting = "OSC_TRUSTED_PROXIES",
                advice = "it sends X-Forwarded-For and is not trusted, so that all its clients count as one address; name it in the setting if it is a proxy of yours",
                "forwarded_for_ignored"
            );
        }
    }

    fn is_new(&self, peer: IpAddr) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.len() < NAMED && named.insert(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_named_once_and_not_without_end() {
        let forwarders = UntrustedForwarders::default();
        let named = (0..1000_u16).filter(|n| {
            let [high, low] = n.to_be_bytes();
            let peer = IpAddr::from([192, 0, high, low]);
            forwarders.is_new(peer) && !forwarders.is_new(peer)
        });
        assert_eq!(named.count(), NAMED);
    }
}
