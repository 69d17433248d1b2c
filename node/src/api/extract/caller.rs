//! The caller's user key: how often it may be tried, and what it showed.
//!
//! A key is exempt from the limit only at addresses where it opened something that is older than its time in the cache. Any
//! other key counts when it is tried, waits for a derivation until it opened something there, and is refused, before the
//! cache and the entry are looked at, where its address has used up its tries.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{extract::FromRequestParts, http::request::Parts};

use super::auth::origin_of;
use crate::{
    access::UserKeyTries,
    api::{Node, NodeState, answer::error::ApiError, connection::ConnectionMark},
    crypto::UserKey,
    domain::Timestamp,
    keys::{CachedKey, Derivation, KeyPlace},
    metrics::AuthFailure,
};

/// The passphrase of the caller's entries, and where the caller is.
#[derive(Debug)]
pub(in crate::api) struct CallerKey {
    user_key: UserKey,
    place: KeyPlace,
    connection: Option<Arc<ConnectionMark>>,
    /// What the cache knows of the key at this address.
    known: Option<Arc<CachedKey>>,
    exempt: bool,
}

impl FromRequestParts<Node> for CallerKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, ApiError> {
        let header = parts
            .headers
            .get("x-user-key")
            .ok_or_else(|| ApiError::MissingUserKey {
                times: if parts.uri.path().starts_with("/cluster/") {
                    1
                } else {
                    2
                },
            })?;
        let user_key = UserKey::from_header(header.as_bytes());
        if user_key.characters() < node.min_user_key_length {
            return Err(ApiError::ShortUserKey {
                minimum: node.min_user_key_length,
            });
        }
        if !user_key.is_ascii() {
            node.warn_of_unusual_user_key();
        }
        node.serves_entries()?;
        let keys = node.keys()?;
        let place = keys.place(
            &user_key,
            origin_of(&parts.extensions, &parts.headers, node),
        );
        let known = keys.known(&place);
        let connection = ConnectionMark::of(&parts.extensions).cloned();
        let exempt = known.as_ref().is_some_and(|known| {
            known.has_opened_older() && node.is_exempt(&place, connection.as_deref())
        });
        if !exempt {
            let may_try = node.user_key_tries.limit().may_try(&place, Instant::now());
            may_try.map_err(|wait| node.refuse_user_key(&place, wait))?;
        }
        Ok(Self {
            user_key,
            place,
            connection,
            known,
            exempt,
        })
    }
}

/// The caller's data key, until it has proved itself.
#[derive(Debug)]
pub(in crate::api) struct Caller<'n> {
    pub(in crate::api) derivation: Derivation,
    tries: &'n UserKeyTries,
    place: KeyPlace,
    connection: Option<Arc<ConnectionMark>>,
    exempt: bool,
    /// Whether it is counted for something that it is about to create.
    creates: AtomicBool,
    /// Whether it failed to open something, which counts once in a request, and how long the caller has to wait then, if at all.
    failure: OnceLock<Option<Duration>>,
}

impl CallerKey {
    /// Whether nothing that this request does counts against the limit.
    pub(in crate::api) fn is_exempt(&self) -> bool {
        self.exempt
    }

    /// Whether the key opened something at this address, and is known on this very connection, so that nothing more is learned
    /// of it there. That its holder works at the address says something to others that share it.
    pub(in crate::api) fn is_at_work(&self) -> bool {
        let known = self.known.as_ref().is_some_and(|known| known.has_opened());
        let connection = self.connection.as_ref();
        known && connection.is_some_and(|connection| connection.keys.knows(self.place.number()))
    }

    /// Derives the data key, or takes it from the cache where it opened something for this address. Others wait their turn,
    /// and an address that tried too many waits longer.
    pub(in crate::api) async fn derive<'n>(
        &self,
        node: &'n NodeState,
    ) -> Result<Caller<'n>, ApiError> {
        let keys = node.keys()?;
        let tries = &node.user_key_tries;
        if !self.exempt {
            let counted = tries.limit().count(&self.place, Instant::now());
            counted.map_err(|wait| node.refuse_user_key(&self.place, wait))?;
        }
        let key = keys.data_key(
            &self.user_key,
            self.place,
            self.known.clone(),
            (node.clock)(),
        );
        let derivation = key
            .await
            // It was not tried.
            .inspect_err(|_| tries.limit().give_back(&self.place, Instant::now()))?;
        Ok(Caller {
            derivation,
            tries,
            place: self.place,
            connection: self.connection.clone(),
            exempt: self.exempt,
            creates: AtomicBool::new(false),
            failure: OnceLock::new(),
        })
    }
}

