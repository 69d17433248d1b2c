//! A Vault with integrated storage, which writes to the disk at each commit, and its secrets engine for keys and values with
//! versions, as `vault secrets enable kv-v2` mounts it.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::etcd::free_port;

/// A running server that is unsealed; ends with this value.
pub(super) struct Vault {
    child: Child,
    url: String,
    token: String,
    _folder: TempDir,
}

impl Vault {
    pub(super) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let (url, cluster) = (
            format!("http://127.0.0.1:{}", free_port()),
            format!("http://127.0.0.1:{}", free_port()),
        );
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let settings = json!({
            "storage": {"raft": {"path": data, "node_id": "one"}},
            "listener": {"tcp": {
                "address": url.strip_prefix("http://"),
                "cluster_address": cluster.strip_prefix("http://"),
                "tls_disable": true,
            }},
            "api_addr": url,
            "cluster_addr": cluster,
            "disable_mlock": true,
        });
        let file = folder.path().join("vault.json");
        std::fs::write(&file, settings.to_string()).unwrap();
        let child = Command::new(std::env::var_os("OSC_VAULT").unwrap())
            .args(["server", "-log-level", "error", "-config"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut vault = Self {
            child,
            url,
            token: String::new(),
            _folder: folder,
        };
        let shares = json!({"secret_shares": 1, "secret_threshold": 1});
        let made = vault.asked_until_it_answers("sys/init", &shares).await;
        made["root_token"]
            .as_str()
            .unwrap()
            .clone_into(&mut vault.token);
        let unseal = json!({"key": made["keys"][0]});
        vault.asked_until_it_answers("sys/unseal", &unseal).await;
        // It leads its cluster of one a moment later.
        let engine = json!({"type": "kv", "options": {"version": "2"}});
        vault
            .asked_until_it_answers("sys/mounts/secret", &engine)
            .await;
        vault
    }

    /// Asks until the answer is a success, for a minute at most.
    async fn asked_until_it_answers(&self, path: &str, body: &Value) -> Value {
        let client = reqwest::Client::new();
        for _ in 0..600 {
            let ask = client
                .post(format!("{}/v1/{path}", self.url))
                .header("X-Vault-Token", &self.token)
                .json(body);
            match ask.send().await {
                Ok(answer) if answer.status().is_success() => {
                    return answer.json().await.unwrap_or_default();
                }
                _ => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
        panic!("Vault does not answer {path}");
    }

    pub(super) async fn put(&self, key: &str, value: &str) {
        let body = json!({"data": {"value": value}});
        let path = format!("secret/data/{key}");
        self.asked_until_it_answers(&path, &body).await;
    }

    pub(super) fn secret(&self, key: &str) -> String {
        format!("{}/v1/secret/data/{key}", self.url)
    }

    pub(super) fn read(&self) -> String {
        format!("wrk.headers['X-Vault-Token'] = '{}'", self.token)
    }

    /// A new name with every request.
    pub(super) fn write(&self, prefix: &str, value: &str) -> String {
        let body = json!({"data": {"value": value}}).to_string();
        let body = body.replace('\\', "\\\\");
        format!(
            "local n = 0
             wrk.method = 'POST'
             wrk.headers['X-Vault-Token'] = '{}'
             wrk.headers['Content-Type'] = 'application/json'
             request = function()
               n = n + 1
               return wrk.format(nil, '/v1/secret/data/{prefix}-' .. n, nil, '{body}')
             end",
            self.token
        )
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
