//! A guesser that creates an entry with each guess, to be exempt by it, leaves lines in the log that name its API key.

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    node::{API_KEY, USER_KEY, client},
    process::Process,
};

#[tokio::test]
async fn each_step_of_guessing_by_entries_of_ones_own_leaves_a_line() {
    let folder = TempDir::new().unwrap();
    let mut node = Process::start(folder.path(), &[("OSC_LOG_NAMES", "true")]);
    let url = node.url.clone();
    let call = async |method: Method, path: &str, key: &str, body: Option<Value>| {
        let mut request = client()
            .request(method, format!("{url}{path}"))
            .header("X-API-Key", API_KEY)
            .header("X-User-Key", key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let create = |key: &str| Some(json!({"key": key, "value": 1}));
    assert_eq!(
        call(Method::POST, "/configs", USER_KEY, create("holders")).await,
        201
    );
    node.event("config_created");
    for number in 0..3 {
        let (guess, name) = (
            format!("a guess of the tests, {number}"),
            format!("mine-{number}"),
        );
        let path = format!("/configs/{name}");
        assert_eq!(
            call(Method::POST, "/configs", &guess, create(&name)).await,
            201
        );
        assert_eq!(call(Method::GET, &path, &guess, None).await, 200);
        assert_eq!(
            call(Method::GET, "/configs/holders", &guess, None).await,
            403
        );
        assert_eq!(call(Method::DELETE, &path, &guess, None).await, 200);
        let created = node.event("config_created");
        let refused = node.event("auth_failed");
        let deleted = node.event("config_deleted");
        for event in [&created, &deleted] {
            assert_eq!(event["key"], name, "{event}");
            assert_eq!(event["principal"], "api-key-1", "{event}");
        }
        assert_eq!(
            (&refused["key"], &refused["client"]),
            (&json!("user_key"), &json!("127.0.0.1"))
        );
        for event in [created, refused, deleted] {
            assert!(!event.to_string().contains(&guess), "{event}");
        }
    }
    node.kill();
}
