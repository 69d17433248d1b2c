//! The disk of a node: its tables, which are those of the simulation, and the salt file beside them.

use std::{collections::BTreeMap, sync::Arc};

use opensecureconf_node::{
    cluster::WireSalt,
    crypto::{Salt, SaltDecision, SaltError, SaltPolicy, SaltSources, decide},
    domain::{
        Clock, ConfigKey, Content, Environment, Identity, Incarnation, Row, Timestamp, Version,
    },
};
use serde::{Serialize, Serializer};

use crate::tables::{self, Contents};

/// Everything that survives a crash.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) tables: Arc<Contents>,
    pub(crate) salt_file: Option<Salt>,
}

impl Disk {
    /// An empty disk, formatted under this incarnation.
    pub(crate) fn empty(incarnation: Incarnation) -> Self {
        Self {
            tables: Arc::new(Contents::empty(incarnation)),
            salt_file: None,
        }
    }

    /// Puts two rows on it: enough for a snapshot of two pages.
    pub(crate) fn with_rows(mut self, salt: &Salt) -> Self {
        let tables = Arc::make_mut(&mut self.tables);
        for (key, clock) in ["one", "two"].into_iter().zip(1..) {
            tables.add(&row(key, tables.incarnation, Clock::from_raw(clock)));
        }
        tables.salt = Some(salt.clone());
        self
    }

    pub(crate) fn has_rows(&self) -> bool {
        !self.tables.rows.is_empty()
    }

    /// Whether the disk holds the records of a bootstrapped cluster.
    pub(crate) fn is_bootstrapped(&self) -> bool {
        let membership = self.tables.membership.as_ref();
        membership.is_some_and(|membership| membership.cluster_uid.is_some())
    }

    /// Carries out one transaction.
    pub(crate) fn transact<T>(&mut self, work: impl FnOnce(&mut tables::Disk) -> T) -> T {
        // Pages of one row, so that a snapshot can break off in the middle.
        let mut transaction = tables::Disk::holding(Arc::clone(&self.tables), 1);
        let done = work(&mut transaction);
        transaction.commit().unwrap();
        self.tables = Arc::clone(transaction.durable());
        done
    }

    /// Finds the salt as a starting node does, and writes it wherever it is missing.
    pub(crate) fn settle_salt(&mut self, mounted: Option<Salt>) -> Result<Option<Salt>, SaltError> {
        let sources = SaltSources {
            mounted,
            file: self.salt_file.clone(),
            database: self.tables.salt.clone(),
            has_rows: self.has_rows(),
        };
        match decide(&sources, SaltPolicy::Wait)? {
            SaltDecision::Use(salt) => {
                self.salt_file = Some(salt.clone());
                Arc::make_mut(&mut self.tables).salt = Some(salt.clone());
                Ok(Some(salt))
            }
            SaltDecision::Generate | SaltDecision::Wait => Ok(None),
        }
    }
}

impl Serialize for Disk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { tables, salt_file } = self;
        (&**tables, salt_file.as_ref().map(WireSalt::new)).serialize(serializer)
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
