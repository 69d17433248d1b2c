//! Connections to the servers of one address. Each server has its share of the time, for connecting and for the login: one that
//! accepts the connection and stays silent must not keep the node from the others.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use rustls_tokio_postgres::MakeRustlsConnect;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_postgres::{
    AsyncMessage, Client, Config, NoTls, Socket, config::Host, tls::MakeTlsConnect,
};

use super::PostgresSettings;

/// SQLSTATE of a wait for a standby that was cancelled, sent as a warning beside a commit that succeeds.
const WARNING: &str = "01000";
/// The server's function that sends this warning. The message is in the language of `lc_messages`.
const WAITS_FOR_STANDBYS: &str = "SyncRepWaitForLSN";

pub(super) type Dialled = Result<(Client, JoinHandle<()>), tokio_postgres::Error>;

/// The servers of an address, in its order. All clones are one.
#[derive(Clone)]
pub(super) struct Servers {
    each: Arc<[Config]>,
    /// The place of the server to try first: the latest that let the node in, or the one after the latest that did not.
    first: Arc<AtomicUsize>,
    /// The latest address that was tried of a server whose name has several, by its place, and whether it let the node in.
    latest: Arc<Mutex<HashMap<usize, (IpAddr, bool)>>>,
    tls: Option<MakeRustlsConnect>,
    /// For all servers together.
    limit: Duration,
}

impl Servers {
    pub(super) fn of(settings: &PostgresSettings, tls: Option<MakeRustlsConnect>) -> Self {
        Self {
            each: settings.url.servers().into(),
            first: Arc::default(),
            latest: Arc::default(),
            tls,
            limit: settings.timeout,
        }
    }

    /// Begins the next connection with another server than the latest.
    pub(super) fn pass_over(&self) {
        let place = self.first.load(Ordering::Relaxed);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, has_let_in)) = latest.get_mut(&place) {
            *has_let_in = false;
        }
        drop(latest);
        self.begin_behind(place);
    }

    /// The addresses of the name at this place in the order in which they are tried: the one that let the node in latest is
    /// the first, or the one that did not is the last.
    fn order(&self, place: usize, mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((tried, has_let_in)) = latest.get(&place)
            && let Some(at) = addresses.iter().position(|address| address == tried)
        {
            let begin = if *has_let_in { at } else { at + 1 };
            addresses.rotate_left(begin);
        }
        addresses
    }

    /// Begins with another server than the one at this place, where it was the first.
    fn begin_behind(&self, place: usize) {
        let next = (place + 1).checked_rem(self.each.len());
        let (relaxed, next) = (Ordering::Relaxed, next.unwrap_or_default());
        // Another connection may have found another server meanwhile.
        let _ = self.first.compare_exchange(place, next, relaxed, relaxed);
    }

    /// Connects to the first server that lets the node in within its share of the time. The last one has all the time that its
    /// caller has: the caller ends that wait.
    pub(super) async fn dial(&self, cancelled_waits: &Arc<AtomicU64>) -> Dialled {
        let until = Instant::now() + self.limit;
        let mut waiting = self.in_turn();
        let mut failed: Option<tokio_postgres::Error> = None;
        while let Some((place, server)) = waiting.pop_front() {
            let others = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
            let share = || {
                let left = until.saturating_duration_since(Instant::now());
                left / others.saturating_add(1)
            };
            // The look-up belongs to it: that may have no answer either.
            let mut attempt = Attempt {
                servers: self,
                place,
                address: server.get_hostaddrs().first().copied(),
                end: End::Failed,
            };
            if let Ok(Some(addresses)) = timeout(share(), addresses_of(&server)).await {
                attempt.end = End::Divided;
                for address in self.order(place, addresses).into_iter().rev() {
                    let mut server = server.clone();
                    server.hostaddr(address);
                    waiting.push_front((place, server));
                }
                continue;
            }
            let share = server
                .get_connect_timeout()
                .map_or_else(share, |own| share().min(*own));
            let dialling = self.dial_one(server, Arc::clone(cancelled_waits));
            // What a server said before is reported in time.
            let dialled = if others == 0 && failed.is_none() {
                dialling.await
            } else if let Ok(dialled) = timeout(share, dialling).await {
                dialled
            } else {
                continue;
            };
            match dialled {
                Ok(connection) => {
                    attempt.end = End::LetIn;
                    return Ok(connection);
                }
                Err(error) => failed = Some(more_telling(failed, error)),
            }
        }
        match failed {
            Some(error) => Err(error),
            // An address without servers, of which the driver says so.
            None => {
                self.dial_one(Config::new(), Arc::clone(cancelled_waits))
                    .await
            }
        }
    }

    /// The servers in the order in which they are tried, each with its place in the address.
    fn in_turn(&self) -> VecDeque<(usize, Config)> {
        let mut servers: VecDeque<_> = self.each.iter().cloned().enumerate().collect();
        servers.rotate_left(self.first.load(Ordering::Relaxed));
        servers
    }

    async fn dial_one(&self, server: Config, cancelled_waits: Arc<AtomicU64>) -> Dialled {
        match &self.tls {
            Some(tls) => dial(server, tls.clone(), cancelled_waits).await,
            None => dial(server, NoTls, cancelled_waits).await,
        }
    }
}

/// One try of a server. Dropped, it has failed: also where its caller had less time than the server's share.
struct Attempt<'s> {
    servers: &'s Servers,
    place: usize,
    /// `None` where the name has one alone, or was not looked up.
    address: Option<IpAddr>,
    end: End,
}

