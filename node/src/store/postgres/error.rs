//! Faults of a shared database, in words for the person who has to mend them.

use std::{fmt, time::Duration};

use super::NoDatabaseUrl;
use crate::{log::logged_name, store::StoreLoss};

/// Why the database did not carry a request out.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// Its address cannot be used.
    #[error(transparent)]
    Url(#[from] NoDatabaseUrl),
    /// TLS cannot be set up.
    #[error("the certificates for the database cannot be used")]
    Tls(#[source] rustls::Error),
    /// The threads for lists do not start.
    #[error("the threads for lists cannot be started")]
    Threads(#[source] std::io::Error),
    /// No server answers, or none that is the primary.
    #[error("the database does not answer: {0}")]
    Away(String),
    /// The database was never reached since the start of the node: why the latest try failed.
    #[error("{0}")]
    NotReached(String),
    /// The database did not answer within the time of one request.
    #[error("the database did not answer in time")]
    Slow,
    /// Too many requests wait already.
    #[error("too many requests wait for the database")]
    Busy,
    /// The server accepts no writes and may be behind the primary.
    #[error("the server is a standby, and not the database's primary")]
    Standby,
    /// The server was the primary once; another one is now.
    #[error(
        "the server is on timeline {found}, and the database's primary on {latest}: it was replaced, and must be stopped"
    )]
    Replaced {
        /// The server's.
        found: i32,
        /// The latest that was seen.
        latest: i32,
    },
    /// The server is another one than before, on an earlier timeline: neither follows from the other.
    #[error(
        "the server is on timeline {found}, and the database's primary was on {latest} of another server: it was upgraded or set up \
         anew. Restart the nodes to serve from it, once the earlier one is stopped"
    )]
    Another {
        /// The server's.
        found: i32,
        /// The latest that was seen.
        latest: i32,
    },
    /// No tables of ours.
    #[error("the database is empty: run 'osc-node database migrate'")]
    Empty,
    /// Older tables.
    #[error(
        "the database has schema {found}, this release needs {needed}: run 'osc-node database migrate' of this release"
    )]
    OldSchema {
        /// The present schema.
        found: i32,
        /// The schema that is needed.
        needed: i32,
    },
    /// Tables of a later release that this one cannot use.
    #[error(
        "the database has schema {found}, this release knows up to {known}; use the release that migrated it or a later one"
    )]
    NewerSchema {
        /// The present schema.
        found: i32,
        /// The latest schema that this release knows.
        known: i32,
    },
    /// Its values were encrypted with another salt.
    #[error(
        "the database's values belong to the salt with fingerprint {stored}, and this node has {given}: mount the salt of that store"
    )]
    OtherSalt {
        /// The database's.
        stored: String,
        /// The node's.
        given: String,
    },
    /// The database is not the store any more that it was when this node connected.
    #[error(transparent)]
    Lost(#[from] StoreLoss),
    /// The store belongs to another cluster.
    #[error(
        "the database is the store of cluster '{stored}', and not of '{given}': see 'osc-node database adopt'"
    )]
    OtherCluster {
        /// The cluster of the store.
        stored: String,
        /// The cluster of the node.
        given: String,
    },
    /// Another store is being copied into the database.
    #[error(
        "the database is the copy of another store and not whole yet: run 'osc-node copy' again, until it reports that the copy is finished"
    )]
    UnfinishedCopy,
    /// Nodes are connected to a store that is to be renamed.
    #[error(
        "{connections} connections of nodes are open to the database: stop the nodes that use it first"
    )]
    InUse {
        /// How many.
        connections: i64,
    },
    /// Another command works on the tables, or another session holds them.
    #[error(
        "another session works on the tables of the database, and did not end within {} s: run this again when it has ended (pg_locks \
         shows which one it is)",
        waited.as_secs_f32()
    )]
    Occupied {
        /// How long this command has waited.
        waited: Duration,
    },
    /// Another session holds the row.
    #[error("the entry is locked by another session of the database")]
    Locked,
    /// One of several writes of a batch met another version than its caller saw.
    #[error("an entry of the batch changed meanwhile")]
    NotAll,
    /// The server rolled the whole transaction back in favour of another one: it may be repeated.
    #[error("the database took the write back for the sake of another session")]
    TakenBack,
    /// A write that this store never makes.
    #[error("{0}")]
    NoWrite(&'static str),
    /// The server refuses.
    #[error("the database refuses: {0}")]
    Refused(ServerWords),
    /// It is not known whether the write was made: the connection ended, or the wait for a standby was given up.
    #[error("it is not known whether the database made the write")]
    Unknown,
    /// A stored row is none.
    #[error(
        "the row of '{}' in environment '{}' cannot be read ({what})",
        logged_name(key),
        logged_name(environment)
    )]
    Damaged {
        /// The entry's name.
        key: String,
        /// Its environment.
        environment: String,
        /// The fault.
        what: &'static str,
    },
}

/// The server's message, with its SQLSTATE. Never with details: those show values of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerWords {
    /// The five characters of the SQLSTATE.
    pub code: String,
    message: String,
}

