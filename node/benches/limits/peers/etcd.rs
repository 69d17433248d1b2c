//! An etcd of its own, which writes to the disk at each commit, as it does by default.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;
use tempfile::TempDir;

use super::programs;
use crate::wrk::{Load, SECONDS};

/// A running server; ends with this value.
pub(super) struct Etcd {
    child: Child,
    pub(super) url: String,
    _folder: TempDir,
}

impl Etcd {
    pub(super) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("http://127.0.0.1:{}", free_port());
        let child = Command::new(programs().join("etcd"))
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .args([
                "--listen-client-urls",
                &url,
                "--advertise-client-urls",
                &url,
            ])
            .arg("--listen-peer-urls")
            .arg(format!("unix://{}:0", folder.path().join("peer").display()))
            .args(["--log-level", "error"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        await_answer(&reqwest::Client::new(), &format!("{url}/health"));
        Self {
            child,
            url,
            _folder: folder,
        }
    }

    pub(super) async fn put(&self, key: &str, value: &str) {
        let body =
            json!({"key": BASE64_STANDARD.encode(key), "value": BASE64_STANDARD.encode(value)});
        let put = reqwest::Client::new().post(format!("{}/v3/kv/put", self.url));
        put.json(&body)
            .send()
            .await
            .unwrap()
            .error_for_status()
            .unwrap();
    }

    /// The load of its own client.
    pub(super) fn by_client(&self, callers: u32, more: &[&str]) -> Load {
        let output = Command::new(std::env::var_os("OSC_ETCD_CLIENT").unwrap())
            .args(["-endpoint", &self.url, "-callers", &callers.to_string()])
            .args(["-seconds", &SECONDS.to_string()])
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let figure = |name: &str| report[name].as_f64().unwrap();
        Load {
            per_second: figure("per_second"),
            p50: figure("p50_ms"),
            p99: figure("p99_ms"),
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a key by the gateway.
pub(super) fn read(key: &str) -> String {
    let key = BASE64_STANDARD.encode(key);
    format!(
        "wrk.method = 'POST'
         wrk.path = '/v3/kv/range'
         wrk.headers['Content-Type'] = 'application/json'
         wrk.body = '{{\"key\": \"{key}\"}}'"
    )
}

/// Writes a new key with every request by the gateway. Names have twelve characters, which base64 makes sixteen.
pub(super) fn write(prefix: &str, value: &str) -> String {
    let value = BASE64_STANDARD.encode(value);
    format!(
        "local letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
         local function base64(text)
           local out = {{}}
           for at = 1, #text, 3 do
             local a, b, c = text:byte(at, at + 2)
             local bits = a * 65536 + b * 256 + c
             for shift = 3, 0, -1 do
               local place = math.floor(bits / 64 ^ shift) % 64 + 1
               out[#out + 1] = letters:sub(place, place)
             end
           end
           return table.concat(out)
         end
         local n = 0
         wrk.method = 'POST'
         wrk.headers['Content-Type'] = 'application/json'
         request = function()
           n = n + 1
           local key = base64(string.format('{prefix}-%0{digits}d', n))
           return wrk.format(nil, '/v3/kv/put', nil, '{{\"key\": \"' .. key .. '\", \"value\": \"{value}\"}}')
         end",
        digits = 11 - prefix.len(),
    )
}

/// A port that nothing listens on.
pub(super) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits until a server answers with success, for a minute at most.
pub(super) fn await_answer(client: &reqwest::Client, url: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let begun = Instant::now();
    let answers = || {
        let answer = runtime.block_on(client.get(url).send());
        answer.is_ok_and(|answer| answer.status().is_success())
    };
    while !answers() {
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "{url} does not answer"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
