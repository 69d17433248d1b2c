//! The engine's link to other nodes: sends its messages, brings answers back, and gives it the time and the list.

mod answer;
mod ask;
mod client;
mod error;
mod faults;
mod handover;
mod list;
mod parts;
mod proof;
mod tls_fault;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinHandle, time::MissedTickBehavior};

pub use answer::MESSAGE_BYTES;
pub(crate) use answer::{COPIES, GREETING_BYTES};
pub(crate) use client::ResolvedHost;
pub use client::{Caller, PeerClient};
pub use error::PeerError;
pub use faults::{PeerFaults, UnreachablePeer};
pub(crate) use parts::{Unread, longest, reserve};
pub use proof::{ASK, CHALLENGE, PROOF, PeerProofs, Proven, Unproven};

use crate::{
    cluster::{Address, Event, MemberName, Output},
    config::PeerList,
    crypto::Salt,
    log::logged_name,
    metrics::ClusterMetrics,
    replica::Replica,
    tls::KnownHosts,
};

/// How often the engine gets the time: a fraction of the longest wait of a write for others.
const TICK: Duration = Duration::from_millis(50);

/// The outputs of the engine for the outside.
pub type Outputs = mpsc::UnboundedReceiver<Output>;

/// The action when the salt becomes known.
pub type OnSalt = Box<dyn Fn(Salt) + Send + Sync>;

/// Starts the tasks that drive the engine of a clustered node. They end with the store.
pub fn start(
    store: &Replica,
    client: Arc<PeerClient>,
    (list, hosts): (PeerList, KnownHosts),
    outputs: Outputs,
    on_salt: OnSalt,
    metrics: ClusterMetrics,
) -> Vec<JoinHandle<()>> {
    vec![
        tokio::spawn(tick(store.clone())),
        tokio::spawn(list::keep_told(store.clone(), list, hosts.clone())),
        tokio::spawn(list::keep_hosts(store.clone(), hosts)),
        tokio::spawn(act(store.clone(), client, outputs, on_salt, metrics)),
    ]
}

/// Starts the task that hands a federated node's values over when it leaves. It ends with the store.
pub fn start_handover(
    store: &Replica,
    client: Arc<PeerClient>,
    name: MemberName,
) -> JoinHandle<()> {
    tokio::spawn(handover::hand_over(store.clone(), client, name))
}

async fn tick(store: Replica) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if store.tick().await.is_err() {
            return;
        }
    }
}

async fn act(
    store: Replica,
    client: Arc<PeerClient>,
    mut outputs: Outputs,
    on_salt: OnSalt,
    metrics: ClusterMetrics,
) {
    while let Some(output) = outputs.recv().await {
        match output {
            Output::Send {
                to,
                exchange,
                message,
                timeout,
            } => {
                let (store, client) = (store.clone(), Arc::clone(&client));
                let metrics = metrics.clone();
                tokio::spawn(async move {
                    let begun = Instant::now();
                    let answer = client.exchange(&to, &message, timeout).await;
                    if answer.is_ok() {
                        metrics.exchanged(begun.elapsed());
                    }
                    note_fault(client.faults(), &to, answer.as_ref().err());
                    let answer = answer.ok().map(|(answer, room)| (Box::new(answer), room));
                    // A store that has ended needs no answers.
                    let _ = store.answered(to, exchange, answer).await;
                });
            }
            Output::Scan(scan) => {
                let store = store.clone();
                tokio::spawn(async move {
                    let id = scan.id;
                    let digest = store.digest(scan).await.inspect_err(|error| {
                        tracing::warn!(error = %error, "digest_failed");
                    });
                    let _ = store.scanned(id, digest.ok()).await;
                });
            }
            Output::SaltSettled(salt) => on_salt(salt),
            Output::Event(event) => {
                metrics.happened(&event);
                tell(&event);
            }
            // The store delivers these itself.
            Output::Written { .. } | Output::Answer { .. } | Output::Done { .. } => {}
        }
    }
}

/// Logs once that a node does not answer, and once that it does again.
fn note_fault(faults: &PeerFaults, address: &Address, error: Option<&PeerError>) {
    match error.map(PeerError::chain) {
        Some(error) => {
            if faults.failed(address, error.clone(), Instant::now()) {
                tracing::warn!(peer = address.as_str(), error, "peer_unreachable");
            } else {
                tracing::debug!(peer = address.as_str(), error, "peer_unreachable_as_before");
            }
        }
        None => {
            if faults.answered(address) {
                tracing::info!(peer = address.as_str(), "peer_reachable_again");
            }
        }
    }
}

