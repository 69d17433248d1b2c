#!/usr/bin/env bash
# kube-runtime 5.0.0: the default backoff of a watch never grows while its first list fails.
#
# `watcher(api, config).default_backoff()` promises pauses from 0.8 s to 30 s. A watch tells `Event::Init` before it sends its list, and any
# success resets the backoff. So a kind that the cluster does not serve (404), or that may not be listed (403), is asked for about once a
# second for ever, by each process that watches it. Optional kinds, such as ServiceMonitors and Certificates, are usual.
#
# Guess before: some 20 requests in ten minutes, as the pauses double up to half a minute.
# What follows: hold `Event::Init` back until the list has an answer, and put the backoff behind that.
#
# Output seen: "default_backoff: 500 lists in ten minutes", "Init held back: 18 lists in ten minutes" (both vary by jitter).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "backoff"
version = "0.1.0"
edition = "2024"
[dependencies]
futures = "=0.3.34"
http = "=1.5.0"
k8s-openapi = { version = "=0.29.0", features = ["v1_33"] }
kube = { version = "=5.0.0", default-features = false, features = ["client", "runtime"] }
tokio = { version = "=1.54.1", features = ["macros", "rt", "time", "test-util"] }
tower = { version = "=0.5.3", features = ["util"] }
TOML
cat >src/main.rs <<'RUST'
use std::{convert::Infallible, sync::{Arc, atomic::{AtomicUsize, Ordering}}, time::Duration};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, client::Body, runtime::{WatchStreamExt, watcher}};

const NOT_FOUND: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"not found","reason":"NotFound","code":404}"#;

fn client(lists: &Arc<AtomicUsize>) -> Client {
    let lists = Arc::clone(lists);
    Client::new(tower::service_fn(move |_: http::Request<Body>| {
        lists.fetch_add(1, Ordering::Relaxed);
        let answer = http::Response::builder().status(404).body(Body::from(NOT_FOUND.as_bytes().to_vec()));
        async { Ok::<_, Infallible>(answer.unwrap()) }
    }), "default")
}

async fn ten_minutes(events: impl Stream) {
    let end = tokio::time::Instant::now() + Duration::from_secs(600);
    let mut events = Box::pin(events);
    while tokio::time::timeout_at(end, events.next()).await.is_ok() {}
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let lists = Arc::new(AtomicUsize::new(0));
    let api: Api<ConfigMap> = Api::all(client(&lists));
    ten_minutes(watcher(api, watcher::Config::default()).default_backoff()).await;
    println!("default_backoff: {} lists in ten minutes", lists.load(Ordering::Relaxed));

    let lists = Arc::new(AtomicUsize::new(0));
    let api: Api<ConfigMap> = Api::all(client(&lists));
    let events = watcher(api, watcher::Config::default());
    let events = events.filter(|event| std::future::ready(!matches!(event, Ok(watcher::Event::Init))));
    ten_minutes(events.default_backoff()).await;
    println!("Init held back: {} lists in ten minutes", lists.load(Ordering::Relaxed));
}
RUST
cargo build --quiet
seen=$(./target/debug/backoff)
echo "$seen"
read -r often <<<"$(sed -n 's/^default_backoff: \([0-9]*\) .*/\1/p' <<<"$seen")"
read -r rarely <<<"$(sed -n 's/^Init held back: \([0-9]*\) .*/\1/p' <<<"$seen")"
if [ "$often" -le 300 ] || [ "$rarely" -ge 60 ]; then echo "it is otherwise now" >&2; exit 1; fi
