//! One file per group of routes.

pub(super) mod cluster;
pub(super) mod configs;
pub(super) mod health;
pub(super) mod metrics;
pub(super) mod root;
