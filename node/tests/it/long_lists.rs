//! Lists of stores that are larger than one client's list budget.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use opensecureconf_node::config::Timeouts;
use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use crate::node::{API_KEY, Answer, OTHER_USER_KEY, TestNode, USER_KEY};

/// Clients may be as slow as a test wants.
const PATIENT: Timeouts = Timeouts {
    headers: Duration::from_mins(1),
    body: Duration::from_mins(1),
    message: Duration::from_mins(1),
    stall: Duration::from_mins(1),
    list: Duration::from_mins(1),
    idle: Duration::from_mins(1),
    age: Duration::from_mins(1),
    rest: Duration::from_secs(1),
    ..Timeouts::DEFAULT
};

fn start(settings: &[(&str, &str)]) -> TestNode {
    TestNode::start_with(TempDir::new().unwrap(), settings, PATIENT)
}

async fn create(node: &TestNode, user_key: &str, key: &str, value: &Value) {
    let body = json!({"key": key, "value": value});
    let created = node.call_as(user_key, Method::POST, "/configs", Some(body));
    assert_eq!(created.await.status, 201);
}

/// Entries that are together larger than all buffers between the node and its client.
async fn fill_with_large_values(node: &TestNode) {
    for n in 0..14 {
        let value = json!("x".repeat(900_000));
        create(node, USER_KEY, &format!("large{n:02}"), &value).await;
    }
}

fn keys(answer: &Answer) -> Vec<String> {
    let entries = answer.json();
    let key = |entry: &Value| entry["key"].as_str().unwrap().to_owned();
    entries.as_array().unwrap().iter().map(key).collect()
}

fn next(answer: &Answer) -> Option<String> {
    let (url, _) = answer
        .header("link")?
        .strip_prefix('<')?
        .split_once("; rel=")?;
    Some(url.trim_end_matches('>').to_owned())
}

fn skipped(answer: &Answer) -> usize {
    answer
        .header("x-osc-skipped")
        .map_or(0, |count| count.parse().unwrap())
}

async fn metric(node: &TestNode, name: &str) -> f64 {
    let metrics = node.call(Method::GET, "/metrics", None).await;
    let line = metrics.text.lines().find(|line| line.starts_with(name));
    line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// A client that has asked for a list and reads nothing of it yet.
async fn ask_and_wait(node: &TestNode, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = node.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut client = socket.connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: node\r\nX-API-Key: {API_KEY}\r\nX-User-Key: {USER_KEY}\r\nConnection: close\r\n\r\n"
    );
    client.write_all(request.as_bytes()).await.unwrap();
    client.peek(&mut [0; 1]).await.unwrap();
    client
}

