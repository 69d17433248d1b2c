//! What is read: at the primary, each statement saying whether the server is one.

use tokio::time::{Instant, timeout_at};

use super::{
    PostgresError, PostgresStore,
    columns::{self, COLUMNS_OF_E, Parameter},
};
use crate::domain::{Identity, Row};

impl PostgresStore {
    /// The row of an identity, tombstones included; `None` when it was never written.
    pub(super) async fn find_until(
        &self,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<Option<Row>, PostgresError> {
        let rows = self.look_up(identity, deadline).await?;
        rows.first().map_or(Ok(None), |row| columns::read(row, 1))
    }

    /// The same as far as it can be read: for a caller that writes over it.
    pub(super) async fn find_unread_until(
        &self,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<Option<Row>, PostgresError> {
        let rows = self.look_up(identity, deadline).await?;
        let found = rows
            .first()
            .map_or(Ok(None), |row| columns::examine(row, 1))?;
        Ok(found.map(|(row, _)| row))
    }

    async fn look_up(
        &self,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<Vec<tokio_postgres::Row>, PostgresError> {
        let sql = format!(
            "SELECT pg_is_in_recovery(), {COLUMNS_OF_E} FROM (SELECT 1) AS one \
             LEFT JOIN opensecureconf.entries AS e ON e.environment = $1 AND e.key = $2"
        );
        let names = [
            identity.environment.as_str().as_bytes(),
            identity.key.as_str().as_bytes(),
        ];
        self.read(&sql, &[&names[0], &names[1]], deadline).await
    }

    /// When a request that begins now has waited long enough.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.0.settings.timeout
    }

    /// Runs a reading statement whose first column says whether the server is a standby, and which always has a row.
    pub(super) async fn read(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        deadline: Instant,
    ) -> Result<Vec<tokio_postgres::Row>, PostgresError> {
        let reading = async {
            let mut connection = self.0.connections.reads.get().await?;
            connection.begin();
            let client = connection.client()?;
            let statement = client.prepare_cached(sql).await?;
            let rows = client.query(&statement, parameters).await?;
            connection.end();
            let standby = rows.first().map_or(Ok(true), |row| row.try_get(0))?;
            if standby {
                // The server became a standby under this connection: another one leads elsewhere.
                connection.begin();
                return Err(PostgresError::Standby);
            }
            Ok(rows)
        };
        timeout_at(deadline, reading)
            .await
            .map_err(|_| PostgresError::Slow)?
    }
}
