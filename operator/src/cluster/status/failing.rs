//! The status while reconciles fail: the last observations, and a note that they may be outdated.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    beside_what_was_seen,
    verdicts::{Truth, Verdict},
};
use crate::cluster::resource::ClusterStatus;

/// The reason of both conditions.
const RECONCILE_FAILED: &str = "ReconcileFailed";

/// The status of a resource whose reconcile failed several times; `error` is the cause.
pub fn failing(
    error: &str,
    generation: Option<i64>,
    before: &ClusterStatus,
    now: &Time,
) -> ClusterStatus {
    let message = format!("the operator fails and goes on trying: {error}");
    let verdict = |type_, holds: bool| Verdict {
        type_,
        holds: Truth::from(holds),
        reason: RECONCILE_FAILED,
        message: message.clone(),
    };
    let told = vec![verdict("Ready", false), verdict("Reconciling", true)];
    beside_what_was_seen(told, generation, before, now)
}