async fn rest(mut client: TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = client.read_to_end(&mut bytes);
    // A connection that is reset ends too.
    let _ = timeout(Duration::from_mins(1), read).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_page_looks_at_so_many_rows_and_who_follows_its_link_gets_everything_once() {
    let node = start(&[("OSC_LIST_PAGE_ROWS", "10")]);
    let mut own = Vec::new();
    for n in 0..60 {
        let key = format!("entry{n:02}");
        if n >= 25 && n % 4 == 0 {
            create(&node, USER_KEY, &key, &json!(n)).await;
            own.push(key);
        } else {
            create(&node, OTHER_USER_KEY, &key, &json!(n)).await;
        }
    }
    for query in ["limit=2", "limit=5&keys_only=true", "limit=1000"] {
        let (mut path, mut pages, mut listed) =
            (Some(format!("/configs?{query}")), Vec::new(), Vec::new());
        while let Some(here) = path {
            let page = node.call(Method::GET, &here, None).await;
            assert_eq!(page.status, 200, "{query}");
            listed.extend(keys(&page));
            path = next(&page);
            pages.push((keys(&page).len(), skipped(&page)));
        }
        assert_eq!(listed, own, "{query}");
        assert_eq!(pages[..2], [(0, 10), (0, 10)], "{query}");
        assert!(pages.iter().all(|(own, others)| own + others <= 10));
        let all: usize = pages.iter().map(|(_, others)| others).sum();
        assert_eq!(all, 60 - own.len(), "{query}");
    }
    assert!(metric(&node, "osc_list_rows_total").await >= 180.0);
    node.stop().await;
}

#[tokio::test]
async fn rows_of_another_category_are_looked_at_too() {
    let node = start(&[("OSC_LIST_PAGE_ROWS", "10")]);
    for n in 0..25 {
        create(&node, USER_KEY, &format!("entry{n:02}"), &json!(n)).await;
    }
    let body = json!({"key": "last", "value": 1, "category": "wanted"});
    node.call(Method::POST, "/configs", Some(body)).await;
    let mut path = Some("/configs?category=wanted&limit=3".to_owned());
    let mut pages = Vec::new();
    while let Some(here) = path {
        let page = node.call(Method::GET, &here, None).await;
        assert_eq!(skipped(&page), 0, "they are none of the category");
        pages.push(keys(&page));
        path = next(&page);
    }
    assert_eq!(pages, [vec![], vec![], vec!["last".to_owned()]]);
    node.stop().await;
}

#[tokio::test]
async fn a_link_does_not_tell_the_names_of_what_the_key_does_not_open() {
    let node = start(&[("OSC_LIST_PAGE_ROWS", "1")]);
    create(&node, OTHER_USER_KEY, "a-name-of-others", &json!(1)).await;
    create(&node, USER_KEY, "mine", &json!(1)).await;
    let page = node.call(Method::GET, "/configs?limit=1", None).await;
    let link = next(&page).unwrap();
    let (_, cursor) = link.rsplit_once("after=").unwrap();
    let cursor = cursor.replace("%3D", "");
    let decoded = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
    assert!(!String::from_utf8_lossy(&decoded).contains("name-of"));
    let second = node.call(Method::GET, &link, None).await;
    assert_eq!(keys(&second), ["mine"]);
    let forged = URL_SAFE_NO_PAD.encode(r#"["","a"]"#);
    let forged = format!("/configs?limit=1&after={forged}");
    assert_eq!(node.call(Method::GET, &forged, None).await.status, 422);
    node.stop().await;
}

#[tokio::test]
async fn empty_pages_do_not_count_as_wrong_keys_one_by_one() {
    let node = start(&[("OSC_LIST_PAGE_ROWS", "1")]);
    for n in 0..40 {
        create(&node, OTHER_USER_KEY, &format!("entry{n:02}"), &json!(n)).await;
    }
    create(&node, USER_KEY, "mine", &json!(1)).await;
    let folder = node.stop().await;
    // A node that has not seen the key open an entry.
    let node = TestNode::start_with(folder, &[("OSC_LIST_PAGE_ROWS", "1")], PATIENT);
    let (mut path, mut listed) = (Some("/configs?limit=9".to_owned()), Vec::new());
    while let Some(here) = path {
        let page = node.call(Method::GET, &here, None).await;
        assert_eq!(page.status, 200, "{}", page.text);
        listed.extend(keys(&page));
        path = next(&page);
    }
    assert_eq!(listed, ["mine"]);
    let failures = metric(&node, "osc_auth_failures_total{key=\"user_key\"}").await;
    assert!((failures - 1.0).abs() < 0.1, "{failures}");
    node.stop().await;
}

#[tokio::test]
async fn an_address_that_has_looked_at_too_many_rows_waits() {
    let node = start(&[("OSC_LIST_ROWS_PER_MINUTE", "50")]);
    for n in 0..30 {
        create(&node, USER_KEY, &format!("entry{n:02}"), &json!(n)).await;
    }
    for _ in 0..2 {
        assert_eq!(node.call(Method::GET, "/configs", None).await.status, 200);
    }
    for path in [
        "/configs",
        "/configs?limit=1",
        "/cluster/configs",
        "/cluster/conflicts",
    ] {
        let refused = node.call(Method::GET, path, None).await;
        assert_eq!(refused.status, 429, "{path}");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=61).contains(&wait), "{wait}");
        let detail = "Too many rows were listed from this address; try again later";
        assert_eq!(refused.json(), json!({ "detail": detail }));
    }
    let one = node.call(Method::GET, "/configs/entry00", None).await;
    assert_eq!(one.status, 200, "only lists wait");
    let refusals = metric(&node, "osc_list_refusals_total{reason=\"rows\"}").await;
    assert!(refusals >= 4.0);
    node.stop().await;
}

