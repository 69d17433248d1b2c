//! Requests with large bodies, refused before the node reads the body.

use futures::FutureExt as _;
use tokio::time::Instant;

use crate::{
    Attack,
    http::{attacker, connect, exchange},
    report::{Caller, Figures},
    scene::{Scale, Scene, Spoils},
};

pub(crate) const ATTACKS: &[Attack] = &[Attack {
    name: "refused requests with bodies of 1 MiB",
    caller: Caller::Network,
    run: |scale| refused(scale).boxed(),
}];

/// Heads that are refused for another reason each.
const HEADS: &[&str] = &[
    "POST /configs HTTP/1.1\r\nHost: node\r\nX-API-Key: wrong\r\nX-User-Key: 12345678\r\n",
    "POST /nowhere HTTP/1.1\r\nHost: node\r\n",
    "POST /health HTTP/1.1\r\nHost: node\r\n",
    "PUT /configs/k HTTP/1.1\r\nHost: node\r\n",
];

async fn refused(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let end = Instant::now() + scale.lasts();
            let body = vec![b'x'; 1 << 20];
            let attackers = (0..64_usize).map(|number| {
                let head = HEADS[number % HEADS.len()];
                let length = format!("Content-Length: {}\r\n\r\n", body.len());
                let request = [head.as_bytes(), length.as_bytes(), &body].concat();
                tokio::spawn(async move {
                    let (mut answered, mut broken) = (0_usize, 0_usize);
                    while Instant::now() < end {
                        let Ok(mut connection) = connect(to, attacker(number % 4)).await else {
                            continue;
                        };
                        while Instant::now() < end {
                            let Ok(answer) = exchange(&mut connection, &request).await else {
                                broken += 1;
                                break;
                            };
                            answered += 1;
                            if answer.closes {
                                break;
                            }
                        }
                    }
                    (answered, broken)
                })
            });
            let done = futures::future::join_all(attackers).await;
            let (answered, broken) = done
                .into_iter()
                .map(Result::unwrap)
                .fold((0, 0), |(answered, broken), (more, others)| {
                    (answered + more, broken + others)
                });
            Spoils::note(format!("{answered} refused, {broken} without an answer"))
        })
        .await
}
