//! Wrong API keys, thousands in a second, and right ones among them.

use std::net::SocketAddr;

use futures::FutureExt as _;
use tokio::time::Instant;

use crate::{
    Attack,
    http::{attacker, connect, exchange},
    node::API_KEY,
    report::{Caller, Figures, Learned},
    scene::{Scale, Scene, Spoils},
};

/// How many guesses the node compares for one address within a minute.
const BOUND: usize = 1000;
const GUESSES: usize = 5000;
/// One guess of so many is one of the node's keys, each time another one: a key that was accepted once is compared ever after.
const SPACING: usize = 25;
/// Guesses that the node forgave meanwhile may be right ones by chance.
const CHANCE: usize = 10 * SPACING;

pub(crate) const ATTACKS: &[Attack] = &[Attack {
    name: "wrong API keys, with right ones among them",
    caller: Caller::Network,
    run: |scale| guess(scale).boxed(),
}];

/// The guess with this number, and whether it is right.
fn key(number: usize) -> (String, bool) {
    if number % SPACING == SPACING - 1 {
        (format!("right key number {number} of many"), true)
    } else {
        (format!("guess number {number} of many"), false)
    }
}

/// Guesses on one connection after another; gives how many right keys were told from wrong ones.
async fn guesses(to: SocketAddr, numbers: impl Iterator<Item = usize>) -> usize {
    let from = attacker(0);
    let mut connection = connect(to, from).await.unwrap();
    let mut told = 0;
    for number in numbers {
        let (key, is_right) = key(number);
        let request =
            format!("GET /cluster/status HTTP/1.1\r\nHost: node\r\nX-API-Key: {key}\r\n\r\n");
        let answer = exchange(&mut connection, request.as_bytes()).await;
        told += usize::from(is_right && answer.as_ref().is_ok_and(|answer| answer.status == 200));
        if answer.is_err() || answer.is_ok_and(|answer| answer.closes) {
            connection = connect(to, from).await.unwrap();
        }
    }
    told
}

async fn guess(scale: Scale) -> Figures {
    let keys: String = std::iter::once(API_KEY.to_owned())
        .chain(
            (0..GUESSES)
                .map(key)
                .filter_map(|(key, is_right)| is_right.then_some(key)),
        )
        .map(|key| key + "\n")
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), keys).unwrap();
    let settings = [
        ("OSC_API_KEY", ""),
        ("OSC_API_KEY_FILE", file.path().to_str().unwrap()),
    ];
    let scene = Scene::start(scale, &settings).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let began = Instant::now();
            let guessers =
                (0..16).map(|guesser| tokio::spawn(guesses(to, (guesser..GUESSES).step_by(16))));
            let told = futures::future::join_all(guessers).await;
            let told: usize = told.into_iter().map(Result::unwrap).sum();
            let took = began.elapsed();
            let forgiven = BOUND * usize::try_from(took.as_secs() + 1).unwrap() / 60;
            Spoils {
                learned: Some(Learned {
                    count: told * SPACING,
                    bound: BOUND + forgiven + CHANCE,
                }),
                note: format!(
                    "{GUESSES} at {:.0}/s, {told} of {} right ones told",
                    GUESSES as f64 / took.as_secs_f64(),
                    GUESSES / SPACING
                ),
                // Where none is told, the attack measures nothing.
                fault: (told < BOUND / SPACING / 2).then(|| format!("only {told} right keys told")),
                ..Spoils::default()
            }
        })
        .await
}