#[tokio::test]
async fn one_address_has_one_list_without_limit_at_a_time() {
    let node = start(&[("OSC_LIST_PAGE_ROWS", "5")]);
    fill_with_large_values(&node).await;
    let slow = ask_and_wait(&node, "/configs").await;
    let began = Instant::now();
    let second = node.call(Method::GET, "/configs", None).await;
    assert_eq!(second.status, 429);
    assert!(began.elapsed() >= Duration::from_secs(5), "it waits first");
    assert_eq!(second.header("retry-after"), Some("5"));
    let detail = "Another list is being made for this address; try again, or ask for pages (limit)";
    assert_eq!(second.json(), json!({ "detail": detail }));
    let page = node
        .call(Method::GET, "/configs?limit=1&keys_only=true", None)
        .await;
    assert_eq!(page.status, 200, "pages go on");
    let refusals = metric(&node, "osc_list_refusals_total{reason=\"at_once\"}").await;
    assert!((refusals - 1.0).abs() < 0.1);
    assert!(rest(slow).await.ends_with("0\r\n\r\n"));
    let names = node
        .call(Method::GET, "/configs?keys_only=true", None)
        .await;
    assert_eq!(keys(&names).len(), 14, "its turn has come");
    node.stop().await;
}

#[tokio::test]
async fn lists_without_limit_of_a_small_store_are_made_side_by_side() {
    let node = start(&[]);
    fill_with_large_values(&node).await;
    let slow = ask_and_wait(&node, "/configs").await;
    let second = node
        .call(Method::GET, "/configs?keys_only=true", None)
        .await;
    assert_eq!(second.status, 200);
    drop(slow);
    node.stop().await;
}

#[tokio::test]
async fn a_long_list_keeps_no_state_of_the_store_while_its_client_is_slow() {
    let settings = [("OSC_LIST_PAGE_ROWS", "3"), ("OSC_LIST_SNAPSHOT_ROWS", "4")];
    let node = start(&settings);
    fill_with_large_values(&node).await;
    for n in 0..20 {
        create(&node, OTHER_USER_KEY, &format!("other{n:02}"), &json!(1)).await;
    }
    let slow = ask_and_wait(&node, "/configs").await;
    create(&node, USER_KEY, "while-it-is-read", &json!(1)).await;
    // The log can only be emptied where no reader needs an earlier state than the last.
    let path = node.folder.path().join("configurations.db");
    let database = Connection::open(path).unwrap();
    let mut busy = 1;
    for _ in 0..100 {
        busy = database
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .unwrap();
        if busy == 0 {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(busy, 0, "a read transaction is open");
    let answer = rest(slow).await;
    assert!(answer.to_lowercase().contains("x-osc-skipped: 20"));
    for n in 0..14 {
        let name = format!("\"large{n:02}\"");
        assert_eq!(answer.matches(&name).count(), 1, "{name}");
    }
    assert!(answer.ends_with("0\r\n\r\n"));
    node.stop().await;
}

#[tokio::test]
async fn a_list_that_is_read_for_too_long_is_ended() {
    let node = start(&[("OSC_READ_SECONDS", "1")]);
    fill_with_large_values(&node).await;
    let slow = ask_and_wait(&node, "/configs").await;
    let ended = async {
        while metric(&node, "osc_reads_ended_total").await < 1.0 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(10), ended).await.unwrap();
    assert!(!rest(slow).await.ends_with("0\r\n\r\n"), "not the whole");
    let mut path = Some("/configs?limit=5".to_owned());
    let mut listed = 0;
    while let Some(here) = path {
        let page = node.call(Method::GET, &here, None).await;
        listed += keys(&page).len();
        path = next(&page);
    }
    assert_eq!(listed, 14, "pages are had");
    node.stop().await;
}
