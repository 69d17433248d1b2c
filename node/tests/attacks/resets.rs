//! HTTP/2 streams that are opened and reset at once.

use std::collections::VecDeque;

use futures::FutureExt as _;
use tokio::time::Instant;

use crate::{
    Attack,
    honest::{ENTRY, USER_KEY},
    http::{Http2, attacker},
    report::{Caller, Figures},
    scene::{Scale, Scene, Spoils},
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "HTTP/2 streams reset, of assets",
        caller: Caller::Network,
        run: |scale| reset(scale, "/docs/swagger-ui-bundle.js".to_owned()).boxed(),
    },
    Attack {
        name: "HTTP/2 streams reset, of an entry",
        caller: Caller::ApiKey,
        run: |scale| reset(scale, format!("/configs/{ENTRY}")).boxed(),
    },
];

async fn reset(scale: Scale, path: String) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let end = Instant::now() + scale.lasts();
            let attackers = (0..4).map(|number| {
                let path = path.clone();
                tokio::spawn(async move {
                    let (mut streams, mut connections) = (0_usize, 0_usize);
                    while Instant::now() < end {
                        let Ok(mut connection) = Http2::connect(to, attacker(number), 65_535).await
                        else {
                            continue;
                        };
                        connections += 1;
                        let mut under_way = VecDeque::new();
                        while Instant::now() < end && connection.is_open() {
                            let Some(answer) = connection.get(&path, USER_KEY).await else {
                                break;
                            };
                            streams += 1;
                            under_way.push_back(answer);
                            // A request that is dropped before it was sent never leaves this process.
                            tokio::task::yield_now().await;
                            if under_way.len() > 8 {
                                under_way.pop_front();
                            }
                        }
                    }
                    (streams, connections)
                })
            });
            let done = futures::future::join_all(attackers).await;
            let (streams, connections) = done
                .into_iter()
                .map(Result::unwrap)
                .fold((0, 0), |(streams, connections), (more, others)| {
                    (streams + more, connections + others)
                });
            Spoils::note(format!("{streams} on {connections} connections"))
        })
        .await
}
