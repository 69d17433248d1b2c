//! One file per group of routes.

pub(super) mod admin;
pub(super) mod batch;
pub(super) mod cluster;
pub(super) mod configs;
pub(super) mod conflicts;
pub(super) mod docs;
pub(super) mod exchange;
pub(super) mod health;
pub(super) mod import;
pub(super) mod list;
pub(super) mod membership;
pub(super) mod metrics;
pub(super) mod past_router;
pub(super) mod root;
pub(super) mod salt;
pub(super) mod values;
