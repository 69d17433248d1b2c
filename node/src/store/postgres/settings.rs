//! Where the database is, and how long a request may wait for it.

use std::{fmt, str::FromStr, time::Duration};

use rustls_pki_types::CertificateDer;
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

/// How long a silent server holds a connection: it is asked after one second without news, and given up after three.
const SILENCE: Duration = Duration::from_secs(3);

/// The name of nodes' connections at the server.
pub(super) const NODE: &str = "osc-node";
/// The name of commands' connections at the server.
const COMMAND: &str = "osc-node-command";

/// Parameters of the URL that the driver is given.
const KEPT: &[&str] = &[
    "user",
    "password",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "connect_timeout",
];

/// How a database is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// Where it is (`OSC_DATABASE_URL`).
    pub url: DatabaseUrl,
    /// The authorities for the server's certificate (`OSC_DATABASE_CA_FILE`).
    pub authorities: Vec<CertificateDer<'static>>,
    /// The limit for queue, connection, retries and commit of one request together (`OSC_DATABASE_TIMEOUT`, 5 s).
    pub timeout: Duration,
    /// Connections for reading, and as many for writing (`OSC_DATABASE_CONNECTIONS`, 8).
    pub connections: usize,
}

impl PostgresSettings {
    /// The same for connections that are no node's.
    pub(super) fn for_command(&self) -> Self {
        let mut settings = self.clone();
        settings.url.config.application_name(COMMAND);
        settings
    }
}

/// The address of a database, with user and password: no code can print them.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    config: Config,
    transport: Transport,
}

/// How the traffic with the server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// TLS, with the server's name and authority verified.
    Verified,
    /// None: for a pooler on the same machine.
    Clear,
}

/// A text is no address of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDatabaseUrl {
    /// It does not begin with `postgres://`.
    #[error("the database's URL must begin with postgres:// or postgresql://")]
    Scheme,
    /// It cannot be read. The text itself holds a password and is not shown.
    #[error("the database's URL cannot be read: {0}")]
    Form(String),
    /// A parameter that cannot be kept.
    #[error("the database's URL has the parameter '{name}': {remedy}")]
    Parameter {
        /// Its name.
        name: String,
        /// The remedy.
        remedy: &'static str,
    },
}

impl DatabaseUrl {
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// A configuration for each server of the address alone, in their order. Where that cannot be, the whole one, whose fault
    /// the driver reports.
    pub(super) fn servers(&self) -> Vec<Config> {
        let (names, addresses) = (self.config.get_hosts(), self.config.get_hostaddrs());
        let ports = self.config.get_ports();
        let count = names.len().max(addresses.len());
        let fits = |length: usize| length == 0 || length == count;
        if count < 2 || !fits(names.len()) || !fits(addresses.len()) {
            return vec![self.config.clone()];
        }
        if ports.len() > 1 && ports.len() != count {
            return vec![self.config.clone()];
        }
        let server = |place: usize| {
            let mut server = without_servers(&self.config);
            match names.get(place) {
                Some(Host::Tcp(name)) => drop(server.host(name)),
                Some(Host::Unix(folder)) => drop(server.host_path(folder)),
                None => {}
            }
            if let Some(address) = addresses.get(place) {
                server.hostaddr(*address);
            }
            if let Some(port) = ports.get(place).or(ports.first()) {
                server.port(*port);
            }
            server
        };
        (0..count).map(server).collect()
    }

    pub(super) fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether the server must prove itself with a certificate.
    pub fn is_verified(&self) -> bool {
        self.transport == Transport::Verified
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseUrl").finish_non_exhaustive()
    }
}

impl FromStr for DatabaseUrl {
    type Err = NoDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, NoDatabaseUrl> {
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
        {
            return Err(NoDatabaseUrl::Scheme);
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let mut transport = Transport::Verified;
        let mut kept = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let Some((name, value)) = form_urlencoded::parse(parameter.as_bytes()).next() else {
                continue;
            };
            let refused = |remedy| NoDatabaseUrl::Parameter {
                name: name.clone().into_owned(),
                remedy,
            };
            match &*name {
                "sslmode" => {
                    transport = match &*value {
                        // The checks that the weaker modes leave out are made as well.
                        "verify-full" | "verify-ca" | "require" => Transport::Verified,
                        "disable" => Transport::Clear,
                        _ => {
                            return Err(refused(
                                "choose verify-full, or disable for a pooler on the same machine",
                            ));
                        }
                    }
                }
                "sslrootcert" => return Err(refused("name the file in OSC_DATABASE_CA_FILE")),
                "options" => {
                    return Err(refused(
                        "poolers take no options at the start; set them for the role (ALTER ROLE ... SET)",
                    ));
                }
                // A node writes and reads at the primary alone, and finds out by itself which that is.
                "target_session_attrs" | "application_name" => {}
                // As it stands: the driver reads it once more.
                name if KEPT.contains(&name) => kept.push(parameter),
                // Its name may be the end of a password that has a question mark, and is not shown.
                _ => return Err(NoDatabaseUrl::Form("it has an unknown parameter".into())),
            }
        }
        let mut config: Config = format!("{address}?{}", kept.join("&")).parse().map_err(
            |error: tokio_postgres::Error| {
                NoDatabaseUrl::Form(
                    std::error::Error::source(&error)
                        .map_or_else(|| error.to_string(), ToString::to_string),
                )
            },
        )?;
        if config.get_dbname().is_none() {
            return Err(NoDatabaseUrl::Form("it names no database".into()));
        }
        if config.get_hosts().len().max(config.get_hostaddrs().len()) > 1 {
            // The driver uses the first host that accepts the connection, and a standby accepts it as well.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        config.application_name(NODE).ssl_mode(match transport {
            Transport::Verified => SslMode::Require,
            Transport::Clear => SslMode::Disable,
        });
        notice_silence(&mut config);
        Ok(Self { config, transport })
    }
}

