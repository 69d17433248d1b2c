//! Long lists, asked for again and again.

use futures::FutureExt as _;
use reqwest::Client;
use tokio::time::{Instant, sleep};

use crate::{
    Attack,
    honest::USER_KEY,
    http::attacker,
    node::API_KEY,
    report::{Caller, Figures},
    scene::{Scale, Scene, Spoils},
};

/// Rows of the store that are listed; 100,000 in the whole form.
const ROWS: (usize, usize) = (5_000, 100_000);

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "lists of all entries by 16",
        caller: Caller::ApiKey,
        run: |scale| listed(scale, "/configs").boxed(),
    },
    Attack {
        name: "lists that find nothing by 16",
        caller: Caller::ApiKey,
        run: |scale| listed(scale, "/configs?category=none&limit=1").boxed(),
    },
];

async fn listed(scale: Scale, path: &'static str) -> Figures {
    let rows = scale.of(ROWS.0, ROWS.1);
    let scene = Scene::start(scale, &[]).await;
    scene.fill(rows).await;
    let url = format!("{}{path}", scene.node.url);
    scene
        .measure(async move {
            let end = Instant::now() + scale.lasts();
            let listers = (0..16).map(|number| {
                let url = url.clone();
                tokio::spawn(async move {
                    let client = Client::builder()
                        .no_proxy()
                        .local_address(std::net::IpAddr::from(attacker(number % 4)))
                        .build()
                        .unwrap();
                    let (mut listed, mut refused) = (0_usize, 0_usize);
                    while Instant::now() < end {
                        let request = client
                            .get(&url)
                            .header("X-API-Key", API_KEY)
                            .header("X-User-Key", USER_KEY);
                        match request.send().await {
                            Ok(mut answer) if answer.status().is_success() => {
                                while let Ok(Some(_)) = answer.chunk().await {
                                    if Instant::now() > end {
                                        break;
                                    }
                                }
                                listed += 1;
                            }
                            _ => {
                                refused += 1;
                                sleep(std::time::Duration::from_millis(50)).await;
                            }
                        }
                    }
                    (listed, refused)
                })
            });
            let done = futures::future::join_all(listers).await;
            let (listed, refused) = done
                .into_iter()
                .map(Result::unwrap)
                .fold((0, 0), |(listed, refused), (more, others)| {
                    (listed + more, refused + others)
                });
            Spoils::note(format!("{rows} rows, {listed} lists, {refused} refused"))
        })
        .await
}
