//! Pools of connections to the primary of one store, and never to a server that is no primary any more.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{
    Client, Connect, Hook, HookError, Manager, ManagerConfig, Metrics, Object, Pool,
    RecyclingMethod, Runtime, Transaction,
};
use tokio_postgres::Config;

use super::{
    PostgresError, PostgresSettings, Uid,
    retirement::Retirement,
    routes::{Connector, Routes},
    system::LatestSystem,
    timeline::{LatestTimeline, TIMELINE},
    transaction::WARNED,
};
use crate::store::StoreLoss;

/// How much longer than a request to wait for the answers of servers that are only probed for whether they accept connections.
const KNOCKING: Duration = Duration::from_secs(1);
/// Requests that wait for a connection of one pool at most.
const MOST_WAITING: usize = 1024;

/// Both pools.
#[derive(Debug)]
pub(super) struct Connections {
    /// For reads: no write that waits for a standby holds one.
    pub(super) reads: ConnectionPool,
    /// For writing.
    pub(super) writes: ConnectionPool,
    /// The latest timeline of all connections.
    pub(super) timeline: LatestTimeline,
    /// The route of new connections.
    pub(super) routes: Routes,
    /// The store that new connections must lead to, once it is known.
    store: Arc<OnceLock<Uid>>,
    /// Makes a connection outside the pools.
    knocking: Connector,
    /// How long a request may wait.
    limit: Duration,
    /// How many waits for a standby were cancelled by other sessions: their commits count as made here, and nowhere else.
    pub(super) cancelled_waits: Arc<AtomicU64>,
}

impl Connections {
    pub(super) fn new(settings: &PostgresSettings) -> Result<Self, PostgresError> {
        let retirement = Retirement::default();
        let timeline = LatestTimeline::ending(&retirement);
        let cancelled_waits = Arc::new(AtomicU64::new(0));
        let routes = Routes::new(settings)?;
        let (store, system) = (Arc::new(OnceLock::new()), LatestSystem::default());
        let connector = || Connector {
            routes: routes.clone(),
            retirement: retirement.clone(),
            cancelled_waits: Arc::clone(&cancelled_waits),
        };
        let pool = || {
            let check = Check {
                timeline: timeline.clone(),
                system: system.clone(),
                store: Arc::clone(&store),
                routes: routes.clone(),
            };
            ConnectionPool::new(settings, connector(), check)
        };
        Ok(Self {
            reads: pool()?,
            writes: pool()?,
            knocking: connector(),
            limit: settings.timeout,
            timeline,
            routes,
            store,
            cancelled_waits,
        })
    }

    /// Closes connections that have served long enough, also idle ones.
    pub(super) fn close_retired(&self) {
        for pool in [&self.reads, &self.writes] {
            let due = |metrics: &Metrics| pool.retirement.is_due(metrics);
            drop(pool.pool.retain(|_, metrics| !due(&metrics)));
        }
    }

    /// Finds out whether the server still accepts new connections: a server that shuts down keeps serving its existing
    /// connections without a notice.
    pub(super) async fn knock(&self) {
        // An answer in time is not needed: a request finds out as well.
        let made = self.knocking.connect(&Config::new());
        drop(tokio::time::timeout(self.limit + KNOCKING, made).await);
    }

    /// Commits what a command did. [`PostgresError::Unknown`] where a wait for a standby was cancelled meanwhile: the standby may
    /// lack it.
    pub(super) async fn commit(&self, transaction: Transaction<'_>) -> Result<(), PostgresError> {
        let cancelled_before = self.cancelled_waits.load(Ordering::Acquire);
        transaction.commit().await.map_err(PostgresError::of_sent)?;
        if self.cancelled_waits.load(Ordering::Acquire) != cancelled_before {
            return Err(PostgresError::Unknown);
        }
        Ok(())
    }

    /// Refuses new connections to any other store from now on, whatever the address leads to.
    pub(super) fn keep_to(&self, store: &Uid) {
        // Set once: a store connects once.
        let _ = self.store.set(store.clone());
    }
}

/// How much of a pool is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionUse {
    /// Connections in use, those set aside included.
    pub in_use: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
}

/// A pool of connections, and a bounded line of waiting requests.
#[derive(Debug)]
pub(super) struct ConnectionPool {
    pool: Pool,
    check: Check,
    retirement: Retirement,
    waiting: AtomicUsize,
}

