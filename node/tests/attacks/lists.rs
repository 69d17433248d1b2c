//! Long lists, which clients ask for again and again.

use futures::FutureExt as _;
use tokio::time::{Instant, sleep};

use crate::{
    Attack,
    honest::USER_KEY,
    http::{client, total},
    node::API_KEY,
    report::{Caller, Figures},
    scene::{Scale, Scene, Spoils},
};

/// Rows of the store that are listed.
const ROWS: (usize, usize) = (5_000, 100_000);

/// The same for rows that the user key does not open.
const CLOSED_ROWS: (usize, usize) = (5_000, 300_000);
/// Rows that the node looks at for one address within a minute.
const ROWS_PER_MINUTE: (usize, usize) = (20_000, 2_000_000);

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
    Attack {
        name: "lists that a user key does not open",
        caller: Caller::ApiKey,
        run: |scale| looked_at(scale, "/configs").boxed(),
    },
    Attack {
        name: "pages that a user key does not open",
        caller: Caller::ApiKey,
        run: |scale| looked_at(scale, "/configs?limit=1").boxed(),
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
                    let client = client(number % 4);
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
            let (listed, refused) = total(listers).await;
            Spoils::note(format!("{rows} rows, {listed} lists, {refused} refused"))
        })
        .await
}

/// One client whose user key opens nothing lists all entries, again and again.
async fn looked_at(scale: Scale, path: &'static str) -> Figures {
    let rows = scale.of(CLOSED_ROWS.0, CLOSED_ROWS.1);
    let per_minute = scale.of(ROWS_PER_MINUTE.0, ROWS_PER_MINUTE.1);
    let setting = per_minute.to_string();
    let scene = Scene::start(scale, &[("OSC_LIST_ROWS_PER_MINUTE", &setting)]).await;
    scene.fill(rows).await;
    let url = scene.node.url.clone();
    scene
        .measure(async move {
            let began = Instant::now();
            let end = began + scale.lasts();
            let client = client(0);
            let get = |path: &str, user_key: &str| {
                client
                    .get(format!("{url}{path}"))
                    .header("X-API-Key", API_KEY)
                    .header("X-User-Key", user_key)
                    .send()
            };
            let (mut listed, mut refused, mut keys, mut looked_at) =
                (0_usize, 0_usize, 0_usize, 0_usize);
            let mut next = None;
            while Instant::now() < end {
                // The node refuses a key that fails too often; the attacker goes on with another key.
                let user_key = format!("a key that opens nothing, {keys}");
                let page = next.take().unwrap_or_else(|| path.to_owned());
                match get(&page, &user_key).await {
                    Ok(answer) if answer.status().is_success() => {
                        listed += 1;
                        let header = |name| answer.headers().get(name)?.to_str().ok();
                        let skipped = header("x-osc-skipped").map(str::parse::<usize>);
                        looked_at += skipped.map_or(0, Result::unwrap);
                        let link = header("link").and_then(|link| link.strip_prefix('<'));
                        next = link.and_then(|link| Some(link.split_once('>')?.0.to_owned()));
                    }
                    _ => {
                        refused += 1;
                        keys += 1;
                        next = Some(page);
                        sleep(std::time::Duration::from_millis(50)).await;
                    }
                }
            }
            // The last list that begins within the limit is finished.
            let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
            let bound = per_minute + per_minute / 60 * seconds + rows;
            Spoils {
                fault: (looked_at > bound)
                    .then(|| format!("{looked_at} rows looked at, {bound} allowed")),
                ..Spoils::note(format!(
                    "{rows} rows, {listed} answers, {refused} refused, {looked_at} rows looked at"
                ))
            }
        })
        .await
}
