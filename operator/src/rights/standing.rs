//! The known rights of the operator in each namespace. Asked once; again where a right is missing or a call was refused.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use kube::Client;
use tokio::time::Instant;

use super::{Lack, Need, review::review};
use crate::metrics::Metrics;

/// How soon the rights in a namespace that lacks one are asked for again.
pub const RETRY: Duration = Duration::from_mins(1);
/// An answer of this age is asked for anew where a required right was missing: before [`RETRY`], so that the clusters of a
/// namespace, which come at different times, share one answer.
const STALE: Duration = Duration::from_secs(30);
/// The same where only optional rights were missing.
const STALE_OPTIONAL: Duration = Duration::from_mins(10);

/// The known rights in each namespace.
#[derive(Debug)]
pub struct Standings {
    known: Mutex<HashMap<String, Known>>,
    metrics: Metrics,
}

#[derive(Debug, Clone)]
struct Known {
    /// The missing rights; empty also where the API server does not report them.
    lacks: Vec<Lack>,
    at: Instant,
    /// A refused call contradicts it.
    is_doubted: bool,
}

impl Known {
    fn now(lacks: Vec<Lack>) -> Self {
        Self {
            lacks,
            at: Instant::now(),
            is_doubted: false,
        }
    }

    fn is_stale(&self) -> bool {
        if self.is_doubted {
            return true;
        }
        let limit = if self.lacks.is_empty() {
            return false;
        } else if self.lacks.iter().any(|lack| lack.need == Need::Required) {
            STALE
        } else {
            STALE_OPTIONAL
        };
        self.at.elapsed() >= limit
    }
}

impl Standings {
    /// Without any knowledge yet.
    pub fn new(metrics: Metrics) -> Self {
        Self {
            known: Mutex::default(),
            metrics,
        }
    }

    /// The required rights that are missing in a namespace, as far as the API server reports.
    pub async fn missing(&self, client: &Client, namespace: &str) -> Vec<Lack> {
        let known = self.known(namespace).filter(|known| !known.is_stale());
        let lacks = match known {
            Some(known) => known.lacks,
            None => self.look(client, namespace).await,
        };
        lacks
            .into_iter()
            .filter(|lack| lack.need == Need::Required)
            .collect()
    }

    /// A call was refused in this namespace: the earlier answer no longer holds.
    pub fn refused(&self, namespace: &str) {
        self.ask_again(namespace);
        self.show(namespace, Need::Required, 1);
    }

    /// A call was refused that the operator can do without: the next look asks for the rights again. The earlier answer stays,
    /// so that a right that is still missing is not told anew.
    pub fn ask_again(&self, namespace: &str) {
        if let Some(known) = self.lock().get_mut(namespace) {
            known.is_doubted = true;
        }
    }

    /// Clusters may not be watched in a namespace, or in all of them (an empty name).
    pub fn watch_refused(&self, scope: &str, words: &str) {
        let known = Known::now(Vec::new());
        // Logged when it begins, not at each try.
        if self.lock().insert(watch(scope), known).is_none() {
            tracing::warn!(namespace = scope, words, "clusters_not_watched");
        }
        self.show(scope, Need::Required, 1);
    }

    /// Clusters are watched there.
    pub fn watch_works(&self, scope: &str) {
        if self.lock().remove(&watch(scope)).is_some() {
            tracing::info!(namespace = scope, "clusters_watched");
            self.show(scope, Need::Required, 0);
        }
    }

    /// No call was refused.
    pub fn suffices(&self, namespace: &str) {
        self.show(namespace, Need::Required, 0);
    }

    fn show(&self, namespace: &str, need: Need, count: usize) {
        self.metrics
            .set_missing_rights(namespace, need.text(), count);
    }

    async fn look(&self, client: &Client, namespace: &str) -> Vec<Lack> {
        let lacks = review(client, namespace).await.unwrap_or_default();
        let before = self.known(namespace).map(|known| known.lacks);
        if before.unwrap_or_default() != lacks {
            tell(namespace, &lacks);
        }
        for need in [Need::Required, Need::Optional] {
            let count = lacks.iter().filter(|lack| lack.need == need).count();
            self.show(namespace, need, count);
        }
        self.lock()
            .insert(namespace.to_owned(), Known::now(lacks.clone()));
        lacks
    }

    fn known(&self, namespace: &str) -> Option<Known> {
        self.lock().get(namespace).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a watch's entry: no namespace has such a name.
fn watch(scope: &str) -> String {
    format!("watch of {scope}")
}

fn tell(namespace: &str, lacks: &[Lack]) {
    let of = |need: Need| words(lacks.iter().filter(|lack| lack.need == need));
    let (required, optional) = (of(Need::Required), of(Need::Optional));
    if !required.is_empty() {
        tracing::warn!(namespace, rights = required, "rights_missing");
    }
    if !optional.is_empty() {
        tracing::warn!(namespace, rights = optional, "optional_rights_missing");
    }
    if lacks.is_empty() {
        tracing::info!(namespace, "rights_complete");
    }
}

/// As a sentence names them.
pub(crate) fn words<'a>(lacks: impl Iterator<Item = &'a Lack>) -> String {
    lacks
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