impl fmt::Display for ServerWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.code)
    }
}

impl PostgresError {
    /// Whether another try may succeed without a person who mends something on our side.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Away(_)
                | Self::NotReached(_)
                | Self::Slow
                | Self::Busy
                | Self::Occupied { .. }
                | Self::Locked
                | Self::TakenBack
                | Self::Standby
                | Self::Unknown
                | Self::Replaced { .. }
                | Self::Another { .. }
        )
    }

    /// Whether the database does not answer, so that another call would wait as long for the same.
    pub(super) fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::Away(_)
                | Self::NotReached(_)
                | Self::Slow
                | Self::Standby
                | Self::Replaced { .. }
                | Self::Another { .. }
        )
    }

    /// The same of a command, which locks tables and no entry.
    pub(super) fn of_command(self, waited: Duration) -> Self {
        match self {
            Self::Locked => Self::Occupied { waited },
            error => error,
        }
    }

    /// The whole chain of causes, without the server's details of rows.
    fn away(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !causes.contains(&text) {
                causes = format!("{causes}: {text}");
            }
            source = cause.source();
        }
        Self::Away(causes)
    }

    /// Why there is no connection: an administrator may repair the role or the database while the node waits.
    pub(super) fn of_connection(self) -> Self {
        match self {
            Self::Refused(ServerWords { code, message }) => {
                let words = without_names(&message);
                Self::Away(format!("{words} (SQLSTATE {code})"))
            }
            error => error,
        }
    }

    /// The same of a node that serves the store: without its tables the database is not this store any more.
    pub(super) fn of_store(self) -> Self {
        match self {
            Self::Refused(words) if words.is_no_table() => Self::Lost(StoreLoss::Gone),
            error => error,
        }
    }

    /// The same for a statement that was sent together with its commit: a pooler that lost the server, or a server that shuts
    /// down, does not know whether the commit succeeded.
    pub(super) fn of_sent(error: tokio_postgres::Error) -> Self {
        match Self::from(error) {
            Self::Away(_) => Self::Unknown,
            error => error,
        }
    }
}

/// A message of a server or a pooler without its names, which stand in quotes: every client gets the message.
fn without_names(message: &str) -> String {
    let words: Vec<_> = message.split('"').step_by(2).collect();
    words.join("...")
}

/// SQLSTATEs of a database that is away: it shuts down, crashed, was dropped or is not up yet (57P01 to 57P05), has no room for
/// another connection (53300), or a pooler in between lost it and reports that in its place (08).
fn is_away(code: &str) -> bool {
    let ends = code.starts_with("57P") || code == "53300";
    ends || code.starts_with("08")
}

impl ServerWords {
    /// Whether the table, or the schema, does not exist.
    pub(super) fn is_no_table(&self) -> bool {
        ["42P01", "3F000"].contains(&&*self.code)
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self::away(&error);
        };
        match said.code().code() {
            "25006" => Self::Standby,
            "55P03" | "57014" => Self::Locked,
            // The statement of a batch divides by whether it wrote all its rows; no other statement divides.
            "22012" => Self::NotAll,
            // A serialization failure, and a deadlock.
            "40001" | "40P01" => Self::TakenBack,
            // Another server may answer soon.
            code if is_away(code) => Self::Away(without_names(said.message())),
            code => Self::Refused(ServerWords {
                code: code.to_owned(),
                message: said.message().to_owned(),
            }),
        }
    }
}

impl From<deadpool_postgres::PoolError> for PostgresError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        use deadpool_postgres::PoolError;
        match error {
            PoolError::Timeout(_) => Self::Slow,
            PoolError::Backend(error) => Self::from(error).of_connection(),
            other => Self::Away(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::WriteError;

    #[test]
    fn what_a_pooler_says_of_a_lost_server_means_that_the_database_is_away() {
        for code in ["08006", "08P01", "57P01", "57P03", "57P05", "53300"] {
            assert!(is_away(code), "{code}");
        }
        for code in ["42P01", "42501", "53100", "57014", "23505"] {
            assert!(!is_away(code), "{code}");
        }
    }

    #[test]
    fn what_concerns_one_entry_does_not_count_as_silence() {
        assert!(PostgresError::Slow.is_silence());
        assert!(PostgresError::Away("refused".into()).is_silence());
        for error in [PostgresError::Locked, PostgresError::NotAll] {
            assert!(!error.is_silence(), "{error}");
            assert!(matches!(WriteError::from(error), WriteError::Failed(_)));
        }
        let refused = PostgresError::Refused(ServerWords {
            code: "42501".to_owned(),
            message: "permission denied".to_owned(),
        });
        assert!(matches!(WriteError::from(refused), WriteError::Failed(_)));
        let slow = WriteError::from(PostgresError::Slow);
        assert!(matches!(slow, WriteError::Away(_)));
    }

    #[test]
    fn names_of_roles_and_databases_are_told_to_no_client() {
        let told = r#"login has been failing, cached error: password authentication failed for user "app""#;
        let words = without_names(told);
        assert!(!words.contains("app"), "{words}");
        assert!(words.contains("password authentication failed"), "{words}");
    }
}
