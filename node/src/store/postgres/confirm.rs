//! Facts for a caller about an entry that it may not write: only ones that are as durable as a commit.

use std::{
    collections::HashMap,
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
};

use tokio::{
    sync::Mutex,
    time::{Duration, Instant, sleep_until, timeout_at},
};

use super::{
    PostgresError, PostgresStore, columns::OwnedParameter, commit::here, transaction::Statement,
};
use crate::domain::{Identity, Version};

/// How long a fact that was found durable need not be checked again.
const CONFIRMED_FOR: Duration = Duration::from_secs(1);
/// How long to wait before the next try to find out the outcome of a write.
const SETTLE_AGAIN: Duration = Duration::from_millis(100);
/// Names in one part of the confirmed ones.
const CONFIRMED_NAMES: usize = 256;
/// Parts of the confirmed names: those of one part wait for each other.
const PARTS: usize = 64;
/// Rows of the table `barrier`.
const BARRIERS: u64 = 64;

impl PostgresStore {
    /// Makes sure that a version, or the absence of one, is as durable as a commit before a caller learns of it: its writer may
    /// still wait for the standby. Asks the database once a second and name at most.
    ///
    /// # Errors
    /// Where that cannot be confirmed in time.
    pub async fn confirm(
        &self,
        identity: &Identity,
        version: Option<Version>,
    ) -> Result<bool, PostgresError> {
        let deadline = self.deadline();
        let part = self.0.confirmed.part(identity).lock();
        let part = timeout_at(deadline, part).await;
        let mut part = part.map_err(|_| PostgresError::Slow)?;
        if let Some((confirmed, at)) = part.get(identity)
            && *confirmed == version
            && at.elapsed() < CONFIRMED_FOR
        {
            return Ok(true);
        }
        let there = if let Some(version) = version {
            self.lock(identity, version, deadline).await?
        } else {
            self.pass_barrier(identity, deadline).await?;
            self.find_until(identity, deadline).await?.is_none()
        };
        if there {
            if part.len() >= CONFIRMED_NAMES {
                part.retain(|_, (_, at)| at.elapsed() < CONFIRMED_FOR);
            }
            if part.len() < CONFIRMED_NAMES {
                part.insert(identity.clone(), (version, Instant::now()));
            }
        }
        Ok(there)
    }

    /// Locks the row of a version, and commits that; `false` where it is not there. A lock waits for standbys as a write does.
    pub(super) async fn lock(
        &self,
        identity: &Identity,
        version: Version,
        deadline: Instant,
    ) -> Result<bool, PostgresError> {
        let mut parameters: Vec<OwnedParameter> = vec![
            Box::new(identity.environment.as_str().as_bytes().to_vec()),
            Box::new(identity.key.as_str().as_bytes().to_vec()),
            Box::new(version.clock.raw()),
            Box::new(version.incarnation.raw()),
        ];
        parameters.extend(self.guards()?.into_iter().take(2));
        let statement = Statement {
            sql: format!(
                "WITH {}, locked AS (SELECT 1 FROM opensecureconf.entries WHERE environment = $1 AND key = $2 AND clock = $3 \
                 AND incarnation = $4 FOR KEY SHARE) SELECT here.timeline, here.ours, (SELECT count(*) FROM locked), here.forgotten FROM here",
                here(4)
            ),
            parameters,
        };
        let met = self.write(statement, deadline).await?;
        Ok(met.rows == 1)
    }

    /// Finds out whether a write was made whose server did not say so: a row of this version can only come from it. Tries again
    /// while no server answers, since another one may be about to take over.
    ///
    /// # Errors
    /// [`PostgresError::Unknown`] where the row is not there: it may still come. The same where no server says in time.
    pub(super) async fn settle(
        &self,
        identity: &Identity,
        version: Version,
        deadline: Instant,
    ) -> Result<(), PostgresError> {
        while Instant::now() < deadline {
            match self.lock(identity, version, deadline).await {
                Ok(true) => return Ok(()),
                Err(error) if error.may_pass() => {
                    sleep_until(deadline.min(Instant::now() + SETTLE_AGAIN)).await;
                }
                Ok(false) | Err(_) => break,
            }
        }
        self.0.condition.stayed_unknown();
        Err(PostgresError::Unknown)
    }

    /// The same as a lock where there is no row: the write that took it away may still wait for standbys.
    async fn pass_barrier(
        &self,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<(), PostgresError> {
        let mut name = DefaultHasher::new();
        identity.hash(&mut name);
        let part = i32::try_from(name.finish() % BARRIERS).unwrap_or_default();
        self.touch(part, deadline).await
    }

    /// Writes a row that is never read, and waits until it is as durable as a commit.
    pub(super) async fn touch(&self, part: i32, deadline: Instant) -> Result<(), PostgresError> {
        let mut parameters: Vec<OwnedParameter> = vec![Box::new(part)];
        parameters.extend(self.guards()?.into_iter().take(2));
        let statement = Statement {
            sql: format!(
                "WITH {}, touched AS (UPDATE opensecureconf.barrier AS b SET touched = b.touched + 1 FROM here \
                 WHERE b.part = $1 AND here.ours RETURNING 1) SELECT here.timeline, here.ours, \
                 (SELECT count(*) FROM touched), here.forgotten FROM here",
                here(1)
            ),
            parameters,
        };
        self.write(statement, deadline).await.map(|_| ())
    }
}

/// Versions that were found durable a moment ago.
#[derive(Debug)]
pub(super) struct Confirmed {
    parts: Vec<Mutex<Names>>,
    hash: RandomState,
}

type Names = HashMap<Identity, (Option<Version>, Instant)>;

impl Default for Confirmed {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            hash: RandomState::new(),
        }
    }
}

impl Confirmed {
    fn part(&self, identity: &Identity) -> &Mutex<Names> {
        static NEVER: std::sync::LazyLock<Mutex<Names>> = std::sync::LazyLock::new(Mutex::default);
        let parts = u64::try_from(self.parts.len()).unwrap_or(1).max(1);
        let place = usize::try_from(self.hash.hash_one(identity) % parts).unwrap_or_default();
        self.parts.get(place).unwrap_or(&NEVER)
    }
}