impl ConnectionPool {
    fn new(
        settings: &PostgresSettings,
        connector: Connector,
        check: Check,
    ) -> Result<Self, PostgresError> {
        let retirement = connector.retirement.clone();
        let retired = retirement.clone();
        let manager = Manager::from_connect(
            settings.url.config().clone(),
            connector,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(settings.connections)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(settings.timeout))
            .pre_recycle(Hook::sync_fn(move |_, metrics| {
                if retired.is_due(metrics) {
                    return Err(HookError::message("it has lived long enough"));
                }
                Ok(())
            }))
            .build()
            .map_err(|error| PostgresError::Away(error.to_string()))?;
        Ok(Self {
            pool,
            check,
            retirement,
            waiting: AtomicUsize::new(0),
        })
    }

    /// The present use of the pool.
    pub(super) fn usage(&self) -> ConnectionUse {
        let status = self.pool.status();
        ConnectionUse {
            in_use: status.size.saturating_sub(status.available),
            waiting: status.waiting,
        }
    }

    /// A connection, as soon as one is free; refused where too many wait for one already.
    pub(super) async fn get(&self) -> Result<Connection, PostgresError> {
        let _place = Place::in_line(&self.waiting)?;
        // Before the pool is asked: it may have this connection from before a promotion that is learned of meanwhile.
        let since = self.check.timeline.get();
        let client = self.pool.get().await?;
        let is_new = Object::metrics(&client).recycle_count == 0;
        let mut connection = Connection {
            client: Some(client),
            quiet: true,
            timeline: since,
        };
        if is_new {
            connection.begin();
            connection.timeline = self.check.accept(connection.client()?).await?;
            connection.end();
        }
        Ok(connection)
    }
}

/// A place in the line.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn in_line(waiting: &'a AtomicUsize) -> Result<Self, PostgresError> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            return Err(PostgresError::Busy);
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a new connection must lead to.
#[derive(Debug)]
struct Check {
    timeline: LatestTimeline,
    system: LatestSystem,
    store: Arc<OnceLock<Uid>>,
    routes: Routes,
}

impl Check {
    /// The timeline of the server. Refuses a connection to one that is not the latest primary, or has another store.
    async fn accept(&self, connection: &Client) -> Result<i32, PostgresError> {
        let accepted = self.judge(connection).await;
        if accepted.is_err() {
            self.routes.pass_over();
        }
        accepted
    }

    async fn judge(&self, connection: &Client) -> Result<i32, PostgresError> {
        let sql = format!("SELECT {TIMELINE}");
        let told = connection
            .query_one(&sql, &[])
            .await
            .map_err(|error| PostgresError::from(error).of_connection())?;
        let told: Option<i32> = told.try_get(0)?;
        match self.timeline.accept(told) {
            Err(error) => return Err(self.system.explain(connection, error).await),
            Ok(()) => self.system.note(connection, told.unwrap_or_default()).await,
        }
        let timeline = told.unwrap_or_default();
        let Some(store) = self.store.get() else {
            return Ok(timeline);
        };
        let sql = "SELECT EXISTS (SELECT FROM opensecureconf.identity WHERE uid = $1)";
        let found = connection.query_one(sql, &[&store.as_str()]).await;
        let found = found.map_err(|error| PostgresError::from(error).of_store().of_connection())?;
        if found.try_get(0)? {
            Ok(timeline)
        } else {
            Err(StoreLoss::Another.into())
        }
    }
}

/// A connection that returns to its pool when no statement is under way on it, and is closed otherwise: its next user would
/// wait for the abandoned statement.
pub(super) struct Connection {
    client: Option<Client>,
    quiet: bool,
    /// Of the primary that it was taken for. Once the process sees a later one, the server may have been replaced.
    pub(super) timeline: i32,
}

impl Connection {
    /// A statement is sent, whose answer may never be read.
    pub(super) fn begin(&mut self) {
        self.quiet = false;
    }

    /// Everything that was sent is answered.
    pub(super) fn end(&mut self) {
        self.quiet = true;
    }

    /// The client; `None` never, as long as the connection is held.
    pub(super) fn client(&self) -> Result<&Client, PostgresError> {
        self.client
            .as_ref()
            .ok_or_else(|| PostgresError::Away("the connection is closed".into()))
    }

    /// A transaction of more than one statement, whose commit tells a cancelled wait. What is sent is unanswered until
    /// [`Self::end`].
    pub(super) async fn transaction(&mut self) -> Result<Transaction<'_>, PostgresError> {
        self.begin();
        let transaction = self.client_mut()?.transaction().await?;
        transaction.batch_execute(WARNED).await?;
        Ok(transaction)
    }

    /// The client, for a transaction with terms of its own.
    pub(super) fn client_mut(&mut self) -> Result<&mut Client, PostgresError> {
        self.client
            .as_mut()
            .ok_or_else(|| PostgresError::Away("the connection is closed".into()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.quiet
            && let Some(client) = self.client.take()
        {
            drop(Object::take(client));
        }
    }
}
