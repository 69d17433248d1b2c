//! What the disk reveals to an attacker who reads it, and what the node accepts from one who writes to it.

use std::path::Path;

use futures::FutureExt as _;
use reqwest::{Client, Method};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{
    Attack,
    honest::USER_KEY,
    node::API_KEY,
    report::{Caller, Figures, Learned},
    scene::{Scale, Scene},
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "deleted values in the files after a stop",
        caller: Caller::Disk,
        run: |scale| deleted(scale).boxed(),
    },
    Attack {
        name: "two ciphertexts exchanged, hashes left alone",
        caller: Caller::Disk,
        run: |scale| exchanged(scale).boxed(),
    },
];

const ENTRIES: usize = 30;

async fn filled(scale: Scale) -> Scene {
    let scene = Scene::start(scale, &[]).await;
    for number in 0..ENTRIES {
        scene
            .create(&format!("k{number}"), &json!(format!("value {number}")))
            .await;
    }
    scene
}

fn tokens(folder: &Path) -> Vec<String> {
    let database = Connection::open(folder.join("configurations.db")).unwrap();
    let mut statement = database
        .prepare("SELECT token FROM entries WHERE key LIKE 'k%' AND token IS NOT NULL")
        .unwrap();
    let tokens = statement.query_map([], |row| row.get(0)).unwrap();
    tokens.map(Result::unwrap).collect()
}

/// Ciphertext is base64 in the file, or the bytes that it stands for.
fn holds(file: &[u8], token: &str) -> bool {
    // A part from the middle: a page border may cut a token in two.
    let part = &token.as_bytes()[20..60];
    file.windows(part.len()).any(|window| window == part)
}

async fn deleted(scale: Scale) -> Figures {
    let scene = filled(scale).await;
    let before = tokens(scene.node.folder.path());
    assert_eq!(before.len(), ENTRIES);
    for number in 0..ENTRIES {
        let gone = call(&scene, Method::DELETE, number).await;
        assert!(gone.0 < 300, "{gone:?}");
    }
    let folder = scene.node.stop().await;
    let files: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    let left = before
        .iter()
        .filter(|token| files.iter().any(|file| holds(file, token)));
    let left = left.count();
    Figures {
        learned: Some(Learned {
            count: left,
            bound: 0,
        }),
        note: format!("{left} of {ENTRIES}"),
        ..Figures::default()
    }
}

async fn exchanged(scale: Scale) -> Figures {
    let scene = filled(scale).await;
    let exchange = |folder: &Path| {
        let database = Connection::open(folder.join("configurations.db")).unwrap();
        database
            .execute_batch(
                "CREATE TEMP TABLE two AS SELECT key, token FROM entries WHERE key IN ('k0', 'k1');
                 UPDATE entries SET token = (SELECT token FROM two WHERE two.key <> entries.key) WHERE key IN ('k0', 'k1');",
            )
            .unwrap();
    };
    let scene = Scene {
        node: scene.node.restart_after(exchange).await,
        scale,
    };
    // What a value of the other entry would look like, by every route that opens it.
    let row =
        |op: &str, number: usize| json!([{"op": op, "key": format!("k{number}"), "value": 1}]);
    let mut served = Vec::new();
    let mut statuses = Vec::new();
    for number in 0..2 {
        let other = format!("\"value {}\"", 1 - number);
        let own = format!("/configs/k{number}");
        for (method, path, body) in [
            (Method::GET, own.as_str(), None),
            (Method::PUT, own.as_str(), Some(json!({"value": 1}))),
            (Method::DELETE, own.as_str(), None),
            (Method::POST, "/configs/batch", Some(row("update", number))),
            (Method::POST, "/configs/batch", Some(row("delete", number))),
            (Method::GET, "/configs", None),
            (Method::GET, "/configs?limit=1000", None),
            (Method::GET, "/cluster/configs", None),
        ] {
            let (status, text) = ask(&scene, &method, path, body).await;
            // A row of a batch has its own status; a list passes the entry over.
            let refuses = match path {
                path if path == own => status == 500,
                "/configs/batch" => text.contains("\"status\":500"),
                _ => status == 200 && text.contains("\"value 29\""),
            };
            if !refuses || text.contains(&other) {
                served.push(format!("{method} {path}: {status} {text:.200}"));
            }
            statuses.push(status.to_string());
        }
    }
    Figures {
        learned: Some(Learned {
            count: served.len(),
            bound: 0,
        }),
        note: format!("answers {}", statuses.join(", ")),
        fault: (!served.is_empty()).then(|| served.join("; ")),
        ..Figures::default()
    }
}

async fn ask(scene: &Scene, method: &Method, path: &str, body: Option<Value>) -> (u16, String) {
    let mut request = Client::new()
        .request(method.clone(), format!("{}{path}", scene.node.url))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", USER_KEY);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.text().await.unwrap())
}

async fn call(scene: &Scene, method: Method, number: usize) -> (u16, Value) {
    let request = Client::new()
        .request(method, format!("{}/configs/k{number}", scene.node.url))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", USER_KEY);
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}
