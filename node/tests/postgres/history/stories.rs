//! Real histories.

use std::env;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    checker::Refutation,
    clients::{Clients, read_all},
    cluster::{Cluster, Commits, Fault},
};

/// Operations between two faults.
const BETWEEN: usize = 250;
/// The seed where none is named, so that a run that fails in CI fails anywhere.
const USUAL: u64 = 1;

/// Operations that are wanted at least (`HISTORY_OPERATIONS`); each fault comes once where none are named.
fn wanted() -> usize {
    match env::var("HISTORY_OPERATIONS").as_deref() {
        Ok("") | Err(_) => 0,
        Ok(number) => number.parse().unwrap(),
    }
}

/// `HISTORY_SEED`: a number, or `random`.
fn seed() -> u64 {
    match env::var("HISTORY_SEED").as_deref() {
        Ok("") | Err(_) => USUAL,
        Ok("random") => u64::from(rand::random::<u32>()),
        Ok(number) => number.parse().unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_entry_is_linearizable_whatever_goes_down() {
    let (wanted, seed) = (wanted(), seed());
    eprintln!("HISTORY_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut cluster = Cluster::new(Commits::OnBoth).await;
    let clients = Clients::start(cluster.callers(), cluster.history(), seed);
    let mut faults = 0;
    let mut first = Fault::ALL.into_iter();
    loop {
        cluster.history().more(BETWEEN).await;
        let fault = match first.next() {
            Some(fault) => fault,
            None if cluster.history().answered() >= wanted => break,
            None => Fault::ALL
                .get(random.random_range(0..Fault::ALL.len()))
                .copied()
                .unwrap(),
        };
        // Faults are rarer in a long run: each costs a second or more.
        cluster.history().more(wanted / 100).await;
        cluster.meet(fault).await;
        faults += 1;
    }
    clients.stop().await;
    read_all(cluster.callers(), cluster.history()).await;
    let tally = cluster.history().check();
    let tally = tally.unwrap_or_else(|refuted| panic!("HISTORY_SEED={seed}: {refuted}"));
    eprintln!("every entry is linearizable: {tally:?}, {faults} faults");
    assert!(tally.known >= wanted && tally.unknown > 0, "{tally:?}");
    assert!(tally.promotions >= 2, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_loses_acknowledged_writes_is_found() {
    let mut cluster = Cluster::new(Commits::OnPrimary).await;
    let clients = Clients::start(cluster.callers(), cluster.history(), USUAL);
    cluster.history().more(BETWEEN).await;
    cluster.lose_acknowledged_writes().await;
    clients.stop().await;
    read_all(cluster.callers(), cluster.history()).await;
    let refuted = cluster.history().check().unwrap_err();
    assert!(
        matches!(refuted.why, Refutation::NoOrder { .. }),
        "{refuted}"
    );
}
