//! Memory for heads that are larger than most: a part of the share of connections.

use std::{net::IpAddr, sync::Arc};

use http::HeaderMap;
use ipnet::IpNet;

use super::limits::{MAX_HEAD_BYTES, SMALL_HEAD_BYTES};
use crate::{
    api::forwarded_for,
    budget::{Pool, Reservation},
};

/// The memory of any request from its head to the end of its answer. 2.6 KiB were measured; ended tasks leave their memory to
/// the allocator for a while.
const REQUEST_BYTES: usize = 8 << 10;
/// The memory of a field of a head beside its text: its place in the map, with the map's spare room.
const FIELD_BYTES: usize = 104;

/// The head is too large, or there is no room left for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoHeadRoom;

/// The pool for large heads.
#[derive(Debug, Clone)]
pub(super) struct HeadRoom {
    pool: Pool,
    /// Proxies, whose connections are those of many clients.
    proxies: Arc<[IpNet]>,
}

impl HeadRoom {
    /// A part of this share, which these proxies take for their clients.
    pub(super) fn new(pool: Pool, proxies: &[IpNet]) -> Self {
        Self {
            pool,
            proxies: proxies.into(),
        }
    }

    /// Whether an address is that of many clients.
    pub(super) fn is_of_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.proxies
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Reserves bytes for a client, which a trusted proxy names in its headers. What a proxy sends for no known client has no
    /// bound but the share.
    fn reserve(
        &self,
        address: IpAddr,
        headers: Option<&HeaderMap>,
        bytes: usize,
    ) -> Option<Reservation> {
        let client = match headers {
            Some(headers) => forwarded_for(address.to_canonical(), headers, &self.proxies),
            None => address,
        };
        let reserved = if self.is_of_proxy(client) {
            self.pool.try_reserve_for_many(bytes)
        } else {
            self.pool.try_reserve(client, bytes)
        };
        reserved.ok()
    }

    /// Room for a head that outgrows the small ones, whose size is not known yet.
    pub(super) fn for_growth(&self, address: IpAddr) -> Option<Reservation> {
        let growth = MAX_HEAD_BYTES - SMALL_HEAD_BYTES;
        self.reserve(address, None, growth)
    }

    /// Room for a frame or a head that is not whole yet.
    pub(super) fn for_unfinished(&self, address: IpAddr, bytes: usize) -> Option<Reservation> {
        self.reserve(address, None, bytes)
    }

    /// Room for a request beside others of its connection: HTTP/2 only. The memory of the first one is part of the
    /// connection's.
    pub(super) fn for_another(
        &self,
        address: IpAddr,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<Reservation> {
        let of_headers = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES);
        let bytes = REQUEST_BYTES + path.len() + of_headers.sum::<usize>();
        self.reserve(address, Some(headers), bytes)
    }

    /// Room for a head that is there as a whole: `Ok(None)` where it needs none, an error where there is none.
    pub(super) fn for_head(
        &self,
        address: IpAddr,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Option<Reservation>, NoHeadRoom> {
        // 32 bytes more for each, as HTTP/2 counts them.
        let of_headers = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 32);
        let bytes = path.len() + of_headers.sum::<usize>();
        if bytes > MAX_HEAD_BYTES {
            return Err(NoHeadRoom);
        }
        if bytes <= SMALL_HEAD_BYTES {
            return Ok(None);
        }
        let room = self.reserve(address, Some(headers), bytes - SMALL_HEAD_BYTES);
        room.map(Some).ok_or(NoHeadRoom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_beside_others_of_its_connection_is_charged_whatever_its_size() {
        let room = HeadRoom::new(Pool::shared("connections", 32 << 10), &[]);
        let address = [192, 0, 2, 1].into();
        let another = || room.for_another(address, "/configs", &HeaderMap::new());
        let held: Vec<_> = std::iter::from_fn(another).collect();
        assert_eq!(held.len(), 3, "of 8 KiB and some bytes each");
        drop(held);
        assert!(another().is_some());
        let fields = (0..90).map(|number| {
            let name: http::HeaderName = format!("h{number}").parse().unwrap();
            (name, http::HeaderValue::from_static("v"))
        });
        let many: HeaderMap = fields.collect();
        let held = room.for_another(address, "/", &many).unwrap();
        assert!(held.bytes() > 13_000, "{}", held.bytes());
    }

    #[test]
    fn what_a_trusted_proxy_sends_is_charged_to_its_client_and_what_it_sends_for_none_to_no_address()
     {
        let pool = Pool::for_addresses("connections", 400 << 10, 0);
        let room = HeadRoom::new(pool, &["10.0.0.0/8".parse().unwrap()]);
        let proxy: IpAddr = [10, 0, 0, 1].into();
        let of = |client: &str| {
            let value = client.parse().unwrap();
            let name = http::HeaderName::from_static("x-forwarded-for");
            room.for_another(proxy, "/", &HeaderMap::from_iter([(name, value)]))
        };
        let held: Vec<_> = std::iter::from_fn(|| of("192.0.2.1")).collect();
        assert_eq!(held.len(), 12, "a quarter of the share");
        assert!(of("192.0.2.2").is_some(), "another client of the proxy");
        let unfinished = |address: IpAddr| {
            let held = std::iter::from_fn(|| room.for_unfinished(address, 20 << 10));
            held.collect::<Vec<_>>().len()
        };
        assert!(unfinished(proxy) > 10, "no quarter of its own");
        assert_eq!(unfinished([192, 0, 2, 3].into()), 5, "a quarter");
    }

    #[test]
    fn small_heads_need_no_room_and_large_ones_share_it() {
        let room = HeadRoom::new(Pool::shared("connections", 64 << 10), &[]);
        let address = [192, 0, 2, 1].into();
        let of_size = |bytes: usize| {
            let value = "x".repeat(bytes).parse().unwrap();
            let headers = HeaderMap::from_iter([(http::header::COOKIE, value)]);
            room.for_head(address, "/", &headers)
        };
        assert!(of_size(8_000).unwrap().is_none());
        let taken = of_size(40 << 10).unwrap();
        assert!(taken.is_some());
        assert!(room.for_growth(address).is_none());
        of_size(60 << 10).unwrap_err();
        drop(taken);
        assert!(room.for_growth(address).is_some());
        of_size(65 << 10).unwrap_err();
    }
}
