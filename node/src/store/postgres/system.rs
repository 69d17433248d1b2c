//! Which server the latest timeline is one of: timelines of another one, such as `pg_upgrade` makes, begin anew and compare with none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_postgres::Client;

use super::PostgresError;

/// The system identifier of the latest primary, which its standbys share, and its timeline. All clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct LatestSystem(Arc<Mutex<Option<(i32, i64)>>>);

impl LatestSystem {
    fn locked(&self) -> MutexGuard<'_, Option<(i32, i64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the primary on this timeline; asks once for each.
    pub(super) async fn note(&self, primary: &Client, timeline: i32) {
        if self.locked().is_some_and(|(known, _)| known >= timeline) {
            return;
        }
        if let Some(system) = identifier(primary).await {
            *self.locked() = Some((timeline, system));
        }
    }

    /// Why a server is refused, where that may be because it is another one.
    pub(super) async fn explain(&self, server: &Client, error: PostgresError) -> PostgresError {
        let PostgresError::Replaced { found, latest } = error else {
            return error;
        };
        let known = self.locked().map(|(_, system)| system);
        match known.zip(identifier(server).await) {
            Some((known, told)) if known != told => PostgresError::Another { found, latest },
            _ => PostgresError::Replaced { found, latest },
        }
    }
}

/// `None` where the server does not tell it: a role may not be allowed to ask.
async fn identifier(server: &Client) -> Option<i64> {
    let sql = "SELECT system_identifier FROM pg_control_system()";
    server.query_one(sql, &[]).await.ok()?.try_get(0).ok()
}
