//! How much a guesser with the API key learns of user keys, by every route: 30 guesses a minute and address.

use std::{collections::BTreeMap, fs};

use opensecureconf_node::api::routes;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    disk::{filler, on_a_small_disk},
    every_route::{Ask, asks},
    node::{API_KEY, Answer, Api, OTHER_USER_KEY, TestNode, USER_KEY, client},
    process::Process,
};

const CLUSTER_KEY: &str = "the cluster key of the tests";
const SETTINGS: [(&str, &str); 2] = [
    ("OSC_CLUSTER_KEY", CLUSTER_KEY),
    ("OSC_TRUSTED_PROXIES", "127.0.0.1"),
];

/// A node whose entry `k` is older than its empty key cache.
async fn node_with_entry(more: &[(&str, &str)]) -> TestNode {
    let node = TestNode::start();
    let body = json!({"key": "k", "value": 1});
    node.call(Method::POST, "/configs", Some(body)).await;
    TestNode::start_in(node.stop().await, &[&SETTINGS, more].concat())
}

fn ask_from(node: &Api, from: &str, user_key: &str, ask: &Ask, name: &str) -> RequestBuilder {
    ask.request(node, name)
        .header("X-User-Key", user_key)
        .header("X-Forwarded-For", from)
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

async fn read(node: &Api, client: &Client, from: &str, user_key: &str) -> u16 {
    let request = client
        .get(format!("{}/configs/k", node.url))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", user_key)
        .header("X-Forwarded-For", from);
    status(request).await
}

/// How many keys the node has derived.
async fn derived(node: &TestNode) -> u32 {
    let request = node
        .client
        .get(format!("{}/metrics", node.url))
        .header("X-Cluster-Key", CLUSTER_KEY);
    let page = Answer::of(request.send().await.unwrap()).await.text;
    let name = "osc_key_derivation_duration_seconds_count ";
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().parse().unwrap()
}

/// How many of 80 keys are tried by one route for one address: of each entry name, taken or free.
async fn tried_of_eighty(ask: &Ask, is_taken: bool) -> u32 {
    let node = node_with_entry(&[]).await;
    for n in 0..80 {
        let guess = format!("a guess of the tests, number {n}");
        let name = if is_taken {
            "k".to_owned()
        } else {
            format!("free{n}")
        };
        status(ask_from(&node, "192.0.2.1", &guess, ask, &name)).await;
    }
    let tried = derived(&node).await;
    node.stop().await;
    tried
}

#[tokio::test]
async fn no_route_tries_more_than_thirty_keys_a_minute_for_one_address() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/threat-model.md");
    let page = fs::read_to_string(page).unwrap();
    let (mut rows, mut is_shown) = (String::new(), true);
    for (route, ask) in asks() {
        let (taken, free) = (
            tried_of_eighty(&ask, true).await,
            tried_of_eighty(&ask, false).await,
        );
        for tried in [taken, free] {
            assert!(tried <= 30, "{tried} by {route}, {}", ask.what);
        }
        let row = format!("| `{route}` | {} | {taken} | {free} |\n", ask.what);
        is_shown &= page.contains(&row);
        rows += &row;
    }
    assert!(is_shown, "docs/threat-model.md is to show:\n{rows}");
}

/// All figures of keys, but for times, as the cluster key shows them.
async fn figures_of_keys(node: &Api) -> BTreeMap<String, u64> {
    let request = node
        .client
        .get(format!("{}/metrics", node.url))
        .header("X-Cluster-Key", CLUSTER_KEY);
    let page = Answer::of(request.send().await.unwrap()).await.text;
    let of_keys = page.lines().filter(|line| {
        let counted = ["osc_key_", "osc_auth_"];
        let timed = ["_bucket", "_sum"];
        counted.iter().any(|begin| line.starts_with(begin))
            && !timed.iter().any(|part| line.contains(part))
    });
    let figures = of_keys.map(|line| line.rsplit_once(' ').unwrap());
    figures
        .map(|(name, figure)| (name.to_owned(), figure.parse().unwrap()))
        .collect()
}