impl Caller<'_> {
    /// The key is about to create something. Noted before it does: what it creates must not pass for older than the key. It
    /// counts until a read opens what it made, whether the create succeeds or not.
    pub(in crate::api) fn creates(&self, node: &NodeState) {
        if let Ok(keys) = node.keys() {
            keys.remember(&self.derivation);
        }
        if self.derivation.has_opened() {
            if let Some(connection) = &self.connection {
                // It came from the cache, so its client knows by now that it is in use here.
                connection.keys.know(self.place.number());
            }
            self.give_back();
        } else if !self.creates.swap(true, Ordering::Relaxed) {
            self.tries.limit().hold(&self.place, Instant::now());
        }
    }

    /// Why nothing was created. Where this node could not do it, the key does not count for it.
    pub(in crate::api) fn not_created(&self, error: ApiError) -> ApiError {
        if error.is_not_carried_out() {
            self.carried_out_nothing();
        }
        error
    }

    /// This node could do nothing of what the key was to create: it does not count for that.
    pub(in crate::api) fn carried_out_nothing(&self) {
        if self.creates.swap(false, Ordering::Relaxed) {
            self.tries.limit().release(&self.place, Instant::now());
        }
    }

    /// The key opened something that came into being then.
    pub(in crate::api) fn opened(&self, node: &NodeState, created_at: Timestamp) {
        self.opened_one(node, self.derivation.is_older(created_at));
    }

    fn opened_one(&self, node: &NodeState, older: bool) {
        if let Ok(keys) = node.keys() {
            keys.opened(&self.derivation, older);
        }
        if let Some(connection) = &self.connection {
            connection.prove();
            connection.keys.know(self.place.number());
        }
        self.give_back();
    }

    /// The key did not open the entry of this name; what its caller gets to know. However many entries of a request it does not
    /// open, that is one failure.
    pub(in crate::api) fn failed(&self, node: &NodeState, key: &str) -> ApiError {
        match self.failure.get_or_init(|| self.count_failure(node)) {
            None => ApiError::WrongUserKey {
                key: key.to_owned(),
            },
            Some(wait) => ApiError::TooManyFailures { retry_after: *wait },
        }
    }

    /// Counts that the key did not open what it should; gives how long the caller has to wait where that is to be all that it
    /// learns.
    fn count_failure(&self, node: &NodeState) -> Option<Duration> {
        node.metrics.auth_failed(AuthFailure::UserKey);
        let now = Instant::now();
        let mut limit = self.tries.limit();
        let failed = if self.exempt {
            // A client that tries its key on entries of others gets no further guesses from it.
            limit.exempt_failed(&self.place, now)
        } else {
            limit.failed(&self.place, now);
            Ok(())
        };
        drop(limit);
        match failed {
            Ok(()) => {
                self.tries.refused(&self.place);
                None
            }
            Err(wait) => {
                node.refuse_user_key(&self.place, wait);
                Some(wait)
            }
        }
    }

    /// What the key had of a list. Returns whether that was nothing although there was something.
    pub(in crate::api) fn listed(&self, node: &NodeState, seen: &Listed) -> bool {
        if seen.opened > 0 {
            self.opened_one(node, seen.older);
            return false;
        }
        let mut in_vain = seen.skipped > 0;
        let (now, mut limit) = (Instant::now(), self.tries.limit());
        // A list is one failure, however many of its pages have nothing of the key.
        if seen.continued && (self.derivation.has_opened() || limit.has_failed(&self.place, now)) {
            in_vain = false;
        }
        if in_vain {
            node.metrics.auth_failed(AuthFailure::UserKey);
            if self.exempt {
                // Its answer says nothing that a limit could still hide.
                let _ = limit.exempt_failed(&self.place, now);
            } else {
                limit.failed(&self.place, now);
            }
        } else if !self.exempt {
            limit.hold(&self.place, now);
        }
        in_vain
    }

    fn give_back(&self) {
        if !self.exempt {
            self.tries.limit().give_back(&self.place, Instant::now());
        }
    }
}

/// What a key had of a list.
#[derive(Debug, Default)]
pub(in crate::api) struct Listed {
    /// What it opened, and what not.
    pub(in crate::api) opened: usize,
    pub(in crate::api) skipped: usize,
    /// Whether something of it is older than the key.
    pub(in crate::api) older: bool,
    /// Whether it was a page after another one.
    pub(in crate::api) continued: bool,
}

impl NodeState {
    /// Whether a key that opened something older than itself at an address needs no tries there. Where honest callers share it
    /// with one that guesses without end, the key must be known on the same connection.
    fn is_exempt(&self, place: &KeyPlace, connection: Option<&ConnectionMark>) -> bool {
        !self.user_key_tries.is_flooding(place.origin())
            || connection.is_some_and(|connection| connection.keys.knows(place.number()))
    }

    fn refuse_user_key(&self, place: &KeyPlace, wait: Duration) -> ApiError {
        self.user_key_tries.refused(place);
        self.throttled(wait)
    }

    fn warn_of_unusual_user_key(&self) {
        if !self.unusual_user_key_seen.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                advice =
                    "clients must send the same bytes every time: the header is read as Latin-1",
                "user_key_outside_ascii"
            );
        }
    }
}
