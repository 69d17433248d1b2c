//! Where new connections lead, and by which role: that changes while a node runs, when passwords and addresses are rotated.

use std::{
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use deadpool_postgres::Connect;
use futures::{FutureExt, StreamExt, stream};
use rustls::{ClientConfig, RootCertStore};
use rustls_tokio_postgres::MakeRustlsConnect;
use tokio::task::JoinHandle;
use tokio_postgres::{
    AsyncMessage, Client, Config, NoTls, Socket, error::SqlState, tls::MakeTlsConnect,
};

use super::{PostgresError, PostgresSettings, retirement::Retirement, settings::Transport};

/// SQLSTATE of a wait for a standby that was cancelled, sent as a warning beside a commit that succeeds.
const WARNING: &str = "01000";
/// The server's function that sends this warning. The message is in the language of `lc_messages`.
const WAITS_FOR_STANDBYS: &str = "SyncRepWaitForLSN";
/// SQLSTATEs of a role that the server does not let in begin so.
const NOT_LET_IN: &str = "28";

/// The routes of new connections of a store. All clones are one.
#[derive(Clone)]
pub(super) struct Routes(Arc<RwLock<Known>>);

#[derive(Clone)]
struct Known {
    current: Route,
    /// The earlier route, until a connection proves the current one: passwords reach the server and its clients at different
    /// times.
    previous: Option<Route>,
    /// How often it was replaced.
    number: u64,
}

#[derive(Clone)]
struct Route {
    settings: PostgresSettings,
    tls: Option<MakeRustlsConnect>,
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routes").finish_non_exhaustive()
    }
}

impl Routes {
    pub(super) fn new(settings: &PostgresSettings) -> Result<Self, PostgresError> {
        Ok(Self(Arc::new(RwLock::new(Known {
            current: Route::of(settings)?,
            previous: None,
            number: 0,
        }))))
    }

    /// Leads new connections by other settings from now on; `false` where the settings are unchanged.
    ///
    /// # Errors
    /// Where the authorities in them cannot be used; then nothing changes.
    pub(super) fn replace(&self, settings: &PostgresSettings) -> Result<bool, PostgresError> {
        let route = Route::of(settings)?;
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.current.settings == *settings {
            return Ok(false);
        }
        known.previous = Some(std::mem::replace(&mut known.current, route));
        known.number += 1;
        Ok(true)
    }

    fn known(&self) -> Known {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    /// Notes that the current route works, if it still has this number.
    fn proved(&self, number: u64) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.number == number {
            known.previous = None;
        }
    }

    async fn dial(&self, cancelled_waits: Arc<AtomicU64>) -> Dialled {
        let Known {
            current,
            previous,
            number,
        } = self.known();
        let dialled = current.dial(Arc::clone(&cancelled_waits)).await;
        match (dialled, previous) {
            (Ok(connection), Some(_)) => {
                self.proved(number);
                Ok(connection)
            }
            (Err(error), Some(previous)) if is_not_let_in(&error) => {
                let dialled = previous.dial(cancelled_waits).await;
                dialled.map_err(|_| error)
            }
            (dialled, _) => dialled,
        }
    }
}

fn is_not_let_in(error: &tokio_postgres::Error) -> bool {
    error
        .code()
        .is_some_and(|code| code.code().starts_with(NOT_LET_IN))
}

impl Route {
    fn of(settings: &PostgresSettings) -> Result<Self, PostgresError> {
        Ok(Self {
            settings: settings.clone(),
            tls: match settings.url.transport() {
                Transport::Clear => None,
                Transport::Verified => Some(tls(settings)?),
            },
        })
    }

    async fn dial(self, cancelled_waits: Arc<AtomicU64>) -> Dialled {
        let config = self.settings.url.config().clone();
        match self.tls {
            Some(tls) => dial(config, tls, cancelled_waits).await,
            None => dial(config, NoTls, cancelled_waits).await,
        }
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

/// Makes connections, and reads the server's notices beside its answers.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) routes: Routes,
    pub(super) retirement: Retirement,
    pub(super) cancelled_waits: Arc<AtomicU64>,
}

type Dialled = Result<(Client, JoinHandle<()>), tokio_postgres::Error>;
type Connecting<'a> = Pin<Box<dyn Future<Output = Dialled> + Send + 'a>>;

impl Connect for Connector {
    /// Uses the current route, whatever route the pool was made with.
    fn connect(&self, _: &Config) -> Connecting<'_> {
        async {
            let dialled = self.routes.dial(Arc::clone(&self.cancelled_waits)).await;
            if let Err(error) = &dialled
                && error.code() == Some(&SqlState::CANNOT_CONNECT_NOW)
            {
                self.retirement.retire_all();
            }
            dialled
        }
        .boxed()
    }
}

async fn dial<T>(config: Config, tls: T, cancelled_waits: Arc<AtomicU64>) -> Dialled
where
    T: MakeTlsConnect<Socket> + Send,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as tokio_postgres::tls::TlsConnect<Socket>>::Future: Send,
{
    let (client, mut connection) = config.connect(tls).await?;
    let task = tokio::spawn(async move {
        let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
        // Counted before the commit is answered, so that the caller that receives the answer sees the count.
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notice(notice) = message
                && is_cancelled_wait(notice.code().code(), notice.routine(), notice.message())
            {
                cancelled_waits.fetch_add(1, Ordering::AcqRel);
            }
        }
    });
    Ok((client, task))
}

/// Whether a notice says that a commit no longer waits for its standby. If a pooler omits the function, the message counts.
fn is_cancelled_wait(code: &str, routine: Option<&str>, words: &str) -> bool {
    let is_of_wait = routine == Some(WAITS_FOR_STANDBYS);
    code == WARNING && (is_of_wait || words.contains("synchronous replication"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(url: &str) -> PostgresSettings {
        PostgresSettings {
            url: url.parse().unwrap(),
            authorities: Vec::new(),
            timeout: Duration::from_secs(1),
            connections: 2,
        }
    }

    #[test]
    fn the_route_before_is_kept_until_the_current_one_is_proved() {
        let [old, new, newer] = ["old", "new", "newer"]
            .map(|role| settings(&format!("postgres://{role}@db/app?sslmode=disable")));
        let routes = Routes::new(&old).unwrap();
        assert!(!routes.replace(&old).unwrap(), "it is the same");
        assert!(routes.replace(&new).unwrap());
        let before = routes.known();
        assert_eq!(before.current.settings, new);
        assert_eq!(before.previous.map(|route| route.settings), Some(old));
        assert!(routes.replace(&newer).unwrap());
        // A connection by the earlier route proves nothing about this one.
        routes.proved(before.number);
        assert!(routes.known().previous.is_some());
        routes.proved(routes.known().number);
        assert!(routes.known().previous.is_none());
    }

    #[test]
    fn a_wait_that_was_cancelled_is_known_in_every_language() {
        let english = "canceling wait for synchronous replication due to user request";
        let german = "storniere Warten auf synchrone Replikation wegen Benutzeraufforderung";
        let waits = Some("SyncRepWaitForLSN");
        assert!(is_cancelled_wait("01000", waits, english));
        assert!(is_cancelled_wait("01000", waits, german));
        assert!(is_cancelled_wait("01000", None, english));
        let other = "database \"app\" has a collation version mismatch";
        assert!(!is_cancelled_wait("01000", Some("CheckMyDatabase"), other));
        assert!(!is_cancelled_wait("00000", waits, english));
    }
}
