//! Wrong API keys, thousands in a second, and then the right one.

use futures::FutureExt as _;
use tokio::time::Instant;

use crate::{
    Attack,
    http::{attacker, connect, exchange, head},
    report::{Caller, Figures, Learned},
    scene::{Scale, Scene, Spoils},
};

/// How many guesses the node compares for one address within a minute.
const BOUND: usize = 1000;
const GUESSES: usize = 5000;

pub(crate) const ATTACKS: &[Attack] = &[Attack {
    name: "wrong API keys, then the right one",
    caller: Caller::Network,
    run: |scale| guess(scale).boxed(),
}];

async fn guess(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let began = Instant::now();
            let from = attacker(0);
            let guessers = (0..16).map(|guesser| {
                tokio::spawn(async move {
                    let mut connection = connect(to, from).await.unwrap();
                    for number in (guesser..GUESSES).step_by(16) {
                        let request = format!(
                            "GET /configs HTTP/1.1\r\nHost: node\r\nX-API-Key: guess number {number} of many\r\nX-User-Key: 12345678\r\n\r\n"
                        );
                        let answer = exchange(&mut connection, request.as_bytes()).await;
                        if answer.is_err() || answer.is_ok_and(|answer| answer.closes) {
                            connection = connect(to, from).await.unwrap();
                        }
                    }
                })
            });
            futures::future::join_all(guessers).await;
            let rate = GUESSES as f64 / began.elapsed().as_secs_f64();
            // Where the answer tells the right key from a wrong one, every guess before it was worth something.
            let mut connection = connect(to, from).await.unwrap();
            let right = head("GET", "/cluster/status", "", "");
            let right = exchange(&mut connection, right.as_bytes()).await.unwrap();
            let compared = if right.status == 429 { BOUND } else { GUESSES };
            Spoils {
                learned: Some(Learned {
                    count: compared,
                    bound: BOUND,
                }),
                note: format!("{GUESSES} at {rate:.0}/s, then {}", right.status),
                ..Spoils::default()
            }
        })
        .await
}
