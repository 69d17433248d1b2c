//! How much of the store's share SQLite and the caches of rows and keys may use. Pure.

/// Keys that are cached at most, however much memory there is.
const MOST_KEYS: usize = 10_000;
/// The largest row cache, in bytes, however much memory there is.
const MOST_ROWS: usize = 4 << 20;
/// SQLite's own default for a connection's page cache, in bytes: a larger one brings nothing.
const MOST_PAGES: usize = 2 << 20;
/// With less, in bytes, SQLite reads the same pages again and again.
const LEAST_PAGES: usize = 64 << 10;

/// Connections that a store needs: a writer, one for lists, and one for all other reads.
const LEAST_CONNECTIONS: usize = 3;

/// Sizes of the caches behind the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSizes {
    /// Ciphertext of rows, in bytes.
    pub rows: usize,
    /// Data keys.
    pub keys: u64,
    /// Connections that read.
    pub readers: usize,
    /// Pages of the database for each connection to it, in bytes.
    pub pages: usize,
}

impl CacheSizes {
    /// The size of an entry of the key cache, in bytes: 1,024 of the data key, most of them its schedules for AES; the others are
    /// its place in the maps, and its share of their spare room. Measured with moka 0.12 as the growth of a process: 1,474 to 1,770
    /// for each of 10,000 to 40,000 keys.
    pub(crate) const KEY: usize = 1_600;

    /// The share, in bytes, with which a store can just work.
    pub const LEAST: usize = LEAST_CONNECTIONS * LEAST_PAGES * 2;

    /// The caches of a store with that share.
    pub const SMALLEST: Self = Self {
        rows: Self::LEAST / 8,
        keys: 16,
        readers: LEAST_CONNECTIONS - 1,
        pages: LEAST_PAGES,
    };

    /// The caches of a share of this many bytes: an eighth for rows and keys each, half for SQLite's pages; the rest is for its
    /// statements, its log's index, and the open write transaction. There are as many readers as wanted, or as their pages have
    /// room for. `None` for less than [`Self::LEAST`].
    pub fn of(share: usize, wanted_readers: usize) -> Option<Self> {
        let for_pages = share / 2;
        let room = for_pages / LEAST_PAGES;
        if room < LEAST_CONNECTIONS {
            return None;
        }
        let connections = (wanted_readers + 1).clamp(LEAST_CONNECTIONS, room);
        let keys = (share / 8 / Self::KEY).min(MOST_KEYS);
        Some(Self {
            rows: (share / 8).min(MOST_ROWS),
            keys: u64::try_from(keys).unwrap_or(u64::MAX),
            readers: connections - 1,
            pages: (for_pages / connections).min(MOST_PAGES),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_node_of_two_cores_has_four_readers_and_some_thousand_keys() {
        let sizes = CacheSizes::of(32 << 20, 4).unwrap();
        let expected = CacheSizes {
            rows: 4 << 20,
            keys: 2_621,
            readers: 4,
            pages: 2 << 20,
        };
        assert_eq!(sizes, expected);
    }

    #[test]
    fn a_node_of_many_cores_has_fewer_readers_than_it_wants() {
        let sizes = CacheSizes::of(32 << 20, 2048).unwrap();
        assert_eq!((sizes.readers, sizes.pages), (255, LEAST_PAGES));
    }

    proptest! {
        #[test]
        fn the_caches_fit_their_share(share in 0_usize..1 << 34, readers in 0_usize..3000) {
            match CacheSizes::of(share, readers) {
                Some(CacheSizes { rows, keys, readers, pages }) => {
                    let keys = usize::try_from(keys).unwrap() * CacheSizes::KEY;
                    prop_assert!(rows + keys + pages * (readers + 1) <= share);
                }
                None => prop_assert!(share < CacheSizes::LEAST),
            }
        }
    }
}
