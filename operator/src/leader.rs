//! One active operator at a time, by a Lease. Every write carries the resource version, so a lost race is a conflict;
//! expiry is judged by when this process last saw the Lease change, never by comparing two machines' clocks.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::Request;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams, client::Body};
use tokio::time::Instant;
use tower::service_fn;

use crate::{metrics::Metrics, service_account};

/// How long a Lease lives without renewal.
const DURATION: Duration = Duration::from_secs(15);
/// How long the holder goes on without a successful renewal: it must stop before another process may begin.
const DEADLINE: Duration = Duration::from_secs(10);
const PERIOD: Duration = Duration::from_secs(2);

/// The decision about the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// Acquire it.
    Acquire,
    /// It is ours: renew it.
    Renew,
    /// Another process holds it.
    Wait,
}

/// The result of one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// The Lease is ours now.
    Ours,
    /// Another process has it.
    Others,
    /// It was there and is not any more.
    Gone,
}

/// Why a candidate gives up.
#[derive(Debug, thiserror::Error)]
#[error("the Lease is gone, as where the operator is uninstalled; the next start makes it anew")]
pub struct LeaseGone;

/// Why a process leads no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The Lease was lost; another process may lead now.
    LeaseLost,
    /// There was no more work to do.
    WorkDone,
}

/// For how long this process may act.
#[derive(Debug, Clone, Default)]
pub struct Term {
    /// When the request was sent by which the Lease is ours.
    renewed: Arc<Mutex<Option<Instant>>>,
}

/// The error of a process that sends a request after its term.
#[derive(Debug, thiserror::Error)]
#[error("this process leads no longer")]
struct TermEnded;

impl Term {
    /// The rest of the term.
    fn left(&self) -> Duration {
        let renewed = *self.lock();
        let passed = renewed.map_or(DEADLINE, |renewed| renewed.elapsed());
        DEADLINE.saturating_sub(passed)
    }

    /// Whether this process may act now. A process that was frozen asks before it goes on: its reconciles go on by themselves.
    pub fn lasts(&self) -> bool {
        !self.left().is_zero()
    }

    /// The same client, which sends requests only in this term.
    #[must_use]
    pub fn client(&self, client: &Client) -> Client {
        let (term, inner) = (self.clone(), client.clone());
        let service = service_fn(move |request: Request<Body>| {
            let (term, inner) = (term.clone(), inner.clone());
            async move {
                if !term.lasts() {
                    return Err(kube::Error::Service(TermEnded.into()));
                }
                inner.send(request).await
            }
        });
        Client::new(service, client.default_namespace())
    }

    fn begin(&self, sent: Instant) {
        *self.lock() = Some(sent);
    }

    fn end(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When this process last saw the Lease change.
#[derive(Debug, Clone)]
struct Observation {
    resource_version: Option<String>,
    at: Instant,
}

fn decide(lease: &Lease, me: &str, observed: &Observation, now: Instant) -> Decision {
    let holder = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.as_deref())
        .filter(|holder| !holder.is_empty());
    match holder {
        Some(holder) if holder == me => Decision::Renew,
        Some(_) if now.duration_since(observed.at) < DURATION => Decision::Wait,
        _ => Decision::Acquire,
    }
}

/// The right to act, and the duty to keep it.
#[derive(Debug)]
pub struct Leadership {
    api: Api<Lease>,
    namespace: String,
    lease: String,
    me: String,
    observed: Observation,
    term: Term,
    metrics: Metrics,
}

impl Leadership {
    /// A candidate for the Lease of this namespace and name; `me` must be unique, such as a pod's name.
    pub fn candidate(
        client: Client,
        (namespace, lease): (&str, &str),
        me: String,
        metrics: Metrics,
    ) -> Self {
        let observed = Observation {
            resource_version: None,
            at: Instant::now(),
        };
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            lease: lease.to_owned(),
            me,
            observed,
            term: Term::default(),
            metrics,
        }
    }

    /// For how long this process may act; it begins once the Lease is ours, and is renewed with it.
    pub fn term(&self) -> Term {
        self.term.clone()
    }

    /// Runs this work while this process leads, and no part of it before or after.
    ///
    /// # Errors
    /// Where a Lease that this process has seen does not exist any more.
    pub async fn lead(&mut self, work: impl Future<Output = ()>) -> Result<Ended, LeaseGone> {
        self.acquire().await?;
        let mut work = std::pin::pin!(work);
        // A process that was frozen finds out that it leads no longer before it goes on.
        Ok(tokio::select! {
            biased;
            () = self.keep() => Ended::LeaseLost,
            () = &mut work => Ended::WorkDone,
        })
    }

