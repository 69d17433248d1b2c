//! Log lines: their shapes, their files and their content.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Instant,
};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    node::{API_KEY, USER_KEY, client, environment},
    process::{KilledOnDrop, Process, osc_node},
};

/// Everything that a node writes that stops as soon as it runs.
fn short_life(folder: &Path, more: &[(&str, &str)]) -> String {
    let output = osc_node(folder)
        .envs(environment(folder))
        .env("OSC_STOP_ON_STDIN_EOF", "true")
        .envs(more.iter().copied())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    String::from_utf8(output.stdout).unwrap()
}

fn events(lines: &str) -> Vec<Value> {
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect()
}

#[test]
fn a_life_is_told_from_the_first_line_to_the_last() {
    let folder = TempDir::new().unwrap();
    let first = events(&short_life(folder.path(), &[]));
    assert_eq!(
        names(&first),
        [
            "logging_initialized",
            "salt_generated",
            "node_started",
            "node_stopping",
            "node_stopped",
            "logging_shutdown"
        ]
    );
    assert_eq!(first[0]["format"], "json");
    assert_eq!(first[0]["log_level"], "INFO");
    assert_eq!(first[0]["async_buffer_size"], 10_000);
    assert_eq!(first[1]["size_bytes"], 64);
    for event in &first {
        for field in [
            "event",
            "level",
            "timestamp",
            "node_id",
            "file",
            "line",
            "function",
            "location",
        ] {
            assert!(event.get(field).is_some(), "{field} in {event}");
        }
    }

    fs::remove_file(folder.path().join("encryption.salt")).unwrap();
    let second = events(&short_life(folder.path(), &[]));
    assert_eq!(second[1]["event"], "salt_restored");
    assert_eq!(second[1]["salt_fingerprint"], first[1]["salt_fingerprint"]);

    let elsewhere = TempDir::new().unwrap();
    fs::copy(
        folder.path().join("encryption.salt"),
        elsewhere.path().join("encryption.salt"),
    )
    .unwrap();
    let adopted = events(&short_life(elsewhere.path(), &[]));
    assert_eq!(adopted[1]["event"], "salt_adopted");
    assert_eq!(adopted[1]["from"], "salt file");
}

#[test]
fn files_that_others_may_read_are_accepted_with_a_warning() {
    let folder = TempDir::new().unwrap();
    assert!(!short_life(folder.path(), &[]).contains("file_permissions_too_open"));
    for file in ["configurations.db", "encryption.salt"] {
        let path = folder.path().join(file);
        fs::set_permissions(path, fs::Permissions::from_mode(0o664)).unwrap();
    }
    let events = events(&short_life(folder.path(), &[]));
    let wide: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "file_permissions_too_open")
        .collect();
    assert_eq!(wide.len(), 2, "{events:?}");
    for (event, file) in wide.iter().zip(["configurations.db", "encryption.salt"]) {
        assert_eq!(event["level"], "WARNING");
        assert_eq!(event["mode"], "0664");
        assert!(event["path"].as_str().unwrap().ends_with(file));
    }
}

#[test]
fn a_setting_without_effect_is_told() {
    let folder = TempDir::new().unwrap();
    let more = [
        ("OSC_API_KEY_REQUIRED", "false"),
        ("OSC_API_KEY_FILE", "keys"),
    ];
    let events = events(&short_life(folder.path(), &more));
    assert_eq!(events[1]["event"], "setting_without_effect");
    assert_eq!(
        events[1]["warning"],
        "OSC_API_KEY_FILE has no effect without OSC_API_KEY_REQUIRED=true"
    );
}

