//! Where new connections lead, and by which role: that changes while a node runs, when passwords and addresses are rotated.

use std::{
    pin::Pin,
    sync::{Arc, PoisonError, RwLock, atomic::AtomicU64},
};

use deadpool_postgres::Connect;
use futures::FutureExt;
use rustls::{ClientConfig, RootCertStore};
use rustls_tokio_postgres::MakeRustlsConnect;
use tokio_postgres::{Config, error::SqlState};

use super::{
    PostgresError, PostgresSettings,
    dialling::{Dialled, Servers},
    retirement::Retirement,
    settings::Transport,
};

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
    servers: Servers,
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

    /// The server of the latest connection is no use: the next connection begins with the one after it in the address.
    pub(super) fn pass_over(&self) {
        self.known().current.servers.pass_over();
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
        let dialled = current.servers.dial(&cancelled_waits).await;
        match (dialled, previous) {
            (Ok(connection), Some(_)) => {
                self.proved(number);
                Ok(connection)
            }
            (Err(error), Some(previous)) if is_not_let_in(&error) => {
                let dialled = previous.servers.dial(&cancelled_waits).await;
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
        let tls = match settings.url.transport() {
            Transport::Clear => None,
            Transport::Verified => Some(tls(settings)?),
        };
        Ok(Self {
            settings: settings.clone(),
            servers: Servers::of(settings, tls),
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

/// Makes connections, and reads the server's notices beside its answers.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) routes: Routes,
    pub(super) retirement: Retirement,
    pub(super) cancelled_waits: Arc<AtomicU64>,
}

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
}
