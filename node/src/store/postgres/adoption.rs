//! How a copy of a store becomes another cluster's: a clone of a database for tests, or one that was restored beside the living
//! one, must not pass for it.

use super::{
    PostgresError, PostgresSettings, StoreIdentity, connections::Connections, identity, schema,
};

/// Gives the store of one cluster to another one, under a name of its own: a node that still has it open as it was writes nothing
/// into it any more.
///
/// # Errors
/// Where it is none of `from`, has another salt, is used by a node just now, or the role may not write its identity.
pub async fn adopt(
    settings: &PostgresSettings,
    from: &str,
    to: &str,
    salt_fingerprint: &str,
) -> Result<StoreIdentity, PostgresError> {
    let connections = Connections::new(settings)?;
    let adopting = async {
        let mut connection = connections.writes.get().await?;
        let transaction = connection.client_mut()?.transaction().await?;
        transaction
            .execute("SELECT pg_advisory_xact_lock($1)", &[&schema::LOCK])
            .await?;
        let before = identity::read_if_any(&transaction).await?;
        before.must_have(salt_fingerprint)?;
        before.must_be_of(from)?;
        // Every session's name is shown to every role.
        let nodes: i64 = transaction
            .query_one(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND application_name = 'osc-node' AND pid <> pg_backend_pid()",
                &[],
            )
            .await?
            .try_get(0)?;
        if nodes > 0 {
            return Err(PostgresError::InUse { connections: nodes });
        }
        if !identity::rename(&transaction, from, to).await? {
            return Err(PostgresError::OtherStore);
        }
        let after = identity::read_in(&transaction).await?;
        transaction.commit().await?;
        Ok(after)
    };
    tokio::time::timeout(settings.timeout, adopting)
        .await
        .map_err(|_| PostgresError::Slow)?
}