/// Writes an event of the engine into the log.
fn tell(event: &Event) {
    match event {
        Event::Bootstrapped(cluster_uid) => tracing::info!(%cluster_uid, "cluster_bootstrapped"),
        Event::JoinBegun { source } => tracing::info!(%source, "cluster_join_started"),
        Event::Joined { source, rows } => tracing::info!(%source, rows, "cluster_joined"),
        Event::Ready => tracing::info!("node_ready"),
        Event::Fenced(reason) => tracing::error!(
            reason = reason.text(),
            advice = "it takes a new snapshot as soon as it reaches a ready member; rows that only it has become conflicts",
            "node_fenced"
        ),
        Event::Suspected { name, reason } => tracing::warn!(
            peer = %name,
            reason = reason.text(),
            advice = "the peer is asked at its own address; until it answers, this node serves reads and no node relies on it",
            "node_suspended"
        ),
        Event::Acquitted { name } => tracing::warn!(
            peer = %name,
            advice = "the peer does not say what a greeting in its name said: where that comes again, an attacker has the cluster key",
            "suspicion_unfounded"
        ),
        Event::WaitsForOwner(reason) => tracing::error!(
            reason = reason.text(),
            advice = "no other node could give this one a snapshot: start a member that can, or see osc-node unfence --dry-run",
            "node_waits_for_unfence"
        ),
        Event::RemovalIsVoid => tracing::warn!(
            advice = "the member that removed this node had been removed before, and all other members are fenced: this node goes on \
                      with what it has",
            "removal_void"
        ),
        Event::Unfenced => tracing::warn!("node_unfenced"),
        Event::FutureStamp { name, clock } => tracing::error!(
            peer = %name,
            stamp_micros = clock.time().as_micros(),
            advice = "a stamp is more than an hour ahead of this node's clock: look at the clocks of all nodes",
            "stamp_from_the_future"
        ),
        Event::Leaving => tracing::info!("cluster_leaving"),
        Event::Left => tracing::info!("cluster_left"),
        Event::Removed(name) => tracing::warn!(member = %name, "member_removed"),
        Event::Mismatch {
            name,
            cluster,
            refusal,
        } => tracing::error!(
            peer = %name,
            peer_cluster = cluster,
            reason = refusal.name(),
            advice = refusal.advice(),
            "peer_refused"
        ),
        Event::RowsOutsideTheCluster { name } => tracing::error!(
            peer = %name,
            advice = "this node holds entries of its own and is no member: bring them in with osc-node import --from its database, run with the settings of a member; then start it on an empty disk",
            "rows_outside_the_cluster"
        ),
        Event::Conflict(identity) => tracing::warn!(
            key = %logged_name(identity.key.as_str()),
            environment = %logged_name(identity.environment.as_str()),
            "conflict"
        ),
        Event::ValuesTakenBack { taken, set_aside } => {
            tracing::info!(taken, set_aside, "values_taken_back");
        }
        Event::DamagedRow(identity) => tracing::error!(
            key = %logged_name(identity.key.as_str()),
            environment = %logged_name(identity.environment.as_str()),
            "row_damaged"
        ),
        Event::DamagedArrival { name } => tracing::error!(peer = %name, "damaged_row_arrived"),
        Event::DigestRepaired { identity, name } => tracing::error!(
            key = %logged_name(identity.key.as_str()),
            environment = %logged_name(identity.environment.as_str()),
            source = %name,
            advice = "this node had lost the row although everything had arrived; look at its disk, and report it",
            "row_repaired"
        ),
        Event::HeldByOneOnly { identity, name } => tracing::error!(
            key = %logged_name(identity.key.as_str()),
            environment = %logged_name(identity.environment.as_str()),
            peer = %name,
            advice = "only this peer has the row, and it may have been deleted long ago: write or delete it there",
            "row_held_by_one_member_only"
        ),
        Event::Purged { count, up_to } => {
            tracing::info!(count, up_to = up_to.raw(), "tombstones_purged");
        }
    }
}
