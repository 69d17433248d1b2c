//! The honest client: it sends requests at fixed times, whether earlier answers have come or not.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::node::API_KEY;

pub(crate) const USER_KEY: &str = "the user key of the honest client";
pub(crate) const ENTRY: &str = "honest";
/// Between two requests.
const PACE: Duration = Duration::from_millis(10);
/// How long a client waits for an answer. A request that was refused or got no answer counts as this long.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client on a thread of its own, so that the attackers' work in this process does not delay it.
pub(crate) struct Honest {
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    took: Duration,
    answered: bool,
    is_health: bool,
}

/// How long its requests took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Latency {
    pub(crate) p99: Duration,
    /// The same of `/health` alone.
    pub(crate) health: Duration,
    pub(crate) requests: usize,
    pub(crate) unanswered: usize,
}

impl Honest {
    /// Reads its entry on a connection that stays, then on a new one, then `/health`, in turn.
    pub(crate) fn start(url: &str) -> Self {
        let samples = Arc::<Mutex<Vec<Sample>>>::default();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn({
            let (url, samples) = (url.to_owned(), Arc::clone(&samples));
            move || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap()
                    .block_on(ask(url, samples, stopped));
            }
        });
        Self {
            samples,
            stop,
            thread,
        }
    }

    /// The latencies since the last call.
    pub(crate) fn take(&self) -> Latency {
        latency(std::mem::take(&mut self.samples.lock().unwrap()))
    }

    /// Waits for the answers that are still out, and gives the latencies since the last call.
    pub(crate) fn finish(self) -> Latency {
        let _ = self.stop.send(());
        self.thread.join().unwrap();
        latency(std::mem::take(&mut self.samples.lock().unwrap()))
    }
}

async fn ask(url: String, samples: Arc<Mutex<Vec<Sample>>>, mut stopped: oneshot::Receiver<()>) {
    let client = |idle: usize| {
        reqwest::Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(idle)
            .build()
            .unwrap()
    };
    let (kept, new) = (client(64), client(0));
    let mut requests = JoinSet::new();
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for number in 0_u64.. {
        tokio::select! {
            _ = &mut stopped => break,
            _ = ticks.tick() => {}
        }
        let entry = format!("{url}/configs/{ENTRY}");
        let is_health = number % 3 == 2;
        let request = match number % 3 {
            0 => kept.get(entry),
            1 => new.get(entry),
            _ => kept.get(format!("{url}/health")),
        };
        let request = request
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", USER_KEY);
        let samples = Arc::clone(&samples);
        requests.spawn(async move {
            let began = Instant::now();
            let whole = async { request.send().await?.error_for_status()?.bytes().await };
            let answered = whole.await.is_ok();
            let took = if answered { began.elapsed() } else { TIMEOUT };
            samples.lock().unwrap().push(Sample {
                took,
                answered,
                is_health,
            });
        });
        while requests.try_join_next().is_some() {}
    }
    requests.join_all().await;
}

fn latency(mut samples: Vec<Sample>) -> Latency {
    samples.sort_by_key(|sample| sample.took);
    let p99 = |samples: &[Sample]| {
        let rank = samples.len() * 99 / 100;
        samples.get(rank).map_or(TIMEOUT, |sample| sample.took)
    };
    let probes: Vec<_> = samples
        .iter()
        .copied()
        .filter(|sample| sample.is_health)
        .collect();
    Latency {
        p99: p99(&samples),
        health: p99(&probes),
        requests: samples.len(),
        unanswered: samples.iter().filter(|sample| !sample.answered).count(),
    }
}
