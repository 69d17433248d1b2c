//! Values of many parts: written and read by many at once.

use futures::FutureExt as _;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{
    Attack,
    honest::USER_KEY,
    http::{client, total},
    memory_limit::POD_BYTES,
    node::API_KEY,
    report::{Caller, Figures},
    scene::{Scale, Scene, Spoils},
};

/// Nearly the most members that one value may have, and nearly 1 MiB of text.
const MEMBERS: usize = 78_000;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "values of 78,000 members written by 16",
        caller: Caller::ApiKey,
        run: |scale| written(scale, &members()).boxed(),
    },
    Attack {
        name: "values of 340,000 empty lists written by 16",
        caller: Caller::ApiKey,
        run: |scale| written(scale, &Value::from(vec![json!([]); 340_000])).boxed(),
    },
    Attack {
        name: "values of 1 MB of emoji written by 16",
        caller: Caller::ApiKey,
        run: |scale| written(scale, &emoji()).boxed(),
    },
    Attack {
        name: "values of 1 MB of emoji written and read one after another in half a pod",
        caller: Caller::ApiKey,
        run: |scale| one_by_one(scale).boxed(),
    },
    Attack {
        name: "a value of 78,000 members read by 64",
        caller: Caller::ApiKey,
        run: |scale| read(scale).boxed(),
    },
];

/// One value with this many members.
pub(crate) fn members() -> Value {
    let members = (0..MEMBERS).map(|number| (format!("k{number}"), json!({})));
    Value::Object(members.collect::<Map<_, _>>())
}

/// A value that is stored as three times as many bytes: each character as two escapes.
fn emoji() -> Value {
    "😀".repeat(250_000).into()
}

/// The kernel kills a node that needs more memory than its pod has; before that, the node refuses no honest write.
async fn one_by_one(scale: Scale) -> Figures {
    let scene = Scene::start_in_pod(scale, POD_BYTES / 2).await;
    let url = format!("{}/configs", scene.node.url);
    let body = json!({ "value": emoji() }).to_string();
    let attack = async move {
        let client = client(0);
        let call = |method, path: String| {
            client
                .request(method, format!("{url}{path}"))
                .header("X-API-Key", API_KEY)
                .header("X-User-Key", USER_KEY)
                .header("Content-Type", "application/json")
        };
        let (mut done, mut refused) = (0, 0);
        for number in 0..scale.of(6, 30) {
            let path = format!("/emoji-{number}");
            let write = call(Method::PUT, format!("{path}?upsert=true")).body(body.clone());
            for request in [
                write,
                call(Method::GET, path),
                call(Method::GET, String::new()),
            ] {
                let whole = async { request.send().await?.error_for_status()?.bytes().await };
                match whole.await {
                    Ok(_) => done += 1,
                    Err(_) => refused += 1,
                }
            }
        }
        Spoils {
            fault: (refused > 0).then(|| format!("{refused} were refused")),
            ..Spoils::note(format!("{done} done"))
        }
    };
    scene.measure(attack).await
}

/// Sends a request again and again; counts the answers that succeeded and those that refused.
async fn repeat(until: Instant, request: impl Fn() -> reqwest::RequestBuilder) -> (usize, usize) {
    let (mut done, mut refused) = (0, 0);
    while Instant::now() < until {
        let whole = async { request().send().await?.error_for_status()?.bytes().await };
        match whole.await {
            Ok(_) => done += 1,
            Err(error) => {
                refused += 1;
                if error.status() == Some(StatusCode::TOO_MANY_REQUESTS) {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }
    (done, refused)
}

/// What writers or readers of large values did, who are to starve the honest client.
fn starving(done: usize, refused: usize) -> Spoils {
    Spoils {
        starves: true,
        ..Spoils::note(format!("{done} done, {refused} refused"))
    }
}

fn written(scale: Scale, value: &Value) -> impl Future<Output = Figures> + use<> {
    let body = json!({ "value": value }).to_string();
    async move {
        let scene = Scene::start(scale, &[]).await;
        let url = format!("{}/configs", scene.node.url);
        scene
            .measure(async move {
                let end = Instant::now() + scale.lasts();
                let writers = (0..16).map(|number| {
                    let (body, url) = (body.clone(), format!("{url}/many-{number}?upsert=true"));
                    tokio::spawn(async move {
                        let client = client(number % 4);
                        repeat(end, || {
                            client
                                .put(&url)
                                .header("X-API-Key", API_KEY)
                                .header("X-User-Key", USER_KEY)
                                .header("Content-Type", "application/json")
                                .body(body.clone())
                        })
                        .await
                    })
                });
                let (done, refused) = total(writers).await;
                starving(done, refused)
            })
            .await
    }
}

/// 64 at the same time, from four addresses.
async fn readers(url: &str, until: Instant) -> (usize, usize) {
    let readers = (0..64).map(|number| {
        let url = url.to_owned();
        tokio::spawn(async move {
            let client = client(number % 4);
            repeat(until, || {
                client
                    .get(&url)
                    .header("X-API-Key", API_KEY)
                    .header("X-User-Key", USER_KEY)
            })
            .await
        })
    });
    total(readers).await
}

/// The write and the reads are both part of the attack, one after the other.
async fn read(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let url = format!("{}/configs/many", scene.node.url);
    let body = json!({ "value": members() }).to_string();
    scene
        .measure(async move {
            let put = client(0).put(format!("{url}?upsert=true"));
            let put = put
                .header("X-API-Key", API_KEY)
                .header("X-User-Key", USER_KEY)
                .header("Content-Type", "application/json")
                .body(body);
            let status = put.send().await.unwrap().status();
            assert_eq!(status, StatusCode::CREATED);
            let (done, refused) = readers(&url, Instant::now() + scale.lasts()).await;
            Spoils {
                // Where none is served, the work that is to starve others was not done.
                fault: (done == 0).then(|| "none of them was served".to_owned()),
                ..starving(done, refused)
            }
        })
        .await
}
