//! All faults at random under load. `CLUSTER_SECONDS=3600` makes it long, `CLUSTER_SEED=random` puts the faults in a new order,
//! and prints its seed; with that number they come in it again.

use std::{
    collections::BTreeMap,
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    checker::check, cluster::Cluster, disturbance::Disturbance, record::Record, wait::until,
    workload::Workload,
};

/// After this time all faults are taken away and everything is checked.
const ROUND: Duration = Duration::from_secs(20);

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_random_faults_nothing_acknowledged_is_lost_or_comes_back() {
    let seconds = number("CLUSTER_SECONDS").unwrap_or(20);
    let seed = match env::var("CLUSTER_SEED").as_deref() {
        Ok("random") => rand::random_range(1..1 << 20),
        _ => number("CLUSTER_SEED").unwrap_or(1),
    };
    eprintln!("CLUSTER_SEED={seed}");
    let mut cluster = Cluster::prepared(3).await;
    Disturbance::prepare(&mut cluster);
    cluster.start_all().await;
    cluster.bootstrap(0).await.with(200);
    cluster.all_ready().await;
    let salt = cluster.one_salt().await;
    let apis = cluster.apis();
    let record = Arc::new(Record::default());
    let mut disturbance = Disturbance::new(seed);
    let mut workload = Workload::new(&apis, &record, seed);
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    while Instant::now() < end {
        let running = workload.start();
        let round = Instant::now() + ROUND;
        while Instant::now() < round.min(end) {
            disturbance.step(&mut cluster, &record).await;
        }
        cluster.network.heal();
        workload = running.stop().await;
        let list = cluster.converged().await;
        check(&record, &list, &apis[0]).await.assert_clean();
        assert_eq!(cluster.one_salt().await, salt, "there is a second salt");
        eprintln!(
            "{:.0?}: {} entries, {:?}",
            begun.elapsed(),
            list.len(),
            record.tally()
        );
    }
    let tally = record.tally();
    let brought: BTreeMap<_, _> = disturbance.brought;
    eprintln!(
        "{} operations acknowledged, 0 lost, 0 resurrected, 1 salt; {} refused, {} without an answer, {} reads of one's \
         own writes, {} acknowledged by one node only before its disk was taken; faults: {brought:?}",
        tally.acknowledged, tally.refused, tally.unknown, tally.reads, tally.excused
    );
    assert!(tally.acknowledged > 20, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_faults_everything_is_acknowledged_and_everywhere() {
    let cluster = Cluster::bootstrapped(3).await;
    let record = Arc::new(Record::default());
    let workload = Workload::new(&cluster.apis(), &record, 1).start();
    until("there is something to check", async || {
        (record.acknowledged() >= 500).then_some(())
    })
    .await;
    workload.stop().await;
    let list = cluster.converged().await;
    check(&record, &list, &cluster.api(0)).await.assert_clean();
    let tally = record.tally();
    assert_eq!(tally.unknown, 0, "{tally:?}");
}
