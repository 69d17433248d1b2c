//! Facts for a caller about an entry that it may not write: only ones that are as durable as a commit.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex as Lock, PoisonError},
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
/// Confirmed names that are kept at most, beside those that are being confirmed.
const CONFIRMED_NAMES: usize = 1 << 14;
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
        let name = self.0.confirmed.name(identity);
        // Callers of other names do not wait: another session may hold the row of this one.
        let known = timeout_at(deadline, name.lock()).await;
        let mut known = known.map_err(|_| PostgresError::Slow)?;
        if known.is_some_and(|fact| fact.holds_for(version)) {
            return Ok(true);
        }
        let there = if let Some(version) = version {
            self.lock(identity, version, deadline).await?
        } else {
            self.pass_barrier(identity, deadline).await?;
            self.find_until(identity, deadline).await?.is_none()
        };
        *known = there.then(|| Fact {
            version,
            at: Instant::now(),
        });
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

/// A version that was found durable, or the absence of one, and when.
#[derive(Debug, Clone, Copy)]
struct Fact {
    version: Option<Version>,
    at: Instant,
}

impl Fact {
    fn holds_for(&self, version: Option<Version>) -> bool {
        self.version == version && self.is_fresh()
    }

    fn is_fresh(&self) -> bool {
        self.at.elapsed() < CONFIRMED_FOR
    }
}

/// What is known of a name. Locked while the database is asked about it: one caller asks, the others of this name wait.
type Known = Arc<Mutex<Option<Fact>>>;

/// What was found durable a moment ago.
#[derive(Debug, Default)]
pub(super) struct Confirmed(Lock<HashMap<Identity, Known>>);

impl Confirmed {
    fn name(&self, identity: &Identity) -> Known {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(identity) {
            return Arc::clone(known);
        }
        if names.len() >= CONFIRMED_NAMES {
            names.retain(|_, known| is_of_use(known));
        }
        if names.len() >= CONFIRMED_NAMES {
            // It is asked about by each of its callers.
            return Known::default();
        }
        Arc::clone(names.entry(identity.clone()).or_default())
    }
}

/// Whether a caller has it, or may need it soon.
fn is_of_use(known: &Known) -> bool {
    let is_fresh = |fact: Option<Fact>| fact.is_some_and(|fact| fact.is_fresh());
    Arc::strong_count(known) > 1 || known.try_lock().is_ok_and(|fact| is_fresh(*fact))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(number: usize) -> Identity {
        Identity::of("", &format!("k{number}")).unwrap()
    }

    #[tokio::test]
    async fn names_that_are_of_no_use_any_more_make_room_for_others() {
        let confirmed = Confirmed::default();
        let asked = confirmed.name(&named(0));
        let fresh = Fact {
            version: None,
            at: Instant::now(),
        };
        *confirmed.name(&named(1)).lock().await = Some(fresh);
        for number in 2..=CONFIRMED_NAMES {
            confirmed.name(&named(number));
        }
        let again = confirmed.name(&named(0));
        assert!(Arc::ptr_eq(&asked, &again), "a caller has it");
        assert!(confirmed.name(&named(1)).lock().await.is_some());
        assert!(confirmed.0.lock().unwrap().len() < CONFIRMED_NAMES);
    }
}
