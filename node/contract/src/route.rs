//! Routes that others than clients ask.

/// `GET`: what a node says of itself and its cluster.
pub const STATUS: &str = "/cluster/status";
/// `GET`: the same with details for the cluster admin.
pub const STATUS_WITH_DETAILS: &str = "/cluster/status?details=true";
/// `GET`: the salt. `POST`: compares one with it.
pub const SALT: &str = "/cluster/salt";
/// `POST`: see [`Bootstrap`](crate::command::AdminCommand::Bootstrap).
pub const BOOTSTRAP: &str = "/cluster/bootstrap";
/// `POST`: see [`Leave`](crate::command::AdminCommand::Leave).
pub const LEAVE: &str = "/cluster/leave";
/// `POST`: see [`Unfence`](crate::command::AdminCommand::Unfence).
pub const UNFENCE: &str = "/cluster/unfence";
/// Below it is a route for each member: see [`Remove`](crate::command::AdminCommand::Remove).
pub const MEMBERS: &str = "/cluster/members/";
/// `GET` and `PUT`: the level of the log.
pub const LOG_LEVEL: &str = "/admin/log-level";
/// Below it, `DELETE`: an entry whose user key is lost.
pub const ADMIN_CONFIGS: &str = "/admin/configs/";
/// `GET`: whether the process lives.
pub const HEALTH: &str = "/health";
/// `GET`: whether it serves entries.
pub const READY: &str = "/ready";
