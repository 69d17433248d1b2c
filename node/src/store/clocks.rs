//! The clocks of a row's history as bytes: (incarnation, clock) pairs, 8 bytes big-endian each.

use std::collections::BTreeMap;

use crate::domain::{Clock, Incarnation};

/// The bytes of a history of clocks.
pub(in crate::store) fn encode_clocks(clocks: &BTreeMap<Incarnation, Clock>) -> Vec<u8> {
    clocks
        .iter()
        .flat_map(|(incarnation, clock)| [incarnation.raw(), clock.raw()])
        .flat_map(i64::to_be_bytes)
        .collect()
}

/// The history in these bytes; an incomplete pair at the end is left out.
pub(in crate::store) fn decode_clocks(bytes: &[u8]) -> BTreeMap<Incarnation, Clock> {
    let (numbers, _) = bytes.as_chunks::<8>();
    let (pairs, _) = numbers.as_chunks::<2>();
    pairs
        .iter()
        .map(|[incarnation, clock]| {
            (
                Incarnation::from_raw(i64::from_be_bytes(*incarnation)),
                Clock::from_raw(i64::from_be_bytes(*clock)),
            )
        })
        .collect()
}