/// How a try of a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    LetIn,
    Failed,
    /// Each of its addresses is tried by itself.
    Divided,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let (Some(address), false) = (self.address, self.end == End::Divided) {
            let latest = &self.servers.latest;
            let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
            latest.insert(self.place, (address, self.end == End::LetIn));
        }
        match self.end {
            End::LetIn => self.servers.first.store(self.place, Ordering::Relaxed),
            End::Failed => self.servers.begin_behind(self.place),
            End::Divided => {}
        }
    }
}

/// The addresses of a server whose name has several: the driver would try them without a limit for each.
async fn addresses_of(server: &Config) -> Option<Vec<IpAddr>> {
    let ([Host::Tcp(name)], []) = (server.get_hosts(), server.get_hostaddrs()) else {
        return None;
    };
    let port = server.get_ports().first().copied().unwrap_or_default();
    // Where it has no address, the driver finds that out again, and reports it.
    let found = tokio::net::lookup_host((name.as_str(), port)).await.ok()?;
    let addresses: Vec<_> = found.map(|address| address.ip()).collect();
    (addresses.len() > 1).then_some(addresses)
}

/// What a server says tells more than that another one cannot be reached.
fn more_telling(
    before: Option<tokio_postgres::Error>,
    now: tokio_postgres::Error,
) -> tokio_postgres::Error {
    before.filter(|error| error.code().is_some()).unwrap_or(now)
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
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A server that accepts connections and says nothing; its port.
    async fn silent() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut accepted: Vec<TcpStream> = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                accepted.push(connection);
            }
        });
        port
    }

    /// A server that refuses every login with this SQLSTATE; its port.
    async fn refusing(code: &'static str) -> u16 {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let _ = connection.read(&mut [0; 1024]).await;
                let fields = format!("SFATAL\0C{code}\0Mrefused\0\0");
                let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
                let message = [b"E", &length[..], fields.as_bytes()].concat();
                let _ = connection.write_all(&message).await;
            }
        });
        port
    }

    fn servers(hosts: &str, limit: Duration) -> Servers {
        let settings = PostgresSettings {
            url: format!("postgres://app@{hosts}/app?sslmode=disable")
                .parse()
                .unwrap(),
            authorities: Vec::new(),
            timeout: limit,
            connections: 1,
        };
        Servers::of(&settings, None)
    }

    async fn code_of(servers: &Servers) -> String {
        let refused = servers.dial(&Arc::default()).await;
        let error = refused.map(|_| ()).unwrap_err();
        error.code().map(|code| code.code().to_owned()).unwrap()
    }

    #[tokio::test]
    async fn a_silent_server_has_its_share_of_the_time_and_the_next_one_is_tried() {
        let (silent, refusing) = (silent().await, refusing("28P01").await);
        let hosts = format!("127.0.0.1:{silent},127.0.0.1:{refusing}");
        let servers = servers(&hosts, Duration::from_secs(1));
        assert_eq!(code_of(&servers).await, "28P01");
    }

    #[tokio::test]
    async fn a_caller_that_has_less_time_does_not_meet_the_silent_server_again() {
        let (silent, refusing) = (silent().await, refusing("28P01").await);
        let hosts = format!("127.0.0.1:{silent},127.0.0.1:{refusing}");
        let servers = servers(&hosts, Duration::from_hours(1));
        let waits = Arc::default();
        let brief = timeout(Duration::from_millis(50), servers.dial(&waits));
        assert!(brief.await.is_err(), "the silent one is tried");
        // The order begins behind it now: the other one answers before it is waited for.
        let dialling = servers.in_turn();
        assert_eq!(dialling.front().map(|(place, _)| *place), Some(1));
    }

    #[tokio::test]
    async fn what_a_server_says_is_reported_before_that_another_is_not_there() {
        let refusing = refusing("57P03").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = listener.local_addr().unwrap().port();
        drop(listener);
        let hosts = format!("127.0.0.1:{refusing},127.0.0.1:{closed}");
        let servers = servers(&hosts, Duration::from_secs(10));
        assert_eq!(code_of(&servers).await, "57P03");
        assert_eq!(code_of(&servers).await, "57P03");
    }

    #[tokio::test]
    async fn each_address_of_a_name_has_a_share() {
        let mut server = Config::new();
        server.host("127.0.0.1").port(1);
        assert_eq!(addresses_of(&server).await, None, "there is one");
        server.hostaddr("127.0.0.1".parse().unwrap());
        assert_eq!(addresses_of(&server).await, None, "it is given");
    }

    #[test]
    fn an_address_that_was_silent_is_tried_after_the_others_of_its_name() {
        let servers = servers("db.example", Duration::from_secs(1));
        let addresses: [IpAddr; 3] = [1, 2, 3].map(|last| [10, 0, 0, last].into());
        let [silent, closed, good] = addresses;
        let order = || servers.order(0, addresses.into());
        let tried = |address, end| {
            drop(Attempt {
                servers: &servers,
                place: 0,
                address: Some(address),
                end,
            });
        };
        assert_eq!(order(), addresses);
        tried(silent, End::Failed);
        assert_eq!(order(), [closed, good, silent]);
        tried(closed, End::Failed);
        tried(good, End::LetIn);
        assert_eq!(order(), [good, silent, closed], "later connections");
        // It is a standby now.
        servers.pass_over();
        assert_eq!(order(), [silent, closed, good]);
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
