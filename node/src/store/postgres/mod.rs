//! Entries in a PostgreSQL database that several nodes share: replication, failover and backup are the database's own.
//!
//! | file | idea |
//! |---|---|
//! | `settings` | the address of the database, and how long a request may wait for it |
//! | `connections` | pools of connections to the primary, and never to a server that is no primary any more |
//! | `routes` | the address of new connections, which may change |
//! | `dialling` | the servers of an address, each of which has its share of the time |
//! | `timeline` | which primary is the latest |
//! | `system` | which server the latest timeline is one of |
//! | `schema` | the tables, and how older ones become the current ones |
//! | `identity` | the identity of the store, which keeps a node from writing into another one |
//! | `answers` | whether the database answers, as far as that is known without a question |
//! | `columns` | rows to and from SQL |
//! | `entries` | reads |
//! | `commit` | writes, and their outcome when the server does not answer |
//! | `batch` | several writes in one transaction |
//! | `confirm` | facts for a caller about an entry that it may not write |
//! | `transaction` | one writing transaction, and callers that wait too long |
//! | `set_aside` | connections that no caller waits for any more |
//! | `changes` | changes, in an order that no late commit disturbs |
//! | `listing` | many entries of one state of the database |
//! | `large_rows` | rows of a list whose tokens did not come with them |
//! | `wake` | readers that wait for the next commit |
//! | `condition` | the store's knowledge of itself without a query |
//! | `watch` | the store's own background work |
//! | `server` | the primary's report on itself, and a node's use of it |
//! | `adoption` | how a copy of a store becomes another cluster's |
//! | `copy_source`, `copy_target` | a whole store as the source of a copy, and as its target |
//! | `entry_store` | the database as a store of entries for requests |

mod adoption;
mod answers;
mod batch;
mod changes;
mod columns;
mod commit;
mod condition;
mod confirm;
mod connections;
mod copy_source;
mod copy_target;
mod dialling;
mod entries;
mod entry_store;
mod error;
mod identity;
mod large_rows;
mod listing;
mod one_by_one;
mod retirement;
mod routes;
mod schema;
mod server;
mod set_aside;
mod settings;
mod system;
mod timeline;
mod transaction;
mod wake;
mod watch;

pub use adoption::adopt;
pub use connections::ConnectionUse;
pub(in crate::store) use copy_source::CopySource;
pub(in crate::store) use copy_target::CopyTarget;
pub use error::{PostgresError, ServerWords};
pub use identity::{StoreIdentity, Uid};
pub use schema::{Migrated, migrate};
pub use server::{DatabaseUsage, Primary};
pub use settings::{DatabaseUrl, NoDatabaseUrl, PostgresSettings};

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::sync::Semaphore;

use crate::{
    domain::{Clock, HybridClock, Incarnation, Timestamp},
    store::Deadline,
};
use connections::Connections;
use identity::KnownIdentity;
use transaction::Writes;

/// How far ahead of this node's wall clock a caller may name a version that this node has not heard of.
const NAMED_AHEAD: Duration = Duration::from_hours(1);

/// The entries of a PostgreSQL database, and when the request that uses them has waited long enough. Cheap to clone; all clones
/// are one.
#[derive(Debug, Clone)]
pub struct PostgresStore(Arc<Shared>, Deadline);

#[derive(Debug)]
struct Shared {
    connections: Connections,
    writes: Writes,
    lists: listing::ListThreads,
    identity: KnownIdentity,
    salt_fingerprint: String,
    settings: PostgresSettings,
    stamps: Mutex<HybridClock>,
    /// The id of this process: it distinguishes its writes from those of all others.
    incarnation: Incarnation,
    confirmed: confirm::Confirmed,
    /// Held during the work on a large row.
    large: Semaphore,
    answers: answers::Answers,
    condition: condition::Condition,
    wake: wake::Wake,
}