/// What a client gets for a create of the taken name `k`; its figures of keys stay as they were.
async fn answer_for_a_taken_name(
    node: &Api,
    from: &str,
    user_key: &str,
    ask: &Ask,
) -> (u16, Vec<String>, String) {
    let before = figures_of_keys(node).await;
    let request = ask_from(node, from, user_key, ask, "k");
    let answer = Answer::of(request.send().await.unwrap()).await;
    let after = figures_of_keys(node).await;
    assert_eq!(
        before, after,
        "{}: the key is looked for, derived or charged",
        ask.what
    );
    let mut headers: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
    headers.sort_unstable();
    (answer.status.as_u16(), headers, answer.text)
}

/// The ways to create an entry.
fn creates() -> impl Iterator<Item = Ask> {
    let asks = asks().into_iter().map(|(_, ask)| ask);
    asks.filter(|ask| ask.what.contains("create"))
}

#[tokio::test]
async fn a_create_of_a_taken_name_goes_one_way_whatever_the_cache_knows_of_its_key() {
    const CREATED: &str = "a key of the tests that only creates";
    let node = node_with_entry(&[]).await;
    let (here, elsewhere) = ("192.0.2.1", "192.0.2.2");
    // Another client of the same address: its key is in the cache there, and exempt.
    let holder = client();
    for _ in 0..2 {
        assert_eq!(read(&node, &holder, here, USER_KEY).await, 200);
    }
    let mine = holder
        .post(format!("{}/configs", node.url))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", CREATED)
        .header("X-Forwarded-For", here)
        .json(&json!({"key": "mine", "value": 1}));
    assert_eq!(status(mine).await, 201);
    let mut ways = 0;
    for ask in creates() {
        for from in [here, elsewhere] {
            let [right, created, wrong] = [USER_KEY, CREATED, OTHER_USER_KEY]
                .map(|key| answer_for_a_taken_name(&node, from, key, &ask));
            let wrong = wrong.await;
            assert!(wrong.2.contains("exists"), "{}", wrong.2);
            assert_eq!(right.await, wrong, "{} from {from}", ask.what);
            assert_eq!(created.await, wrong, "{} from {from}", ask.what);
        }
        ways += 1;
    }
    assert_eq!(ways, 3);
    node.stop().await;
}

#[tokio::test]
async fn where_nothing_is_written_a_taken_name_answers_as_ever_whatever_the_cache_knows_of_the_key()
{
    let folder = TempDir::new().unwrap();
    let process = on_a_small_disk(&folder, &SETTINGS);
    let node = Api::at(process.url.clone());
    let body = json!({"key": "k", "value": 1});
    node.call(Method::POST, "/configs", Some(body)).await;
    // Less than a tenth of it stays free.
    fs::write(filler(&process, &folder), vec![0; 29 << 18]).unwrap();
    let (here, holder) = ("192.0.2.1", client());
    for _ in 0..2 {
        assert_eq!(read(&node, &holder, here, USER_KEY).await, 200);
    }
    let free = holder
        .post(format!("{}/configs", node.url))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", USER_KEY)
        .header("X-Forwarded-For", "192.0.2.3")
        .json(&json!({"key": "free", "value": 1}));
    assert_eq!(status(free).await, 507);
    for ask in creates() {
        let right = answer_for_a_taken_name(&node, here, USER_KEY, &ask).await;
        let wrong = answer_for_a_taken_name(&node, here, OTHER_USER_KEY, &ask).await;
        assert_eq!(right, wrong, "{}", ask.what);
    }
}

/// What a client without the cluster key sees, by what it asks for: each answer of a route that takes no user key, and each
/// figure of the metrics that stays the same while nothing happens.
async fn shown_to_any_client(node: &TestNode) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    let takes_user_keys = |path: &str| {
        ["/configs", "/cluster/configs", "/cluster/conflicts"]
            .iter()
            .any(|begin| path.starts_with(begin))
    };
    let reads = routes()
        .into_iter()
        .filter(|(method, path)| *method == Method::GET && !takes_user_keys(path))
        .map(|(_, path)| path.replace("{file}", "index.html"));
    for path in reads.chain(["/cluster/status?details=true".to_owned()]) {
        for api_key in [None, Some(API_KEY)] {
            let mut request = node.client.get(format!("{}{path}", node.url));
            if let Some(api_key) = api_key {
                request = request.header("X-API-Key", api_key);
            }
            let answer = Answer::of(request.send().await.unwrap()).await;
            let asked = format!("{path} ({api_key:?})");
            for (name, value) in &answer.headers {
                if !["content-length", "date", "x-request-id"].contains(&name.as_str()) {
                    let value = value.to_str().unwrap().to_owned();
                    shown.insert(format!("{asked}, {name}"), value);
                }
            }
            shown.insert(format!("{asked}, status"), answer.status.to_string());
            if path != "/metrics" {
                shown.insert(asked, answer.text);
            }
        }
    }
    shown
}