#[test]
fn a_console_line_is_for_a_person() {
    let folder = TempDir::new().unwrap();
    let text = short_life(folder.path(), &[("OSC_LOG_FORMAT", "console")]);
    let started = text
        .lines()
        .find(|line| line.contains("node_started"))
        .unwrap();
    assert!(started.contains("INFO") && started.contains("entries=0"));
    assert!(!text.contains('{') && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_file_takes_the_lines_and_is_rotated_when_it_is_full() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("node.log");
    let more = [("OSC_LOG_FILE", path.to_str().unwrap())];
    assert_eq!(short_life(folder.path(), &more), "");
    let lines = fs::read_to_string(&path).unwrap();
    let told = events(&lines);
    assert_eq!(names(&told).last(), Some(&"logging_shutdown"));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // As if the limit of 100 MiB were reached.
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len((100 << 20) + 1).unwrap();
    drop(file);
    short_life(folder.path(), &more);
    let older = folder.path().join("node.log.1");
    assert!(fs::metadata(&older).unwrap().len() > 100 << 20);
    assert!(fs::metadata(&path).unwrap().len() < 100_000);
}

#[test]
fn a_file_says_at_which_level_is_logged_and_a_useless_one_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("log-level");
    // As Kubernetes exchanges files: no reader sees half a file.
    let write = |text: &str| {
        let new = folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &file).unwrap();
    };
    let first = |set: &str| {
        let more = [
            ("OSC_LOG_LEVEL", set),
            ("OSC_LOG_LEVEL_FILE", file.to_str().unwrap()),
        ];
        let lines = events(&short_life(folder.path(), &more));
        lines.first().map(|line| line["log_level"].clone())
    };
    assert_eq!(first("DEBUG"), Some(json!("DEBUG")), "there is no file yet");
    write("info\n");
    assert_eq!(first("ERROR"), Some(json!("INFO")));

    let path = file.to_str().unwrap();
    let mut node = Process::start(folder.path(), &[("OSC_LOG_LEVEL_FILE", path)]);
    write("DEBUG");
    let changed = node.event("log_level_changed");
    assert_eq!(
        (&changed["old_level"], &changed["new_level"]),
        (&json!("INFO"), &json!("DEBUG"))
    );
    write("loud");
    let refused = node.event("log_level_not_reloaded");
    let error = refused["error"].as_str().unwrap();
    assert!(
        error.contains("holds 'loud'") && error.contains("WARNING"),
        "{error}"
    );
    write("INFO");
    assert_eq!(node.event("log_level_changed")["new_level"], "INFO");
}