impl PostgresStore {
    /// A store whose database is not reached yet, in which no call succeeds before [`Self::reach`] has.
    ///
    /// # Errors
    /// Where the authorities in the settings cannot be used, or the system gives no more threads.
    pub fn new(
        settings: PostgresSettings,
        salt_fingerprint: &str,
        incarnation: Incarnation,
    ) -> Result<Self, PostgresError> {
        let shared = Shared {
            connections: Connections::new(&settings)?,
            writes: Writes::new(&settings),
            // The other half of the connections stays for readers of single entries.
            lists: listing::ListThreads::start(settings.connections / 2)?,
            identity: KnownIdentity::default(),
            salt_fingerprint: salt_fingerprint.to_owned(),
            settings,
            stamps: Mutex::new(HybridClock::resume(Clock::default())),
            incarnation,
            confirmed: confirm::Confirmed::default(),
            large: Semaphore::new(1),
            answers: answers::Answers::default(),
            condition: condition::Condition::default(),
            wake: wake::Wake::default(),
        };
        Ok(Self(Arc::new(shared), Deadline::default()))
    }

    /// Connects to the database, which must have this schema and this salt, and be the store of this cluster where one is
    /// named. From then on the store is the one that the database has now.
    ///
    /// # Errors
    /// Where no server answers in time, the server is no primary, the schema differs, or the store is another one. Calls report
    /// the cause until the next try.
    pub async fn reach(&self, cluster: Option<&str>) -> Result<&StoreIdentity, PostgresError> {
        if let Err(error) = self.try_to_reach(cluster).await {
            self.0.identity.is_not_known_because(&error);
            return Err(error);
        }
        self.identity()
    }

    async fn try_to_reach(&self, cluster: Option<&str>) -> Result<(), PostgresError> {
        let shared = &self.0;
        let found = identity::read(&shared.connections, shared.settings.timeout).await?;
        found.must_have(&shared.salt_fingerprint)?;
        if let Some(cluster) = cluster {
            found.must_be_of(cluster)?;
        }
        shared.connections.keep_to(&found.uid);
        if shared.identity.set(found) {
            watch::start(shared);
        }
        // Their number is for display, and counted again soon.
        if let Err(error) = self.recount().await {
            tracing::debug!(%error, "database_not_counted");
        }
        Ok(())
    }

    /// The same as [`Self::new`] and [`Self::reach`] in one.
    ///
    /// # Errors
    /// As those.
    pub async fn connect(
        settings: PostgresSettings,
        salt_fingerprint: &str,
        incarnation: Incarnation,
    ) -> Result<Self, PostgresError> {
        let store = Self::new(settings, salt_fingerprint, incarnation)?;
        store.reach(None).await?;
        Ok(store)
    }

    /// The writer of this process's writes.
    pub fn incarnation(&self) -> Incarnation {
        self.0.incarnation
    }

    /// Leads new connections to the address in these settings; existing ones live a minute at most. `false` where the settings
    /// are unchanged. A server with another store is refused.
    ///
    /// # Errors
    /// Where the authorities in the settings cannot be used; then nothing changes.
    pub fn lead_to(&self, settings: &PostgresSettings) -> Result<bool, PostgresError> {
        self.0.connections.routes.replace(settings)
    }

    /// How long one request may wait for the database in total.
    pub fn limit(&self) -> Duration {
        self.0.settings.timeout
    }

    /// Which store this is.
    ///
    /// # Errors
    /// While the database is not reached.
    pub fn identity(&self) -> Result<&StoreIdentity, PostgresError> {
        self.0.identity.get()
    }

    fn stamps(&self) -> MutexGuard<'_, HybridClock> {
        self.0.stamps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stamp of a new write: later than all writes of this process, than the replaced version, and than the version that
    /// the client names. A client may invent a version: it moves clocks by an hour at most.
    fn stamp(
        &self,
        now: Timestamp,
        replaced: Option<Clock>,
        named: Option<Clock>,
    ) -> Result<Clock, PostgresError> {
        let mut stamps = self.stamps();
        let ahead = u64::try_from(NAMED_AHEAD.as_micros()).unwrap_or(u64::MAX);
        let soon = Timestamp::from_micros(now.as_micros().saturating_add_unsigned(ahead));
        if named > Some(Clock::at(soon).max(stamps.high_water())) && named > replaced {
            return Err(PostgresError::NoWrite(
                "the version that the request names is later than any that this node has heard of",
            ));
        }
        let after = replaced.max(named);
        if !stamps.following(now, after).is_plausible() {
            return Err(PostgresError::NoWrite(
                "the clocks of the cluster have come to their end",
            ));
        }
        Ok(stamps.tick(now, after))
    }
}

/// Wall-clock time.
fn now() -> Timestamp {
    let elapsed = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
}
