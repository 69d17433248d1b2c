//! Pools of connections to the primary, and never to one that is none any more.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{
    Client, Connect, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod,
    Runtime,
};
use futures::{FutureExt, StreamExt, stream};
use rustls::{ClientConfig, RootCertStore};
use rustls_tokio_postgres::MakeRustlsConnect;
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Config, NoTls, Socket, tls::MakeTlsConnect};

use super::{
    PostgresError, PostgresSettings,
    settings::Transport,
    timeline::{LatestTimeline, TIMELINE},
};

/// How long a connection lives: where a name or a pooler leads to another server later, so does every connection soon.
const MOST_AGE: Duration = Duration::from_mins(1);
/// Requests that wait for a connection of one pool at most.
const MOST_WAITING: usize = 1024;
/// SQLSTATE of a wait for a standby that was cancelled, sent as a warning beside a commit that succeeds.
const WARNING: &str = "01000";

/// Both pools.
#[derive(Debug)]
pub(super) struct Connections {
    /// For reading: no write that waits for a standby holds one.
    pub(super) reads: ConnectionPool,
    /// For writing.
    pub(super) writes: ConnectionPool,
    /// The latest timeline of all of them.
    pub(super) timeline: LatestTimeline,
    /// How many waits for a standby were cancelled by other sessions: their commits count as made here, and nowhere else.
    pub(super) cancelled_waits: Arc<AtomicU64>,
}

impl Connections {
    pub(super) fn new(settings: &PostgresSettings) -> Result<Self, PostgresError> {
        let timeline = LatestTimeline::default();
        let cancelled_waits = Arc::new(AtomicU64::new(0));
        let pool = || {
            let connector = Connector {
                tls: match settings.url.transport() {
                    Transport::Clear => None,
                    Transport::Verified => Some(tls(settings)?),
                },
                cancelled_waits: Arc::clone(&cancelled_waits),
            };
            ConnectionPool::new(settings, connector, &timeline)
        };
        Ok(Self {
            reads: pool()?,
            writes: pool()?,
            timeline,
            cancelled_waits,
        })
    }
}

fn tls(settings: &PostgresSettings) -> Result<MakeRustlsConnect, PostgresError> {
    let mut roots = RootCertStore::empty();
    for authority in &settings.authorities {
        roots.add(authority.clone()).map_err(PostgresError::Tls)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(PostgresError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Connections that are handed out and taken back, and a bounded line of those who wait for one.
#[derive(Debug)]
pub(super) struct ConnectionPool {
    pool: Pool,
    waiting: AtomicUsize,
}

impl ConnectionPool {
    fn new(
        settings: &PostgresSettings,
        connector: Connector,
        timeline: &LatestTimeline,
    ) -> Result<Self, PostgresError> {
        let manager = Manager::from_connect(
            settings.url.config().clone(),
            connector,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let timeline = timeline.clone();
        let pool = Pool::builder(manager)
            .max_size(settings.connections)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(settings.timeout))
            .post_create(Hook::async_fn(move |connection, _| {
                let timeline = timeline.clone();
                async move { accept(connection, &timeline).await }.boxed()
            }))
            .pre_recycle(Hook::sync_fn(|_, metrics| {
                if metrics.age() > MOST_AGE {
                    return Err(HookError::message("it has lived long enough"));
                }
                Ok(())
            }))
            .build()
            .map_err(|error| PostgresError::Away(error.to_string()))?;
        Ok(Self {
            pool,
            waiting: AtomicUsize::new(0),
        })
    }

    /// A connection, as soon as one is free; refused where too many wait for one already.
    pub(super) async fn get(&self) -> Result<Connection, PostgresError> {
        let _place = Place::in_line(&self.waiting)?;
        let client = self.pool.get().await?;
        Ok(Connection {
            client: Some(client),
            quiet: true,
        })
    }
}

/// A place among those who wait.
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

/// Refuses a new connection to a server that is not the latest primary.
async fn accept(
    connection: &deadpool_postgres::ClientWrapper,
    timeline: &LatestTimeline,
) -> Result<(), HookError> {
    let row = connection
        .query_one(&format!("SELECT {TIMELINE}"), &[])
        .await
        .map_err(HookError::Backend)?;
    timeline
        .accept(row.try_get(0).map_err(HookError::Backend)?)
        .map_err(|error| HookError::message(error.to_string()))
}

/// A connection that goes back into its pool when nothing is under way on it, and is closed otherwise: its next user would
/// wait for what this one gave up.
pub(super) struct Connection {
    client: Option<Client>,
    quiet: bool,
}

impl Connection {
    /// Something is sent, whose answer may never be taken.
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

    /// The same, for a transaction of more than one statement.
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

/// Makes connections, and hears what the server says beside its answers.
struct Connector {
    tls: Option<MakeRustlsConnect>,
    cancelled_waits: Arc<AtomicU64>,
}

type Connecting<'a> = Pin<
    Box<
        dyn Future<Output = Result<(tokio_postgres::Client, JoinHandle<()>), tokio_postgres::Error>>
            + Send
            + 'a,
    >,
>;

impl Connect for Connector {
    fn connect(&self, config: &Config) -> Connecting<'_> {
        let config = config.clone();
        let cancelled = Arc::clone(&self.cancelled_waits);
        match self.tls.clone() {
            Some(tls) => dial(config, tls, cancelled).boxed(),
            None => dial(config, NoTls, cancelled).boxed(),
        }
    }
}

async fn dial<T>(
    config: Config,
    tls: T,
    cancelled_waits: Arc<AtomicU64>,
) -> Result<(tokio_postgres::Client, JoinHandle<()>), tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket> + Send,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as tokio_postgres::tls::TlsConnect<Socket>>::Future: Send,
{
    let (client, mut connection) = config.connect(tls).await?;
    let task = tokio::spawn(async move {
        let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
        // Counted before the commit is answered, so that the caller that takes the answer sees the count.
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notice(notice) = message
                && notice.code().code() == WARNING
                && notice.message().contains("synchronous replication")
            {
                cancelled_waits.fetch_add(1, Ordering::AcqRel);
            }
        }
    });
    Ok((client, task))
}
