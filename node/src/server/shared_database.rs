//! The database that a node shares with others, as its settings name it.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::fresh_incarnation;
use crate::{
    config::{Config, SharedDatabase, UsageError},
    crypto::Salt,
    os::reload::{self, Reloaded},
    store::{
        postgres::{PostgresError, PostgresSettings, PostgresStore},
        read_salt_file,
    },
    tls,
};

/// How long a starting node waits for its database before it listens: while it listens, it says that it waits.
const FIRST_TRY: Duration = Duration::from_secs(5);
/// How often it tries again.
const AGAIN: Duration = Duration::from_millis(500);

/// A database that nodes share, and the salt of its values.
#[derive(Debug)]
pub(super) struct OpenedDatabase {
    pub(super) store: PostgresStore,
    pub(super) salt: Salt,
}

/// Connects to the database, which must be the store of this cluster and this salt. Where it is away, the store is returned
/// without it: [`wait_for`] goes on.
///
/// # Errors
/// [`UsageError`] where the settings do not fit it.
pub(super) async fn open(
    config: &Config,
    database: &SharedDatabase,
) -> anyhow::Result<OpenedDatabase> {
    let salt = mounted_salt(config)?;
    let fingerprint = salt.fingerprint().to_string();
    let settings = settings_of(database)?;
    let store = PostgresStore::new(settings, &fingerprint, fresh_incarnation()?)?;
    match timeout(FIRST_TRY, try_to_reach(&store, &database.cluster)).await {
        Ok(Err(error)) if !error.may_pass() => return Err(as_told(error)),
        Ok(Err(error)) => tracing::warn!(error = %error, "shared_database_away"),
        Err(_) => tracing::warn!(error = %PostgresError::Slow, "shared_database_away"),
        Ok(Ok(())) => {}
    }
    Ok(OpenedDatabase { store, salt })
}

/// Goes on until the database is reached.
///
/// # Errors
/// As [`open`].
pub(super) async fn wait_for(store: &PostgresStore, cluster: &str) -> anyhow::Result<()> {
    let mut told = None;
    while store.identity().is_err() {
        sleep(AGAIN).await;
        match try_to_reach(store, cluster).await {
            Ok(()) => {}
            Err(error) if error.may_pass() => {
                let error = error.to_string();
                if told.as_ref() != Some(&error) {
                    tracing::warn!(error, "shared_database_away");
                }
                told = Some(error);
            }
            Err(error) => return Err(as_told(error)),
        }
    }
    Ok(())
}

async fn try_to_reach(store: &PostgresStore, cluster: &str) -> Result<(), PostgresError> {
    let found = store.reach(Some(cluster)).await?;
    tracing::info!(
        store_uid = %found.uid,
        schema = found.schema,
        "shared_database_reached"
    );
    Ok(())
}

/// Leads new connections to the address in the settings' files, whenever these change, until the future is dropped. Unusable
/// files change nothing.
pub(super) async fn follow(store: PostgresStore, database: SharedDatabase) {
    let mut told = None;
    reload::until_settled(database.files(), || match lead(&store, &database) {
        Ok(is_another) => {
            if is_another {
                tracing::info!("shared_database_address_reloaded");
            }
            told = None;
            Reloaded::Settled
        }
        Err(error) => {
            let error = format!("{error:#}");
            if told.as_ref() != Some(&error) {
                tracing::error!(error, "shared_database_address_not_reloaded");
            }
            told = Some(error);
            Reloaded::TryAgain
        }
    })
    .await;
}

/// Whether new connections lead elsewhere than before, or by another role.
fn lead(store: &PostgresStore, database: &SharedDatabase) -> anyhow::Result<bool> {
    let database = database.read_again().map_err(anyhow::Error::msg)?;
    Ok(store.lead_to(&settings_of(&database)?)?)
}

/// The salt that every node of a shared database mounts. No node makes one: two salts could not read each other's values.
///
/// # Errors
/// [`UsageError`] where there is none.
pub(crate) fn mounted_salt(config: &Config) -> anyhow::Result<Salt> {
    let unusable = |fault: String| UsageError(vec![format!("OSC_SALT_SECRET_FILE {fault}")]);
    let Some(path) = config.salt_secret_file.as_deref() else {
        return Err(unusable("is missing".to_owned()).into());
    };
    match read_salt_file(path) {
        Ok(Some(salt)) => Ok(salt),
        Ok(None) => Err(unusable(format!(
            "names {}, which is not there: a node of a shared database makes no salt; mount that of the store",
            path.display()
        ))
        .into()),
        Err(error) => {
            let error = anyhow::Error::from(error);
            Err(unusable(format!("cannot be used: {error:#}")).into())
        }
    }
}

/// How the database is reached.
///
/// # Errors
/// [`UsageError`] where the authorities of its server cannot be read.
pub(crate) fn settings_of(database: &SharedDatabase) -> anyhow::Result<PostgresSettings> {
    let authorities = database.authorities.as_deref().map(tls::certificates);
    let authorities = authorities
        .transpose()
        .map_err(|error| UsageError(vec![format!("OSC_DATABASE_CA_FILE: {error:#}")]))?;
    Ok(PostgresSettings {
        url: database.url.clone(),
        authorities: authorities.unwrap_or_default(),
        timeout: database.timeout,
        connections: database.connections,
    })
}

/// An error that needs other settings is reported as a fault of them.
pub(crate) fn as_told(error: PostgresError) -> anyhow::Error {
    match error {
        PostgresError::OtherSalt { .. } => {
            UsageError(vec![format!("OSC_SALT_SECRET_FILE: {error}")]).into()
        }
        PostgresError::OtherCluster { .. } => {
            UsageError(vec![format!("OSC_CLUSTER_ID: {error}")]).into()
        }
        error => error.into(),
    }
}
