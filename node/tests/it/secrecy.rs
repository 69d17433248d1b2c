//! No output of a node contains a secret: debug logs, metrics, errors, settings, files.

use std::{fs, path::Path, process::Command, time::Duration};

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    node::client,
    process::{KilledOnDrop, osc_node},
};

const API_KEY: &str = "api-key-4f1d9b";
const WRONG_API_KEY: &str = "wrong-api-key-77aa";
const CLUSTER_KEY: &str = "cluster-key-90c2e1";
const WRONG_CLUSTER_KEY: &str = "wrong-cluster-key-0dd0";
const USER_KEY: &str = "user-key-c0ffee-01";
const WRONG_USER_KEY: &str = "wrong-user-key-beef";
const PLAINTEXT: &str = "plaintext-5eed5eed";

/// Everything that was answered.
struct Caller {
    url: String,
    cluster_key: &'static str,
    answers: String,
}

impl Caller {
    async fn call(&mut self, method: Method, path: &str, keys: (&str, &str), body: &str) -> u16 {
        let request = client()
            .request(method, format!("{}{path}", self.url))
            .header("X-API-Key", keys.0)
            .header("X-User-Key", keys.1)
            .header("X-Cluster-Key", self.cluster_key)
            .body(body.to_owned());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        for (name, value) in answer.headers() {
            self.answers += name.as_str();
            self.answers += value.to_str().unwrap();
        }
        let text = answer.text().await.unwrap();
        // Only the key holder gets the value; no other answer may contain any of it.
        if status >= 300 || keys != (API_KEY, USER_KEY) {
            self.answers += &text;
        }
        status
    }
}

