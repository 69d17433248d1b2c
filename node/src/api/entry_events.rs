//! What the log says of changes of entries: which one, and who made it; never the value.

use crate::{
    domain::{Identity, Principal},
    log::{AUDIT, logged_name},
};

/// An entry was created.
pub(super) fn created(principal: Principal, identity: &Identity) {
    tracing::info!(
            target: AUDIT,
        key = %logged_name(identity.key.as_str()),
        environment = %logged_name(identity.environment.as_str()),
        %principal,
        "config_created"
    );
}

/// An entry has a new value.
pub(super) fn updated(principal: Principal, identity: &Identity) {
    tracing::info!(
            target: AUDIT,
        key = %logged_name(identity.key.as_str()),
        environment = %logged_name(identity.environment.as_str()),
        %principal,
        "config_updated"
    );
}

/// An entry was deleted.
pub(super) fn deleted(principal: Principal, identity: &Identity) {
    tracing::info!(
            target: AUDIT,
        key = %logged_name(identity.key.as_str()),
        environment = %logged_name(identity.environment.as_str()),
        %principal,
        "config_deleted"
    );
}
