//! How a copy of a store becomes another cluster's: a database that was cloned for tests, or restored beside the living one,
//! must not pass for that one.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::Transaction;

use super::{
    PostgresError, PostgresSettings, StoreIdentity, Uid, connections::Connections, identity,
    schema, settings::NODE,
};
use crate::store::StoreLoss;

/// Every session's name is shown to every role.
const CONNECTIONS_OF_NODES: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND application_name = $1 AND pid <> pg_backend_pid()";

/// The number of nodes' connections to the database, without this one.
pub(super) async fn connections_of_nodes(
    client: &tokio_postgres::Client,
) -> Result<i64, PostgresError> {
    let row = client.query_one(CONNECTIONS_OF_NODES, &[&NODE]).await?;
    Ok(row.try_get(0)?)
}

/// Refuses a database that a node is connected to.
pub(super) async fn must_be_unused(transaction: &Transaction<'_>) -> Result<(), PostgresError> {
    let row = transaction
        .query_one(CONNECTIONS_OF_NODES, &[&NODE])
        .await?;
    let connections: i64 = row.try_get(0)?;
    if connections > 0 {
        return Err(PostgresError::InUse { connections });
    }
    Ok(())
}

/// Gives the store of one cluster to another one, under a new uid: a node that still has it open under the old one cannot write
/// into it any more. A store that has this uid already was given by an earlier try, whose answer was lost.
///
/// # Errors
/// Where the store does not belong to `from`, has another salt, is in use by a node, or the role may not write its identity.
pub async fn adopt(
    settings: &PostgresSettings,
    from: &str,
    to: &str,
    salt_fingerprint: &str,
    uid: &Uid,
) -> Result<StoreIdentity, PostgresError> {
    let connections = Connections::new(&settings.for_command())?;
    let has_asked = AtomicBool::new(false);
    let adopting = async {
        let mut connection = connections.writes.get().await?;
        let transaction = connection.transaction().await?;
        schema::take_turn(&transaction, settings.timeout).await?;
        let before = identity::read_if_any(&transaction).await?;
        before.must_have(salt_fingerprint)?;
        if before.uid == *uid {
            connections.commit(transaction).await?;
            return Ok(before);
        }
        before.must_be_of(from)?;
        must_be_unused(&transaction).await?;
        if !identity::rename(&transaction, from, to, uid).await? {
            return Err(PostgresError::from(StoreLoss::Another));
        }
        let after = identity::read_in(&transaction).await?;
        has_asked.store(true, Ordering::Relaxed);
        connections.commit(transaction).await?;
        Ok(after)
    };
    // The wait for other commands has a limit of its own.
    let adopted = tokio::time::timeout(2 * settings.timeout, adopting)
        .await
        .unwrap_or(Err(PostgresError::Slow));
    let error = match adopted {
        Err(error) => error.of_command(settings.timeout),
        adopted => return adopted,
    };
    if has_asked.into_inner()
        && let Ok(Some(after)) = identity::of_uid(&connections, uid, settings.timeout).await
    {
        return Ok(after);
    }
    Err(error)
}
