//! The identity of the store in the database, which keeps a node from writing into another store.

use std::{
    fmt,
    sync::{Mutex, OnceLock, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio_postgres::{Row, Transaction};

use super::{PostgresError, connections::Connections, schema};

/// The cluster's name of a store while a copy into it is unfinished: no node's cluster.
const UNFINISHED: &str = "unfinished copy for ";

/// The same for the copy that becomes the store of a cluster.
pub(super) fn unfinished_copy_for(cluster: &str) -> String {
    format!("{UNFINISHED}{cluster}")
}

/// A store's own name: 32 hexadecimal digits, made with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uid(String);

impl Uid {
    /// The name of a store that becomes another one.
    pub fn random() -> Self {
        let bits: u128 = rand::random();
        Self(format!("{bits:032x}"))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which store a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreIdentity {
    /// The store's own name.
    pub uid: Uid,
    /// The cluster that it belongs to (`OSC_CLUSTER_ID`).
    pub cluster: String,
    /// The fingerprint of the salt that all its values were encrypted with.
    pub salt_fingerprint: String,
    /// The version of its tables.
    pub schema: i32,
    /// The oldest schema whose releases can use these tables.
    pub(super) usable_from: i32,
}

/// Which store the database is, once that is known.
#[derive(Debug, Default)]
pub(super) struct KnownIdentity {
    known: OnceLock<StoreIdentity>,
    /// Why it is not known.
    cause: Mutex<Option<String>>,
}

impl KnownIdentity {
    pub(super) fn get(&self) -> Result<&StoreIdentity, PostgresError> {
        self.known.get().ok_or_else(|| {
            let cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
            let cause = cause
                .as_deref()
                .unwrap_or("the database was not reached yet");
            PostgresError::NotReached(cause.to_owned())
        })
    }

    /// `false` where it was known before.
    pub(super) fn set(&self, identity: StoreIdentity) -> bool {
        self.known.set(identity).is_ok()
    }

    pub(super) fn is_not_known_because(&self, error: &PostgresError) {
        let mut cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
        *cause = Some(error.to_string());
    }
}

impl StoreIdentity {
    /// Refuses a node that would encrypt with another salt.
    pub(super) fn must_have(&self, salt_fingerprint: &str) -> Result<(), PostgresError> {
        if self.salt_fingerprint == salt_fingerprint {
            return Ok(());
        }
        Err(PostgresError::OtherSalt {
            stored: self.salt_fingerprint.clone(),
            given: salt_fingerprint.to_owned(),
        })
    }

    /// Refuses a release that cannot use the tables.
    pub(super) fn must_be_usable(&self) -> Result<(), PostgresError> {
        schema::must_be_usable(self.schema, self.usable_from)
    }

    /// Refuses a node of another cluster.
    ///
    /// # Errors
    /// Where the store is another cluster's, or a copy that is not whole yet.
    pub fn must_be_of(&self, cluster: &str) -> Result<(), PostgresError> {
        if self.cluster == cluster {
            return Ok(());
        }
        if self.cluster.starts_with(UNFINISHED) {
            return Err(PostgresError::UnfinishedCopy);
        }
        Err(PostgresError::OtherCluster {
            stored: self.cluster.clone(),
            given: cluster.to_owned(),
        })
    }
}

/// Names a store that has no name yet; a later schema keeps the name.
pub(super) async fn settle(
    transaction: &Transaction<'_>,
    cluster: &str,
    salt_fingerprint: &str,
    (schema, usable_from): (i32, i32),
) -> Result<(), PostgresError> {
    let uid = Uid::random();
    transaction
        .execute(
            "INSERT INTO opensecureconf.identity (uid, cluster, salt_fingerprint, schema, usable_from) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (one) DO NOTHING",
            &[&uid.as_str(), &cluster, &salt_fingerprint, &schema, &usable_from],
        )
        .await?;
    transaction
        .execute(
            "UPDATE opensecureconf.identity SET schema = $1, usable_from = $2 WHERE schema < $1",
            &[&schema, &usable_from],
        )
        .await?;
    Ok(())
}

/// Gives a store another uid and another cluster; `false` where it does not belong to the named cluster.
pub(super) async fn rename(
    transaction: &Transaction<'_>,
    from: &str,
    to: &str,
    uid: &Uid,
) -> Result<bool, PostgresError> {
    let renamed = transaction
        .execute(
            "UPDATE opensecureconf.identity SET uid = $1, cluster = $2 WHERE cluster = $3",
            &[&uid.as_str(), &to, &from],
        )
        .await?;
    Ok(renamed == 1)
}

/// The identity, locked until the transaction ends: once it has committed, the identity that was read is durable.
pub(super) async fn read_in(transaction: &Transaction<'_>) -> Result<StoreIdentity, PostgresError> {
    let row = transaction
        .query_opt(
            "SELECT uid, cluster, salt_fingerprint, schema, usable_from FROM opensecureconf.identity FOR KEY SHARE",
            &[],
        )
        .await?;
    row.map_or(Err(PostgresError::Empty), |row| Ok(of(&row)?))
}

/// The same of a database that may have no tables of ours.
pub(super) async fn read_if_any(
    transaction: &Transaction<'_>,
) -> Result<StoreIdentity, PostgresError> {
    match read_in(transaction).await {
        Err(PostgresError::Refused(words)) if words.is_no_table() => Err(PostgresError::Empty),
        identity => identity,
    }
}

fn of(row: &Row) -> Result<StoreIdentity, tokio_postgres::Error> {
    Ok(StoreIdentity {
        uid: Uid(row.try_get(0)?),
        cluster: row.try_get(1)?,
        salt_fingerprint: row.try_get(2)?,
        schema: row.try_get(3)?,
        usable_from: row.try_get(4)?,
    })
}

/// The identity of a database whose tables this release can use.
pub(super) async fn read(
    connections: &Connections,
    timeout: Duration,
) -> Result<StoreIdentity, PostgresError> {
    let reading = async {
        let mut connection = connections.writes.get().await?;
        let transaction = connection.transaction().await?;
        let identity = read_if_any(&transaction).await?;
        transaction.commit().await?;
        connection.end();
        identity.must_be_usable()?;
        Ok(identity)
    };
    tokio::time::timeout(timeout, reading)
        .await
        .map_err(|_| PostgresError::Slow)?
}

/// The identity of the store if it has this uid: the outcome of a commit that had no answer, as durable as a commit.
pub(super) async fn of_uid(
    connections: &Connections,
    uid: &Uid,
    timeout: Duration,
) -> Result<Option<StoreIdentity>, PostgresError> {
    let cancelled = || connections.cancelled_waits.load(Ordering::Acquire);
    let cancelled_before = cancelled();
    let identity = read(connections, timeout).await?;
    if cancelled() != cancelled_before {
        // The standby may lack what was read.
        return Err(PostgresError::Unknown);
    }
    Ok(Some(identity).filter(|identity| identity.uid == *uid))
}
