//! Mixed load for a long time, with `kill -9` every 20 s: no acknowledged write may be lost, and memory may not grow.
//!
//!     make soak                  # half an hour
//!     make soak SOAK_MINUTES=5

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement that cannot go on says so by panicking, and tells people its figures"
)]

mod client;
mod node;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use client::{Client, Counts};
use node::Node;
use tempfile::TempDir;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{interval, sleep, timeout},
};

const CLIENTS: usize = 16;
const LIFE: Duration = Duration::from_secs(20);
/// How much more memory the last lives may need than the first.
const GROWTH: f64 = 1.2;

/// One run of the node, from its start until it was killed.
struct Life {
    resident: f64,
    acknowledged: u64,
}

#[tokio::main]
async fn main() {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .unwrap();
    let minutes: f64 = std::env::var("SOAK_MINUTES").map_or(30.0, |text| text.parse().unwrap());
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let folder = TempDir::new().unwrap();
    let counts = Arc::new(Counts::default());
    let mut node = Node::start(folder.path()).await;
    let (address, addresses) = watch::channel(Some(node.url.clone()));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = Client::new(number, addresses.clone(), Arc::clone(&counts));
        clients.spawn(client.run(end));
    }
    println!(
        "{:>6} {:>10} {:>10} {:>10} {:>6} {:>10}",
        "life", "writes", "reads", "refused", "lost", "MiB"
    );
    let mut lives = Vec::new();
    while Instant::now() < end {
        let resident = live(&mut node).await;
        lives.push(Life {
            resident,
            acknowledged: counts.written.load(Ordering::Relaxed),
        });
        println!(
            "{:>6} {:>10} {:>10} {:>10} {:>6} {resident:>10.1}",
            lives.len(),
            counts.written.load(Ordering::Relaxed),
            counts.read.load(Ordering::Relaxed),
            counts.refused.load(Ordering::Relaxed),
            counts.lost.load(Ordering::Relaxed),
        );
        address.send_replace(None);
        node.kill();
        node = Node::start(folder.path()).await;
        address.send_replace(Some(node.url.clone()));
    }
    // Each client checks all its entries once more, at the last node.
    while let Some(ended) = timeout(Duration::from_mins(5), clients.join_next())
        .await
        .unwrap()
    {
        ended.unwrap();
    }
    let lost = counts.lost.load(Ordering::Relaxed);
    let steady = is_steady(&lives);
    println!(
        "{} kills, {} acknowledged writes, {} looked at in the end, {lost} lost; memory {}",
        lives.len(),
        lives.last().map_or(0, |life| life.acknowledged),
        counts.compared.load(Ordering::Relaxed),
        if steady { "steady" } else { "grows" }
    );
    node.kill();
    if lost > 0 || !steady {
        std::process::exit(1);
    }
}

/// Lets the node live; returns the most memory that it had, in MiB.
async fn live(node: &mut Node) -> f64 {
    let mut most: f64 = 0.0;
    let mut seconds = interval(Duration::from_secs(1));
    let watching = async {
        loop {
            seconds.tick().await;
            most = most.max(node.resident());
        }
    };
    tokio::select! {
        () = sleep(LIFE) => {}
        () = watching => {}
    }
    most
}

/// Whether the last quarter of the lives needed about as much memory as the second one; the first fills the store.
fn is_steady(lives: &[Life]) -> bool {
    let quarter = lives.len() / 4;
    if quarter == 0 {
        return true;
    }
    let median = |lives: &[Life]| {
        let mut resident: Vec<_> = lives.iter().map(|life| life.resident).collect();
        resident.sort_by(f64::total_cmp);
        resident[resident.len() / 2]
    };
    median(&lives[lives.len() - quarter..]) <= median(&lives[quarter..quarter * 2]) * GROWTH
}
