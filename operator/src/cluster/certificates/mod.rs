//! The certificates of a cluster's nodes: the stored ones, the proofs of running nodes, and renewals.

mod client_certificate;
mod refused;
mod renew;
mod running;
mod shown;
mod stored;

pub(in crate::cluster) use client_certificate::{not_valid, unnamed};
pub(in crate::cluster) use refused::refused;
pub(in crate::cluster) use renew::{Renewed, renew};
pub(in crate::cluster) use running::{has_files, running};
pub(in crate::cluster) use stored::stored;