/// Starts a node whose output goes to files, in any log format; returns its URL.
async fn start(folder: &Path, command: &mut Command) -> (KilledOnDrop, String) {
    let file = |name: &str| fs::File::create(folder.join(name)).unwrap();
    let child = command
        .env("OSC_HOST_PORT", "0")
        .stdout(file("out"))
        .stderr(file("err"))
        .spawn();
    let node = KilledOnDrop(child.unwrap());
    for _ in 0..300 {
        let log = fs::read_to_string(folder.join("out")).unwrap();
        let started = log
            .lines()
            .find(|line| line.contains("node_started") && log.ends_with('\n'));
        if let Some((_, after)) = started.and_then(|line| line.split_once("127.0.0.1:")) {
            let port = after.split(|c: char| !c.is_ascii_digit()).next().unwrap();
            return (node, format!("http://127.0.0.1:{port}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{}", fs::read_to_string(folder.join("err")).unwrap());
}

/// Creates, reads and updates, and is refused in every way there is.
async fn provoke_every_answer(caller: &mut Caller) {
    let owner = (API_KEY, USER_KEY);
    let create = json!({"key": "k", "value": PLAINTEXT}).to_string();
    caller.cluster_key = WRONG_CLUSTER_KEY;
    let refused = caller.call(Method::GET, "/admin/log-level", owner, "");
    assert_eq!(refused.await, 403);
    caller.cluster_key = CLUSTER_KEY;
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
    for format in ["json", "console"] {
        no_secret_leaves(format).await;
    }
}

/// From here on every other key waits.
async fn use_up_the_tries(caller: &mut Caller) {
    let mut last = 0;
    for wrong in [
        WRONG_USER_KEY,
        "another wrong key",
        "a third wrong key",
        "a fourth one",
    ] {
        let refused = caller.call(Method::GET, "/configs/k", (API_KEY, wrong), "");
        last = refused.await;
        assert!(matches!(last, 403 | 429));
    }
    assert_eq!(last, 429);
}

async fn no_secret_leaves(format: &str) {
    let folder = TempDir::new().unwrap();
    let fault = folder.path().join("fault");
    fs::write(folder.path().join("api-keys"), API_KEY).unwrap();
    fs::write(folder.path().join("cluster-keys"), CLUSTER_KEY).unwrap();
    let mut command = osc_node(folder.path());
    command
        .env("OSC_API_KEY_REQUIRED", "true")
        .env("OSC_API_KEY_FILE", "api-keys")
        .env("OSC_CLUSTER_KEY_FILE", "cluster-keys")
        .env("OSC_LOG_LEVEL", "DEBUG")
        .env("OSC_LOG_FORMAT", format)
        .env("OSC_AUTH_FAILURES_PER_MINUTE", "3")
        .env("OSC_TEST_FAULT", &fault)
        .env("LD_PRELOAD", crate::disk::faulty_disk(&folder));
    let (node, url) = start(folder.path(), &mut command).await;
    let mut caller = Caller {
        url,
        cluster_key: CLUSTER_KEY,
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
    use_up_the_tries(&mut caller).await;
    let metrics = client()
        .get(format!("{}/metrics", caller.url))
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    // The node reads key files that change, and complains about a useless one.
    fs::write(
        folder.path().join("api-keys"),
        format!("{API_KEY}\n{CLUSTER_KEY}\n"),
    )
    .unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    for _ in 0..100 {
        if read("out").contains("keys_not_reloaded") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(node);
    let (log, errors) = (read("out"), read("err"));
    for told in ["endpoint", "keys_not_reloaded", "auth_failed"] {
        assert!(log.contains(told), "the log is at its loudest: {log}");
    }

    let database: Vec<u8> = ["configurations.db", "configurations.db-wal"]
        .iter()
        .flat_map(|file| fs::read(folder.path().join(file)).unwrap_or_default())
        .collect();
    let database = String::from_utf8_lossy(&database).into_owned();
    let token = &database[database.find("gAAAA").unwrap()..][..40];
    let spellings = spellings(&fs::read(folder.path().join("encryption.salt")).unwrap());
    let spellings = spellings.iter().map(|text| &text[..32]);
    let secrets = [
        API_KEY,
        WRONG_API_KEY,
        CLUSTER_KEY,
        WRONG_CLUSTER_KEY,
        USER_KEY,
        WRONG_USER_KEY,
        PLAINTEXT,
    ];
    let secrets: Vec<_> = secrets.into_iter().chain(spellings).collect();
    for (place, text) in [
        ("log", &log),
        ("errors", &errors),
        ("answers", &caller.answers),
        ("metrics", &metrics),
        ("database", &database),
    ] {
        for secret in &secrets {
            assert!(!text.contains(secret), "{secret} is in the {place}: {text}");
        }
        assert_eq!(
            text.contains(token),
            place == "database",
            "ciphertext is in the {place}"
        );
    }
}

/// The encodings in which the salt and the key that is derived with it could stand in a text.
fn spellings(salt: &[u8]) -> Vec<String> {
    const SCRIPT: &str = "
import base64, hashlib, sys
salt = sys.stdin.buffer.read()
key = hashlib.pbkdf2_hmac('sha256', sys.argv[1].encode(), salt, 480000, 32)
for secret in salt, key:
    print(secret.hex(), base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode())
    print(str(list(secret))[1:-1])
";
    let printed = crate::python::run(SCRIPT, &[USER_KEY], salt);
    let mut lines = printed.lines();
    let mut spellings = Vec::new();
    while let (Some(texts), Some(numbers)) = (lines.next(), lines.next()) {
        spellings.extend(texts.split(' ').map(str::to_owned));
        spellings.push(numbers.to_owned());
    }
    assert_eq!(spellings.len(), 8);
    spellings
}

#[test]
fn the_passphrase_of_a_private_key_is_told_to_nobody() {
    const PASSPHRASE: &str = "passphrase-7e57ab1e";
    let folder = TempDir::new().unwrap();
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.path().join("cert.pem"), certificate.cert.pem()).unwrap();
    let key = certificate.signing_key.serialize_pem();
    let key = crate::python::run(
        crate::rotation::ENCRYPT_KEY,
        &["another passphrase"],
        key.as_bytes(),
    );
    fs::write(folder.path().join("key.pem"), key).unwrap();
    for arguments in [&[][..], &["config"], &["--log-level", "DEBUG"]] {
        let output = osc_node(folder.path())
            .args(arguments)
            .env("OSC_HTTPS_ENABLED", "true")
            .env("OSC_SSL_CERTFILE", "cert.pem")
            .env("OSC_SSL_KEYFILE", "key.pem")
            .env("OSC_SSL_KEYFILE_PASSWORD", PASSPHRASE)
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(text.contains("OSC_SSL_KEYFILE_PASSWORD"), "{text}");
        assert!(!text.contains(PASSPHRASE), "{text}");
    }
}

#[test]
fn a_private_key_that_lost_its_line_breaks_is_not_repeated() {
    let folder = TempDir::new().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem().replace(['\r', '\n'], "");
    let piece = &key[60..90];
    let numbers: Vec<_> = piece.bytes().map(|byte| byte.to_string()).collect();
    for (certificate, private_key) in [(made.cert.pem(), key.clone()), (key.clone(), key.clone())] {
        fs::write(folder.path().join("cert.pem"), certificate).unwrap();
        fs::write(folder.path().join("key.pem"), private_key).unwrap();
        let output = osc_node(folder.path())
            .env("OSC_HTTPS_ENABLED", "true")
            .env("OSC_SSL_CERTFILE", "cert.pem")
            .env("OSC_SSL_KEYFILE", "key.pem")
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(text.contains("is no line of its own"), "{text}");
        assert!(!text.contains(piece), "{text}");
        assert!(!text.contains(&numbers.join(", ")), "{text}");
    }
}

#[test]
fn secrets_have_no_debug_form_that_shows_them() {
    use opensecureconf_node::{
        access::AccessKey,
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