    /// Returns when this process leads.
    ///
    /// # Errors
    /// Where a Lease that this process has seen does not exist any more.
    pub async fn acquire(&mut self) -> Result<(), LeaseGone> {
        loop {
            match self.try_once().await {
                Ok(Round::Ours) => {
                    tracing::info!(identity = self.me.as_str(), "leadership_acquired");
                    self.metrics.set_leader(true);
                    return Ok(());
                }
                Ok(Round::Others) => {}
                Ok(Round::Gone) => return Err(LeaseGone),
                Err(error) => tracing::warn!(error = %error, "lease_not_read"),
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Renews for as long as that works, and returns when this process must not act any more. Others count from their sight of
    /// the renewal, so this process counts from its sending: the answer may come late.
    pub async fn keep(&mut self) {
        while self.term.lasts() {
            tokio::time::sleep(PERIOD).await;
            // A process that was frozen meanwhile has no time left to ask.
            let left = self.term.left();
            match tokio::time::timeout(left, self.try_once()).await {
                Ok(Ok(Round::Ours)) | Err(_) => {}
                Ok(Ok(Round::Others | Round::Gone)) => break,
                Ok(Err(error)) => tracing::warn!(error = %error, "lease_not_renewed"),
            }
        }
        self.term.end();
        self.metrics.set_leader(false);
        tracing::error!(identity = self.me.as_str(), "leadership_lost");
    }

    /// Gives the Lease back, so that the next process need not wait for it to expire.
    pub async fn release(&mut self) -> Result<(), kube::Error> {
        self.term.end();
        let mut lease = self.api.get(&self.lease).await?;
        let holds = lease
            .spec
            .as_ref()
            .is_some_and(|spec| spec.holder_identity.as_deref() == Some(&self.me));
        if holds && let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            self.api
                .replace(&self.lease, &PostParams::default(), &lease)
                .await?;
        }
        Ok(())
    }

    /// Acquires or renews the Lease where it may.
    async fn try_once(&mut self) -> Result<Round, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.lease).await? else {
            // A Lease that is made anew during an uninstallation would stay, and no other operator would take the clusters
            // over.
            if self.observed.resource_version.is_some() {
                return Ok(Round::Gone);
            }
            let metadata = self.made_anew().await?;
            let (sent, claim) = (Instant::now(), self.claim(metadata, None));
            let made = self.api.create(&PostParams::default(), &claim).await;
            return self.won(sent, made);
        };
        if lease.metadata.resource_version != self.observed.resource_version {
            self.observed = Observation {
                resource_version: lease.metadata.resource_version.clone(),
                at: Instant::now(),
            };
        }
        match decide(&lease, &self.me, &self.observed, Instant::now()) {
            Decision::Wait => Ok(Round::Others),
            Decision::Acquire | Decision::Renew => {
                let (sent, claim) = (
                    Instant::now(),
                    self.claim(lease.metadata.clone(), lease.spec.as_ref()),
                );
                let parameters = PostParams::default();
                let taken = self.api.replace(&self.lease, &parameters, &claim).await;
                self.won(sent, taken)
            }
        }
    }

    /// What a Lease has that no installation brought, as where Argo CD leaves Leases out: it is to go with the installation all
    /// the same, so its service account owns it.
    async fn made_anew(&self) -> Result<ObjectMeta, kube::Error> {
        let client = self.api.clone().into_client();
        let owner = service_account::as_owner(&client, &self.namespace).await?;
        Ok(ObjectMeta {
            name: Some(self.lease.clone()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        })
    }

    /// A conflict means that another process was faster.
    fn won(
        &mut self,
        sent: Instant,
        result: Result<Lease, kube::Error>,
    ) -> Result<Round, kube::Error> {
        match result {
            Ok(_) => {
                self.term.begin(sent);
                Ok(Round::Ours)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(Round::Others)
            }
            Err(error) => Err(error),
        }
    }

    fn claim(&self, metadata: ObjectMeta, before: Option<&LeaseSpec>) -> Lease {
        let now = MicroTime(jiff::Timestamp::now());
        let same_holder =
            before.filter(|before| before.holder_identity.as_deref() == Some(&self.me));
        let transitions = before
            .and_then(|before| before.lease_transitions)
            .unwrap_or_default();
        Lease {
            metadata,
            spec: Some(LeaseSpec {
                holder_identity: Some(self.me.clone()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                acquire_time: same_holder
                    .and_then(|before| before.acquire_time.clone())
                    .or_else(|| Some(now.clone())),
                renew_time: Some(now),
                lease_transitions: Some(if same_holder.is_some() {
                    transitions
                } else {
                    transitions.saturating_add(1)
                }),
                ..LeaseSpec::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests;