async fn call(url: &str, method: Method, path: &str, user_key: &[u8], body: Option<Value>) -> u16 {
    let mut request = client()
        .request(method, format!("{url}{path}"))
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", user_key);
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn what_happens_to_an_entry_is_told_without_its_value() {
    let folder = TempDir::new().unwrap();
    let more = [("OSC_LOG_LEVEL", "DEBUG"), ("OSC_LOG_NAMES", "true")];
    let mut node = Process::start(folder.path(), &more);
    let url = node.url.clone();
    let key = USER_KEY.as_bytes();
    let body = json!({"key": "k", "value": "hidden", "environment": "test"});
    let path = "/configs/k?environment=test";
    call(&url, Method::POST, "/configs", key, Some(body)).await;
    call(&url, Method::GET, path, key, None).await;
    call(
        &url,
        Method::PUT,
        path,
        key,
        Some(json!({"value": "hidden"})),
    )
    .await;
    call(&url, Method::DELETE, path, key, None).await;
    for name in [
        "config_created",
        "config_read",
        "config_updated",
        "config_deleted",
    ] {
        let event = node.event(name);
        assert_eq!(
            (&event["key"], &event["environment"]),
            (&json!("k"), &json!("test"))
        );
        assert_eq!(event["principal"], "api-key-1");
    }
    assert!(!node.log().contains("hidden"));
}

#[tokio::test]
async fn a_log_says_which_api_key_changed_an_entry_and_not_the_key() {
    let folder = TempDir::new().unwrap();
    let keys = folder.path().join("api-keys");
    fs::write(&keys, format!("{API_KEY}\nthe-key-of-another-team\n")).unwrap();
    let mut command = osc_node(folder.path());
    command
        .env("OSC_HOST_PORT", "0")
        .env("OSC_API_KEY_REQUIRED", "true")
        .env("OSC_API_KEY_FILE", &keys);
    let mut node = Process::start_command(&mut command);
    for (number, api_key) in [(1, API_KEY), (2, "the-key-of-another-team")] {
        let created = client()
            .post(format!("{}/configs", node.url))
            .header("X-API-Key", api_key)
            .header("X-User-Key", USER_KEY)
            .json(&json!({"key": format!("k{number}"), "value": 1}))
            .send()
            .await;
        assert_eq!(created.unwrap().status(), 201);
        let event = node.event("config_created");
        assert_eq!(event["principal"], format!("api-key-{number}"));
    }
    assert!(!node.log().contains("the-key-of-another-team"));
}

#[tokio::test]
async fn who_was_refused_and_why_is_told() {
    let folder = TempDir::new().unwrap();
    let more = [
        ("OSC_CLUSTER_KEY", "the cluster key of the tests"),
        ("OSC_AUTH_FAILURES_PER_MINUTE", "4"),
        ("OSC_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let mut node = Process::start(folder.path(), &more);
    let url = node.url.clone();
    let body = json!({"key": "k", "value": 1});
    call(
        &url,
        Method::POST,
        "/configs",
        USER_KEY.as_bytes(),
        Some(body),
    )
    .await;
    let other: &[u8] = b"another user key";
    let api = |key: &'static str| client().get(format!("{url}/")).header("X-API-Key", key);
    let owner = client().get(format!("{url}/cluster/salt"));
    let expect = |event: Value, key: &str, reason: &str, status: u16| {
        assert_eq!(event["level"], "WARNING", "{event}");
        assert_eq!(event["key"], key, "{event}");
        assert_eq!(event["reason"], reason, "{event}");
        assert_eq!(event["status"], status, "{event}");
        event["client"].as_str().unwrap().to_owned()
    };
    client().get(format!("{url}/")).send().await.unwrap();
    assert_eq!(
        expect(node.event("auth_failed"), "api_key", "missing", 403),
        "127.0.0.1"
    );
    api("wrong")
        .header("X-Forwarded-For", "192.0.2.7")
        .send()
        .await
        .unwrap();
    assert_eq!(
        expect(node.event("auth_failed"), "api_key", "wrong", 403),
        "192.0.2.7"
    );
    let wrong = owner.header("X-Cluster-Key", "wrong");
    wrong.send().await.unwrap();
    expect(node.event("auth_failed"), "cluster_key", "wrong", 403);
    call(&url, Method::GET, "/configs/k", b"short", None).await;
    expect(node.event("auth_failed"), "user_key", "too short", 401);
    call(&url, Method::GET, "/configs/k", other, None).await;
    expect(node.event("auth_failed"), "user_key", "wrong", 403);
    call(&url, Method::GET, "/configs", other, None).await;
    expect(node.event("auth_failed"), "user_key", "opens nothing", 200);
    // The create counts too: the node does not know yet what its key opens.
    for more in [b"a second wrong key", b"a third wrong key "] {
        assert_eq!(call(&url, Method::GET, "/configs", more, None).await, 200);
        expect(node.event("auth_failed"), "user_key", "opens nothing", 200);
    }
    assert_eq!(call(&url, Method::GET, "/configs", other, None).await, 429);
    let event = node.event("auth_failed");
    expect(event, "any", "too many failures before", 429);
}

#[tokio::test]
async fn a_user_key_outside_ascii_is_told_once() {
    let folder = TempDir::new().unwrap();
    let mut node = Process::start(folder.path(), &[]);
    let url = node.url.clone();
    for _ in 0..3 {
        let key = "pässwörd1".as_bytes();
        assert_eq!(call(&url, Method::GET, "/configs", key, None).await, 200);
    }
    let body = json!({"key": "k", "value": 1});
    call(
        &url,
        Method::POST,
        "/configs",
        USER_KEY.as_bytes(),
        Some(body),
    )
    .await;
    node.event("config_created");
    assert_eq!(node.log().matches("user_key_outside_ascii").count(), 1);
}

/// A health check costs two dozen bytes, and its line some hundred.
const REQUEST: &str = "GET /health HTTP/1.1\r\nHost: n\r\n\r\n";
const REQUESTS: usize = 12_000;

#[tokio::test]
async fn lines_that_nobody_takes_are_dropped_and_counted() {
    let folder = TempDir::new().unwrap();
    let child = osc_node(folder.path())
        .env("OSC_HOST_PORT", "0")
        .env("OSC_LOG_LEVEL", "DEBUG")
        .spawn();
    let mut node = KilledOnDrop(child.unwrap());
    // Read up to the line with the address, then no further: the pipe fills, and then the buffer.
    let mut lines = BufReader::new(node.0.stdout.take().unwrap()).lines();
    let address = loop {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if event["event"] == "node_started" {
            break event["address"].as_str().unwrap().to_owned();
        }
    };
    let (mut reading, mut writing) = TcpStream::connect(&address).await.unwrap().into_split();
    let requests = REQUEST.repeat(REQUESTS);
    let sent = tokio::spawn(async move {
        writing.write_all(requests.as_bytes()).await.unwrap();
        // Returned, not dropped: a dropped connection would show the node that the client is gone.
        writing
    });
    let mut answers = 0;
    let mut chunk = vec![0; 64 << 10];
    let mut text = String::new();
    while answers < REQUESTS {
        let count = reading.read(&mut chunk).await.unwrap();
        assert!(count > 0);
        text += &String::from_utf8_lossy(&chunk[..count]);
        let split = text.rfind("HTTP/1.1").unwrap_or(0);
        answers += text[..split].matches("HTTP/1.1 200").count();
        text.drain(..split);
        if text.ends_with('}') {
            answers += 1;
            text.clear();
        }
    }
    sent.await.unwrap();
    let metrics = client()
        .get(format!("http://{address}/metrics"))
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    let dropped = metrics
        .lines()
        .find_map(|line| line.strip_prefix("osc_log_lines_dropped_total "))
        .unwrap();
    assert!(dropped.parse::<f64>().unwrap() > 0.0, "{dropped}");
}

#[tokio::test]
async fn of_a_flood_of_refusals_some_are_told_and_the_others_counted_and_what_changed_is_told_all_the_same()
 {
    const FLOOD: usize = 400;
    let folder = TempDir::new().unwrap();
    let mut node = Process::start(folder.path(), &[]);
    let (http, url) = (client(), node.url.clone());
    let began = Instant::now();
    for number in 0..FLOOD {
        let wrong = http
            .get(format!("{url}/configs/k"))
            .header("X-API-Key", "wrong");
        let status = wrong.send().await.unwrap().status();
        assert!([403, 429].contains(&status.as_u16()), "{status}");
        if number == FLOOD / 2 {
            let body = json!({"key": "k", "value": 1});
            call(
                &url,
                Method::POST,
                "/configs",
                USER_KEY.as_bytes(),
                Some(body),
            )
            .await;
        }
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    let (mut alone, mut together) = (0, 0);
    let mut created = false;
    while alone + together < FLOOD {
        let event = node.any_event();
        match event["event"].as_str().unwrap() {
            "auth_failed" => alone += 1,
            "auth_failed_more" => {
                assert_eq!(event["client"], "127.0.0.1", "{event}");
                together += usize::try_from(event["count"].as_u64().unwrap()).unwrap();
            }
            "config_created" => created = true,
            _ => {}
        }
    }
    assert_eq!(alone + together, FLOOD);
    assert!(alone <= 10 * (seconds + 2), "{alone} lines in {seconds} s");
    assert!(created, "{}", node.log());
    let metrics = http.get(format!("{url}/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let counted = format!("osc_auth_failures_total{{key=\"api_key\"}} {FLOOD}");
    assert!(metrics.contains(&counted), "{metrics}");
    node.kill();
}

#[test]
fn a_log_file_that_cannot_be_opened_is_named_with_its_path() {
    let folder = TempDir::new().unwrap();
    let mut command = osc_node(folder.path());
    let output = command.arg("--log-file=none/node.log").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "osc-node: cannot open OSC_LOG_FILE (none/node.log): No such file or directory (os error 2)\n"
    );
}
