//! No secret is in anything that a node lets out: logs at their loudest, metrics, errors, settings, files.

use std::fs;

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    node::client,
    process::{Process, osc_node},
};

const API_KEY: &str = "api-key-4f1d9b";
const WRONG_API_KEY: &str = "wrong-api-key-77aa";
const CLUSTER_KEY: &str = "cluster-key-90c2e1";
const USER_KEY: &str = "user-key-c0ffee-01";
const WRONG_USER_KEY: &str = "wrong-user-key-beef";
const PLAINTEXT: &str = "plaintext-5eed5eed";

/// Everything that was answered.
struct Caller {
    url: String,
    answers: String,
}

impl Caller {
    async fn call(&mut self, method: Method, path: &str, keys: (&str, &str), body: &str) -> u16 {
        let request = client()
            .request(method, format!("{}{path}", self.url))
            .header("X-API-Key", keys.0)
            .header("X-User-Key", keys.1)
            .header("X-Cluster-Key", CLUSTER_KEY)
            .body(body.to_owned());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        for (name, value) in answer.headers() {
            self.answers += name.as_str();
            self.answers += value.to_str().unwrap();
        }
        let text = answer.text().await.unwrap();
        // Its owner gets the value, nobody else anything of it.
        if status >= 300 || keys != (API_KEY, USER_KEY) {
            self.answers += &text;
        }
        status
    }
}

/// Creates, reads and updates, and is refused in every way there is.
async fn provoke_every_answer(caller: &mut Caller) {
    let owner = (API_KEY, USER_KEY);
    let create = json!({"key": "k", "value": PLAINTEXT}).to_string();
    assert_eq!(
        caller.call(Method::POST, "/configs", owner, &create).await,
        201
    );
    for (method, path, keys, body, status) in [
        (Method::POST, "/configs", owner, create.as_str(), 400),
        (
            Method::GET,
            "/configs/k",
            (WRONG_API_KEY, USER_KEY),
            "",
            403,
        ),
        (
            Method::GET,
            "/configs/k",
            (API_KEY, WRONG_USER_KEY),
            "",
            403,
        ),
        (
            Method::GET,
            "/configs/k",
            (API_KEY, WRONG_USER_KEY),
            "",
            429,
        ),
        (Method::GET, "/configs/k", (API_KEY, "short"), "", 401),
        (
            Method::PUT,
            "/configs/k",
            owner,
            &format!("{{\"value\": \"{PLAINTEXT}\""),
            422,
        ),
        (
            Method::POST,
            "/configs",
            owner,
            &format!("{{\"key\": 5, \"value\": \"{PLAINTEXT}\"}}"),
            422,
        ),
        (
            Method::POST,
            "/configs",
            owner,
            &format!("\"{PLAINTEXT}\""),
            422,
        ),
        (Method::GET, "/configs?limit=x", owner, "", 422),
        (Method::GET, "/configs", owner, "", 200),
        (Method::PUT, "/configs/k", owner, &create, 200),
        (Method::GET, "/metrics", owner, "", 200),
        (Method::GET, "/cluster/status?details=true", owner, "", 200),
        (
            Method::POST,
            "/cluster/salt",
            (API_KEY, USER_KEY),
            PLAINTEXT,
            409,
        ),
        (Method::GET, "/no/such/route", owner, "", 404),
    ] {
        assert_eq!(
            caller.call(method.clone(), path, keys, body).await,
            status,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn no_secret_leaves_the_node() {
    let folder = TempDir::new().unwrap();
    let fault = folder.path().join("fault");
    let mut command = osc_node(folder.path());
    command
        .env("OSC_HOST_PORT", "0")
        .env("OSC_API_KEY_REQUIRED", "true")
        .env("OSC_API_KEY", API_KEY)
        .env("OSC_CLUSTER_KEY", CLUSTER_KEY)
        .env("OSC_LOG_LEVEL", "DEBUG")
        .env("OSC_AUTH_FAILURES_PER_MINUTE", "2")
        .env("OSC_TEST_FAULT", &fault)
        .env("LD_PRELOAD", crate::disk::faulty_disk(&folder));
    let node = Process::start_command(&mut command);
    let mut caller = Caller {
        url: node.url.clone(),
        answers: String::new(),
    };
    provoke_every_answer(&mut caller).await;
    fs::write(&fault, "").unwrap();
    assert_eq!(
        caller
            .call(
                Method::PUT,
                "/configs/k",
                (API_KEY, USER_KEY),
                r#"{"value": 1}"#
            )
            .await,
        503
    );
    fs::remove_file(&fault).unwrap();
    let metrics = client()
        .get(format!("{}/metrics", node.url))
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    let log = node.log();
    assert!(
        log.contains("\"event\":\"request\""),
        "the log is at its loudest"
    );
    node.kill();

    let database: Vec<u8> = ["configurations.db", "configurations.db-wal"]
        .iter()
        .flat_map(|file| fs::read(folder.path().join(file)).unwrap_or_default())
        .collect();
    let database = String::from_utf8_lossy(&database).into_owned();
    let token: String = "gAAAA"
        .chars()
        .chain(database.split("gAAAA").nth(1).unwrap().chars())
        .take(40)
        .collect();
    let [hex, base64] = spellings(&fs::read(folder.path().join("encryption.salt")).unwrap());
    let secrets = [
        API_KEY,
        WRONG_API_KEY,
        CLUSTER_KEY,
        USER_KEY,
        WRONG_USER_KEY,
        PLAINTEXT,
        &hex[..32],
        &base64[..32],
    ];
    for (place, text) in [
        ("log", &log),
        ("answers", &caller.answers),
        ("metrics", &metrics),
        ("database", &database),
    ] {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in the {place}: {text}");
        }
        assert_eq!(
            text.contains(&token),
            place == "database",
            "ciphertext is in the {place}"
        );
    }
}

/// How the salt would look in a text.
fn spellings(salt: &[u8]) -> [String; 2] {
    let script = "import base64, sys; salt = sys.stdin.buffer.read(); print(salt.hex(), base64.b64encode(salt).decode())";
    let printed = crate::python::run(script, &[], salt);
    let (hex, base64) = printed.trim().split_once(' ').unwrap();
    [hex.to_owned(), base64.to_owned()]
}

#[test]
fn secrets_have_no_debug_form_that_shows_them() {
    use opensecureconf_node::{
        config::AccessKey,
        crypto::{Iterations, Salt, UserKey, derive},
    };
    let salt = Salt::from_bytes(&[7; 64]).unwrap();
    let user_key = UserKey::from_header(USER_KEY.as_bytes());
    let texts = [
        format!("{:?}", derive(&user_key, &salt, Iterations(1))),
        format!("{user_key:?}"),
        format!("{:?}", AccessKey::new(API_KEY.as_bytes())),
    ];
    assert_eq!(texts, ["DataKey(***)", "UserKey(***)", "AccessKey(***)"]);
    assert!(!format!("{salt:?}").contains("7, 7"));
}
