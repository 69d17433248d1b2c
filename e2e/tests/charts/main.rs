//! The renderings of the charts, over a matrix of values. Needs no cluster, but Helm: `make charts` runs these.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by panicking"
)]

mod cluster;
mod helm;
mod notes;
mod operator;
mod subchart;
mod values;