fn notice_silence(config: &mut Config) {
    config
        .keepalives_idle(Duration::from_secs(1))
        .keepalives_interval(Duration::from_secs(1))
        .keepalives_retries(2)
        .tcp_user_timeout(SILENCE);
}

/// The same configuration of no server. The driver has no way to take servers out.
fn without_servers(config: &Config) -> Config {
    let mut bare = Config::new();
    if let Some(user) = config.get_user() {
        bare.user(user);
    }
    if let Some(password) = config.get_password() {
        bare.password(password);
    }
    if let Some(database) = config.get_dbname() {
        bare.dbname(database);
    }
    if let Some(name) = config.get_application_name() {
        bare.application_name(name);
    }
    if let Some(limit) = config.get_connect_timeout() {
        bare.connect_timeout(*limit);
    }
    bare.ssl_mode(config.get_ssl_mode())
        .target_session_attrs(config.get_target_session_attrs());
    notice_silence(&mut bare);
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> DatabaseUrl {
        text.parse().unwrap()
    }

    #[test]
    fn the_servers_certificate_is_verified_whatever_weaker_mode_is_named() {
        for query in [
            "",
            "?sslmode=verify-full",
            "?sslmode=verify-ca",
            "?sslmode=require",
        ] {
            let url = url(&format!(
                "postgresql://app:s3cret@db.example:5433/app{query}"
            ));
            assert_eq!(url.transport(), Transport::Verified);
            assert_eq!(url.config().get_ssl_mode(), SslMode::Require);
            assert_eq!(url.database(), "app");
        }
        let clear = url("postgres://app@localhost/app?sslmode=disable");
        assert_eq!(clear.transport(), Transport::Clear);
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_a_remedy() {
        let refused = |query: &str| {
            format!("postgres://app:s3cret@db/app?{query}")
                .parse::<DatabaseUrl>()
                .unwrap_err()
                .to_string()
        };
        assert!(refused("sslmode=prefer").contains("verify-full"));
        assert!(refused("sslrootcert=/ca.pem").contains("OSC_DATABASE_CA_FILE"));
        assert!(refused("options=-c%20statement_timeout%3D1").contains("ALTER ROLE"));
        for text in ["mysql://db/app", "db", ""] {
            assert_eq!(text.parse::<DatabaseUrl>(), Err(NoDatabaseUrl::Scheme));
        }
        assert!("postgres://db".parse::<DatabaseUrl>().is_err());
    }

    #[test]
    fn a_server_that_is_silent_is_given_up_after_three_seconds() {
        let url = url("postgres://app@db/app");
        let config = url.config();
        let three = Duration::from_secs(3);
        assert_eq!(config.get_tcp_user_timeout(), Some(&three));
        let again = config.get_keepalives_interval().unwrap();
        let asked = config.get_keepalives_retries().unwrap();
        assert!(config.get_keepalives());
        assert_eq!(config.get_keepalives_idle() + again * asked, three);
    }

    #[test]
    fn each_server_of_an_address_has_all_its_settings() {
        let address =
            url("postgres://app:s3cret@db-1:5433,db-2:5434,%2Frun%2Fdb/app?connect_timeout=2");
        let servers = address.servers();
        let ports: Vec<_> = servers.iter().map(Config::get_ports).collect();
        assert_eq!(ports, [&[5433], &[5434], &[5432]]);
        for (place, server) in servers.iter().enumerate() {
            let whole = address.config();
            assert_eq!(server.get_hosts(), &whole.get_hosts()[place..=place]);
            // What is left is the same: a setting that the driver learns must not be forgotten here.
            let text = |config: &Config| {
                let text = format!("{config:?}");
                let end = text.find(", host: ").unwrap();
                let rest = text.find(", connect_timeout: ").unwrap();
                format!("{}{}", &text[..end], &text[rest..])
            };
            assert_eq!(text(server), text(whole));
            assert_eq!(server.get_password(), whole.get_password());
        }
        let alone = url("postgres://app@db/app");
        assert_eq!(alone.servers(), [alone.config().clone()]);
    }

    #[test]
    fn nothing_that_is_printed_has_the_password() {
        let printed = format!("{:?}", url("postgres://app:s3cret@db/app"));
        assert!(
            !printed.contains("s3cret") && !printed.contains("app"),
            "{printed}"
        );
        for text in [
            "postgres://app:s3cret@db:port/app",
            "postgres://app:s3cret@db/app?no-such=1",
            "postgres://app:pass?s3cret@db/app",
        ] {
            let error = text.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
