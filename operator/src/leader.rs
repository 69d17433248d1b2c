//! One active operator at a time, by a Lease. Every write carries the resource version, so a lost race is a conflict;
//! expiry is judged by when this process last saw the Lease change, never by comparing two machines' clocks.

use std::time::{Duration, Instant};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};

use crate::metrics::Metrics;

/// How long a Lease lives without renewal.
const DURATION: Duration = Duration::from_secs(15);
/// How long the holder goes on without a successful renewal: it must stop before anybody else may begin.
const DEADLINE: Duration = Duration::from_secs(10);
const PERIOD: Duration = Duration::from_secs(2);

/// What to do about the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// Take it.
    Acquire,
    /// It is ours: renew it.
    Renew,
    /// Somebody else holds it.
    Wait,
}

/// What one round found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// The Lease is ours now.
    Ours,
    /// Somebody else has it.
    Others,
    /// It was there and is not any more.
    Gone,
}

/// Why a candidate gives up.
#[derive(Debug, thiserror::Error)]
#[error("the Lease is gone, as where the operator is uninstalled; the next start makes it anew")]
pub struct LeaseGone;

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
    lease: String,
    me: String,
    observed: Observation,
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
            lease: lease.to_owned(),
            me,
            observed,
            metrics,
        }
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

    /// Renews for as long as that works, and returns when this process must not act any more.
    pub async fn keep(&mut self) {
        let mut renewed = Instant::now();
        while renewed.elapsed() < DEADLINE {
            tokio::time::sleep(PERIOD).await;
            let left = DEADLINE.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.try_once()).await {
                Ok(Ok(Round::Ours)) => renewed = Instant::now(),
                Ok(Ok(Round::Others | Round::Gone)) => break,
                Ok(Err(error)) => tracing::warn!(error = %error, "lease_not_renewed"),
                Err(_) => {}
            }
        }
        self.metrics.set_leader(false);
        tracing::error!(identity = self.me.as_str(), "leadership_lost");
    }

    /// Gives the Lease back, so that the next one need not wait for it to expire.
    pub async fn release(&mut self) -> Result<(), kube::Error> {
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

    /// Takes or renews the Lease where it may.
    async fn try_once(&mut self) -> Result<Round, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.lease).await? else {
            // Made anew while the operator is uninstalled, it would stay, and nobody would take the clusters over.
            if self.observed.resource_version.is_some() {
                return Ok(Round::Gone);
            }
            let metadata = ObjectMeta {
                name: Some(self.lease.clone()),
                ..ObjectMeta::default()
            };
            return won(self
                .api
                .create(&PostParams::default(), &self.claim(metadata, None))
                .await);
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
                let claim = self.claim(lease.metadata.clone(), lease.spec.as_ref());
                won(self
                    .api
                    .replace(&self.lease, &PostParams::default(), &claim)
                    .await)
            }
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

/// A conflict says that somebody else was faster.
fn won(result: Result<Lease, kube::Error>) -> Result<Round, kube::Error> {
    match result {
        Ok(_) => Ok(Round::Ours),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
            Ok(Round::Others)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_only_when_it_is_free_or_was_not_seen_to_change_for_its_duration() {
        let start = Instant::now();
        let observed = Observation {
            resource_version: Some("7".into()),
            at: start,
        };
        let held_by = |holder: Option<&str>| Lease {
            spec: Some(LeaseSpec {
                holder_identity: holder.map(str::to_owned),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        let almost = start + DURATION.mul_f32(0.99);
        for (holder, now, decision) in [
            (None, start, Decision::Acquire),
            (Some(""), start, Decision::Acquire),
            (Some("me"), start, Decision::Renew),
            (Some("me"), start + DURATION, Decision::Renew),
            (Some("other"), start, Decision::Wait),
            (Some("other"), almost, Decision::Wait),
            (Some("other"), start + DURATION, Decision::Acquire),
        ] {
            assert_eq!(
                decide(&held_by(holder), "me", &observed, now),
                decision,
                "{holder:?}"
            );
        }
    }
}