/// Figures of the metrics for any client, but for times and sizes, which change by themselves.
async fn public_figures(node: &TestNode) -> BTreeMap<String, i64> {
    let page = node.call(Method::GET, "/metrics", None).await.text;
    let by_themselves = ["process_", "_seconds", "_bytes", "osc_store_writes_waiting"];
    let figures = page.lines().filter(|line| {
        !line.starts_with('#') && !by_themselves.iter().any(|part| line.contains(part))
    });
    figures
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, figure)| (name.to_owned(), figure.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn without_the_cluster_key_no_answer_shows_how_many_keys_are_derived_or_cached() {
    const READS: u8 = 20;
    let node = node_with_entry(&[]).await;
    let here = "192.0.2.1";
    assert_eq!(read(&node, &node.client, here, USER_KEY).await, 200);
    let (shown, derived_before) = (shown_to_any_client(&node).await, derived(&node).await);
    let mut counted = Vec::new();
    // From the cache, and then with a derivation each.
    for from in ["192.0.2.1", "198.51.100."] {
        let before = public_figures(&node).await;
        for n in 0..READS {
            let from = match from.strip_suffix('.') {
                Some(network) => format!("{network}.{n}"),
                None => from.to_owned(),
            };
            assert_eq!(read(&node, &node.client, &from, USER_KEY).await, 200);
        }
        let mut after = public_figures(&node).await;
        for (name, figure) in &mut after {
            *figure -= before.get(name).copied().unwrap_or_default();
        }
        counted.push(after);
    }
    assert_eq!(derived(&node).await, derived_before + u32::from(READS));
    assert_eq!(counted[0], counted[1], "cached, and derived");
    // Those that are turned away, too.
    for n in 0..40 {
        let guess = format!("a guess of the tests, number {n}");
        read(&node, &node.client, "192.0.2.2", &guess).await;
    }
    assert_eq!(read(&node, &node.client, "192.0.2.2", USER_KEY).await, 429);
    assert_eq!(shown_to_any_client(&node).await, shown);
    for of_keys in figures_of_keys(&node).await.into_keys() {
        let is_public = public_figures(&node).await.contains_key(&of_keys);
        assert_eq!(
            is_public,
            of_keys.starts_with("osc_auth_failures_total"),
            "{of_keys}"
        );
    }
    node.stop().await;
}

#[tokio::test]
async fn a_key_is_exempt_only_at_the_address_where_it_opened_something() {
    let node = node_with_entry(&[("OSC_AUTH_FAILURES_PER_MINUTE", "3")]).await;
    let (holder, guesser) = ("192.0.2.1", "192.0.2.2");
    assert_eq!(read(&node, &node.client, holder, USER_KEY).await, 200);
    for from in [holder, guesser] {
        for n in 0..3 {
            let guess = format!("a guess of the tests, number {n}");
            assert_eq!(read(&node, &node.client, from, &guess).await, 403);
        }
    }
    assert_eq!(
        read(&node, &node.client, guesser, USER_KEY).await,
        429,
        "that its holder works says nothing here"
    );
    assert_eq!(read(&node, &node.client, holder, USER_KEY).await, 200);
    node.stop().await;
}

#[tokio::test]
async fn where_holder_and_guesser_share_an_address_a_flood_leaves_open_connections_alone() {
    let node = node_with_entry(&[("OSC_AUTH_FAILURES_PER_MINUTE", "1")]).await;
    let from = "192.0.2.1";
    let (holder, guesser) = (client(), client());
    assert_eq!(read(&node, &holder, from, USER_KEY).await, 200);
    // The node forgives refusals with time: enough tries for a slow machine.
    for n in 0..150 {
        let guesses = (0..20).map(|m| {
            let guess = format!("a guess of the tests, number {n}, {m}");
            let (node, guesser) = (&node, &guesser);
            async move { read(node, guesser, from, &guess).await }
        });
        for status in futures::future::join_all(guesses).await {
            assert!(matches!(status, 403 | 429));
        }
    }
    assert_eq!(
        read(&node, &guesser, from, USER_KEY).await,
        429,
        "the right key is one guess more"
    );
    assert_eq!(read(&node, &holder, from, USER_KEY).await, 200);
    node.stop().await;
}

#[tokio::test]
async fn keys_are_prepared_for_guessing_no_faster_than_they_are_guessed() {
    let node = node_with_entry(&[]).await;
    let mut prepared = 0;
    for n in 0..80 {
        let guess = format!("a guess of the tests, number {n}");
        let (method, body) = (Method::POST, json!({"key": format!("mine{n}"), "value": 1}));
        let create = node.call_as(&guess, method, "/configs", Some(body)).await;
        if create.status != 201 {
            assert_eq!(create.status, 429);
            continue;
        }
        let path = format!("/configs/mine{n}");
        let own = node.call_as(&guess, Method::GET, &path, None).await;
        prepared += u32::from(own.status == 200);
        // A delete leaves a trace in the log, and counts as a guess all the same.
        node.call_as(&guess, Method::DELETE, &path, None).await;
    }
    assert!((25..=30).contains(&prepared), "{prepared}");
    node.stop().await;
}

#[tokio::test]
async fn a_new_key_creates_as_much_as_it_likes_and_counts_once() {
    let node = node_with_entry(&[("OSC_AUTH_FAILURES_PER_MINUTE", "2")]).await;
    for n in 0..40 {
        let body = json!({"key": format!("mine{n}"), "value": 1});
        let create = node.call_as(OTHER_USER_KEY, Method::POST, "/configs", Some(body));
        assert_eq!(create.await.status, 201);
    }
    assert_eq!(derived(&node).await, 40, "each waits as a first one does");
    for _ in 0..5 {
        let own = node.call_as(OTHER_USER_KEY, Method::GET, "/configs/mine0", None);
        assert_eq!(own.await.status, 200);
    }
    let body = json!({"key": "one more", "value": 1});
    let create = node.call_as(OTHER_USER_KEY, Method::POST, "/configs", Some(body));
    assert_eq!(create.await.status, 201);
    assert_eq!(
        derived(&node).await,
        41,
        "from its first read on it is known"
    );
    node.stop().await;
}

#[tokio::test]
async fn a_request_that_goes_away_counts_and_is_derived_for_no_longer() {
    let folder = TempDir::new().unwrap();
    // The real number of rounds, so that they wait.
    let node = Process::start(folder.path(), &SETTINGS);
    let client = client();
    let list = |from: &str, key: &str| {
        client
            .get(format!("{}/configs", node.url))
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", key)
            .header("X-Forwarded-For", from)
    };
    let waiting = async || {
        let owner = client
            .get(format!("{}/metrics", node.url))
            .header("X-Cluster-Key", CLUSTER_KEY);
        let page = owner.send().await.unwrap().text().await.unwrap();
        let name = "osc_key_derivations_waiting ";
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse::<usize>().unwrap()
    };
    let guesser = "192.0.2.1";
    let mut aborted = JoinSet::new();
    for n in 0..30 {
        let key = format!("a guess of the tests, number {n}");
        aborted.spawn(list(guesser, &key).send());
    }
    let mut most = 0;
    while most < 10 {
        most = waiting().await.max(most);
    }
    aborted.shutdown().await;
    let mut last = 0;
    for n in 0..25 {
        let key = format!("one more of the tests, number {n}");
        last = status(list(guesser, &key)).await;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429, "what was aborted counts");
    let mut honest = JoinSet::new();
    for n in 0..22 {
        let key = format!("an honest new key, number {n}");
        honest.spawn(list("198.51.100.1", &key).send());
    }
    for answer in honest.join_all().await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    node.kill();
}
