//! A disk in memory: the tables of one node, and the salt file beside them.

use std::{collections::BTreeMap, fmt};

use opensecureconf_node::{
    cluster::{Cursor, FeedRow, Membership, Roster, Seq},
    crypto::{Salt, SaltDecision, SaltError, SaltPolicy, SaltSources, decide},
    domain::{
        Clock, ConfigKey, Content, Environment, Identity, Incarnation, Row, RowHash, Timestamp,
        Version,
    },
};

/// Everything that survives a crash.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) incarnation: Incarnation,
    pub(crate) membership: Option<Membership>,
    pub(crate) salt: Option<Salt>,
    pub(crate) salt_file: Option<Salt>,
    pub(crate) clock: Clock,
    pub(crate) last: Seq,
    pub(crate) rows: BTreeMap<Identity, Stored>,
    pub(crate) staged: BTreeMap<Identity, (Row, RowHash)>,
    pub(crate) cursors: BTreeMap<Incarnation, Cursor>,
    pub(crate) roster: Roster,
    pub(crate) values: BTreeMap<Identity, (Version, String)>,
}

/// A row with its place in the feed.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) row: Row,
    pub(crate) hash: RowHash,
    pub(crate) seq: Seq,
}

impl Disk {
    /// An empty disk, formatted under this incarnation.
    pub(crate) fn empty(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            membership: None,
            salt: None,
            salt_file: None,
            clock: Clock::default(),
            last: Seq::START,
            rows: BTreeMap::new(),
            staged: BTreeMap::new(),
            cursors: BTreeMap::new(),
            roster: Roster::default(),
            values: BTreeMap::new(),
        }
    }

    /// Puts two rows on it: enough for a snapshot of two pages.
    pub(crate) fn with_rows(mut self, salt: &Salt) -> Self {
        for key in ["one", "two"] {
            self.last = self.last.next();
            let row = row(key, self.incarnation, Clock::from_raw(self.last.raw()));
            let (hash, seq) = (row.hash(), self.last);
            self.rows
                .insert(row.identity.clone(), Stored { row, hash, seq });
        }
        self.clock = Clock::from_raw(self.last.raw());
        self.salt = Some(salt.clone());
        self
    }

    pub(crate) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Whether the disk holds the records of a bootstrapped cluster.
    pub(crate) fn is_bootstrapped(&self) -> bool {
        self.membership
            .as_ref()
            .is_some_and(|membership| membership.cluster_uid.is_some())
    }

    /// Finds the salt as a starting node does, and writes it wherever it is missing.
    pub(crate) fn settle_salt(&mut self, mounted: Option<Salt>) -> Result<Option<Salt>, SaltError> {
        let sources = SaltSources {
            mounted,
            file: self.salt_file.clone(),
            database: self.salt.clone(),
            has_rows: self.has_rows(),
        };
        match decide(&sources, SaltPolicy::Wait)? {
            SaltDecision::Use(salt) => {
                self.salt_file = Some(salt.clone());
                self.salt = Some(salt.clone());
                Ok(Some(salt))
            }
            SaltDecision::Generate | SaltDecision::Wait => Ok(None),
        }
    }
}

/// The content in which two disks differ; rows by their versions.
impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            incarnation,
            membership,
            salt,
            salt_file,
            clock,
            last,
            rows,
            staged,
            cursors,
            roster,
            values,
        } = self;
        write!(
            f,
            "{incarnation:?}{membership:?}{salt:?}{salt_file:?}{clock:?}{last:?}{cursors:?}{roster:?}"
        )?;
        for stored in rows.values() {
            write!(f, "{:?}{:?}", stored.row.version, stored.seq)?;
        }
        write!(f, "{values:?}")?;
        staged
            .keys()
            .try_for_each(|identity| write!(f, "{identity:?}"))
    }
}

fn row(key: &str, incarnation: Incarnation, clock: Clock) -> Row {
    Row {
        identity: Identity {
            environment: Environment::default(),
            key: ConfigKey::new(key.to_owned()).unwrap(),
        },
        category: None,
        content: Some(Content::Token("gAAAA".to_owned())),
        created_at: Timestamp::from_micros(0),
        updated_at: Timestamp::from_micros(0),
        version: Version { clock, incarnation },
        clocks: BTreeMap::from([(incarnation, clock)]),
        extra: None,
    }
}

impl Stored {
    pub(crate) fn fed(&self) -> FeedRow {
        FeedRow {
            seq: self.seq,
            row: self.row.clone(),
            hash: self.hash,
        }
    }
}
