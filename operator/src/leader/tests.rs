use std::{
    convert::Infallible,
    sync::atomic::{AtomicU32, Ordering},
};

use http::{Method, Response};
use http_body_util::Full;
use tokio::time::{advance, sleep};

use super::*;

/// A Lease that is this process's own, where each request is answered so late.
fn candidate(answers: impl Fn(&Method) -> Duration + Send + Sync + 'static) -> Leadership {
    let answers = Arc::new(answers);
    let service = service_fn(move |request: Request<Body>| {
        let answers = Arc::clone(&answers);
        async move {
            sleep(answers(request.method())).await;
            let lease = serde_json::json!({
                "metadata": { "name": "operator", "resourceVersion": "7" },
                "spec": { "holderIdentity": "me" },
            });
            let body = Full::from(lease.to_string().into_bytes());
            Ok::<_, Infallible>(Response::new(body))
        }
    });
    let client = Client::new(service, "ops");
    let metrics = Metrics::new().unwrap();
    Leadership::candidate(client, ("ops", "operator"), "me".to_owned(), metrics)
}

#[tokio::test(start_paused = true)]
async fn a_renewal_counts_from_when_it_was_sent_and_not_from_its_late_answer() {
    let tries = AtomicU32::new(0);
    let mut leadership = candidate(move |method| {
        if *method == Method::GET {
            return Duration::ZERO;
        }
        match tries.fetch_add(1, Ordering::Relaxed) {
            0 => Duration::from_secs(8),
            _ => Duration::from_hours(1),
        }
    });
    let sent = Instant::now();
    let ended = leadership.lead(std::future::pending()).await.unwrap();
    assert_eq!(ended, Ended::LeaseLost);
    assert!(sent.elapsed() <= DEADLINE, "{:?}", sent.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_was_frozen_does_nothing_more_when_it_wakes_up() {
    let done = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&done);
    let work = async move {
        loop {
            sleep(Duration::from_secs(1)).await;
            noted.lock().unwrap().push(Instant::now());
        }
    };
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let mut leadership = candidate(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Duration::ZERO
    });
    let term = leadership.term();
    assert!(!term.lasts(), "it does not lead yet");
    let mut led = std::pin::pin!(leadership.lead(work));
    assert!(
        tokio::time::timeout(Duration::from_secs(61), &mut led)
            .await
            .is_err(),
        "it leads for as long as it renews"
    );
    let before = done.lock().unwrap().len();
    assert!(before > 50, "{before}");
    let asked_before = asked.load(Ordering::Relaxed);
    // Nothing polls it meanwhile.
    advance(DURATION).await;
    assert!(
        !term.lasts(),
        "also for reconciles that go on by themselves"
    );
    assert_eq!(led.await.unwrap(), Ended::LeaseLost);
    assert_eq!(done.lock().unwrap().len(), before);
    assert_eq!(asked.load(Ordering::Relaxed), asked_before);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_lease_is_ours_nor_after_it_was_given_back() {
    let sent = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&sent);
    let service = service_fn(move |_: Request<Body>| {
        counted.fetch_add(1, Ordering::Relaxed);
        let body = Full::from(b"{}".to_vec());
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let mut leadership = candidate(|_| Duration::ZERO);
    let client = leadership.term().client(&Client::new(service, "ops"));
    let ask = async || {
        let request = Request::get("/version").body(Vec::new()).unwrap();
        client.request_text(request).await
    };
    ask().await.unwrap_err();
    leadership.acquire().await.unwrap();
    ask().await.unwrap();
    leadership.release().await.unwrap();
    ask().await.unwrap_err();
    assert_eq!(sent.load(Ordering::Relaxed), 1);
}

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
