//! Values cross over between this node and Python's `cryptography` in both directions, through the raw files.

use std::{
    io::{Seek, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

use reqwest::Method;
use serde_json::json;

use crate::{
    at_rest::REHASH,
    node::{TestNode, USER_KEY},
};

/// A Python with `cryptography`; `make test` makes it.
pub(crate) fn interpreter() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python");
    assert!(
        own.exists(),
        "{} is missing; `make test-tools` makes it",
        own.display()
    );
    own
}

/// Runs a script with this input and gives its output.
pub(crate) fn run(script: &str, arguments: &[&str], input: &[u8]) -> String {
    // A file and not a pipe: neither process waits for the other to read first.
    let mut stdin = tempfile::tempfile().unwrap();
    stdin.write_all(input).unwrap();
    stdin.rewind().unwrap();
    let mut command = Command::new(interpreter());
    command.args(["-c", script]).args(arguments).stdin(stdin);
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

const DERIVE: &str = "
import base64, hashlib, json, sqlite3, sys
from cryptography.fernet import Fernet
salt = open(sys.argv[2], 'rb').read()
key = base64.urlsafe_b64encode(hashlib.pbkdf2_hmac('sha256', sys.argv[3].encode(), salt, int(sys.argv[4]), 32))
database = sqlite3.connect(sys.argv[1])
";

const READ: &str = "
token, = database.execute('SELECT token FROM entries WHERE key = ?', ('from rust',)).fetchone()
print(json.loads(Fernet(key).decrypt(token)))
";

const WRITE: &str = "
token = Fernet(key).encrypt(json.dumps({'from': 'python', 'ü': [1.0, None]}).encode()).decode()
database.execute('UPDATE entries SET token = ? WHERE key = ?', (token, 'from rust'))
database.commit()
";

/// As the original gets it: header bytes decoded as Latin-1, then encoded as UTF-8.
const WRITE_UNDER_LATIN_1: &str = "
password = sys.argv[3].encode().decode('latin-1').encode()
key = base64.urlsafe_b64encode(hashlib.pbkdf2_hmac('sha256', password, salt, int(sys.argv[4]), 32))
token = Fernet(key).encrypt(json.dumps('from python').encode()).decode()
database.execute('UPDATE entries SET token = ? WHERE key = ?', (token, 'k'))
database.commit()
";

#[tokio::test]
async fn a_user_key_outside_ascii_opens_what_the_original_sealed_under_it() {
    const KEY: &str = "pässwörd1";
    let node = TestNode::start();
    let body = json!({"key": "k", "value": 1});
    node.call(Method::POST, "/configs", Some(body)).await;
    let folder = node.stop().await;
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (database, salt) = (path("configurations.db"), path("encryption.salt"));
    let arguments = [database.as_str(), &salt, KEY, ITERATIONS];
    run(&format!("{DERIVE}{WRITE_UNDER_LATIN_1}"), &arguments, b"");
    run(REHASH, &arguments, b"");
    let node = TestNode::start_in(folder, &[]);
    let request = node.request(Method::GET, "/configs/k");
    let read = request.header("X-User-Key", KEY.as_bytes()).send();
    let read = crate::node::Answer::of(read.await.unwrap()).await;
    assert_eq!(read.status, 200, "{}", read.text);
    assert_eq!(read.json()["value"], "from python");
    node.stop().await;
}

/// The iterations of nodes inside the test process; the standard count is proved by the vectors in `crypto`.
const ITERATIONS: &str = "10";

#[tokio::test]
async fn what_the_api_stores_python_opens_and_the_reverse() {
    let node = TestNode::start();
    let value = json!({"text": "é😀", "numbers": [1, -0.5, 1e300], "nothing": null});
    node.call(
        Method::POST,
        "/configs",
        Some(json!({"key": "from rust", "value": value})),
    )
    .await;
    let folder = node.stop().await;
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (database, salt) = (path("configurations.db"), path("encryption.salt"));
    let arguments = [database.as_str(), &salt, USER_KEY, ITERATIONS];

    let read = run(&format!("{DERIVE}{READ}"), &arguments, b"");
    assert_eq!(
        read,
        "{'text': 'é😀', 'numbers': [1, -0.5, 1e+300], 'nothing': None}\n"
    );

    run(&format!("{DERIVE}{WRITE}"), &arguments, b"");
    run(REHASH, &arguments, b"");
    let node = TestNode::start_in(folder, &[]);
    let read = node.call(Method::GET, "/configs/from%20rust", None).await;
    assert_eq!(
        read.json()["value"],
        json!({"from": "python", "ü": [1.0, null]})
    );
    node.stop().await;
}
