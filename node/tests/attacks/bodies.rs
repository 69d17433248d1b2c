//! Bodies that do not end, and bodies that come slowly.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::{
    io::AsyncWriteExt,
    time::{interval, sleep},
};

use crate::{
    Attack,
    honest::USER_KEY,
    http::{attacker, connect, head},
    report::{Caller, Figures},
    scene::{Scale, Scene, Spoils},
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "unfinished bodies of 1 MiB",
        caller: Caller::ApiKey,
        run: |scale| unfinished(scale).boxed(),
    },
    Attack {
        name: "bodies sent a byte a second",
        caller: Caller::ApiKey,
        run: |scale| slow(scale).boxed(),
    },
];

async fn unfinished(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let attackers = (0..308).map(|number| {
                tokio::spawn(async move {
                    let mut connection = connect(to, attacker(number % 4)).await.ok()?;
                    let head = head("POST", "/configs", USER_KEY, "Content-Length: 1048576\r\n");
                    connection.write_all(head.as_bytes()).await.ok()?;
                    let text = [
                        b"{\"key\": \"k\", \"value\": \"".as_slice(),
                        &vec![b'x'; 1_048_500],
                    ];
                    connection.write_all(&text.concat()).await.ok()?;
                    Some(connection)
                })
            });
            let attackers = futures::future::join_all(attackers);
            // Where the node stops reading a body, its client waits.
            let sent = tokio::time::timeout(scale.lasts(), attackers).await;
            let sent = sent.map_or(0, |sent| sent.into_iter().flatten().flatten().count());
            sleep(Duration::from_secs(scale.of(2, 10))).await;
            Spoils::note(format!("{sent} of 308 sent whole"))
        })
        .await
}

async fn slow(scale: Scale) -> Figures {
    let scene = Scene::start(scale, &[]).await;
    let to = scene.node.address;
    scene
        .measure(async move {
            let mut held = Vec::new();
            for number in 0..scale.of(500, 2000) {
                let Ok(mut connection) = connect(to, attacker(number % 8)).await else {
                    continue;
                };
                let head = head("POST", "/configs", USER_KEY, "Content-Length: 1048576\r\n");
                if connection.write_all(head.as_bytes()).await.is_ok() {
                    held.push(connection);
                }
            }
            let mut seconds = interval(Duration::from_secs(1));
            for _ in 0..scale.of(4, 20) {
                seconds.tick().await;
                for connection in &mut held {
                    let _ = connection.write_all(b"x").await;
                }
            }
            // Where the node ended a connection, the answer or the end of the stream is in the buffer.
            let ended = held
                .iter()
                .filter(|connection| connection.try_read(&mut [0; 64]).is_ok())
                .count();
            let fault = (scale == Scale::Full && ended < held.len())
                .then(|| format!("{} go on after 20 s", held.len() - ended));
            Spoils {
                note: format!("{} connections, {ended} ended", held.len()),
                fault,
                ..Spoils::default()
            }
        })
        .await
}
