//! Memory for heads that are larger than most: a part of the share of connections.

use std::net::IpAddr;

use http::HeaderMap;

use super::limits::{MAX_HEAD_BYTES, SMALL_HEAD_BYTES};
use crate::budget::{Pool, Reservation};

/// The head is too large, or there is no room left for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoHeadRoom;

/// What is left for large heads.
#[derive(Debug, Clone)]
pub(crate) struct HeadRoom(pub(crate) Pool);

impl HeadRoom {
    /// Room for a head that outgrows the small ones, whose end is not known yet.
    pub(super) fn for_growth(&self, address: IpAddr) -> Option<Reservation> {
        let growth = MAX_HEAD_BYTES - SMALL_HEAD_BYTES;
        self.0.try_reserve(address, growth).ok()
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
        let room = self.0.try_reserve(address, bytes - SMALL_HEAD_BYTES);
        room.map(Some).map_err(|_| NoHeadRoom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_heads_need_no_room_and_large_ones_share_it() {
        let room = HeadRoom(Pool::shared("connections", 64 << 10));
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
