//! A Kubernetes API server, which keeps its Secrets in etcd as they come.

use std::process::{Child, Command, Stdio};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;
use tempfile::TempDir;

use super::{
    etcd::{Etcd, await_answer, free_port},
    programs,
};

/// The only caller that the server knows, who may do everything.
const TOKEN: &str = "the-token-of-the-measurements";

/// A running server; ends with this value.
pub(super) struct ApiServer {
    child: Child,
    url: String,
    client: reqwest::Client,
    _folder: TempDir,
}

impl ApiServer {
    pub(super) fn start(etcd: &Etcd) -> Self {
        let folder = TempDir::new().unwrap();
        let [private, public, tokens] =
            ["accounts.key", "accounts.pub", "tokens.csv"].map(|name| folder.path().join(name));
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(&private, key.serialize_pem()).unwrap();
        std::fs::write(&public, key.public_key_pem()).unwrap();
        std::fs::write(&tokens, format!("{TOKEN},admin,1,system:masters\n")).unwrap();
        let port = free_port();
        let child = Command::new(programs().join("kube-apiserver"))
            .arg("--service-account-key-file")
            .arg(&public)
            .arg("--service-account-signing-key-file")
            .arg(&private)
            .args(["--etcd-servers", &etcd.url, "--bind-address", "127.0.0.1"])
            .args(["--secure-port", &port.to_string()])
            .args([
                "--advertise-address",
                "127.0.0.1",
                "--endpoint-reconciler-type",
                "none",
            ])
            .args(["--service-cluster-ip-range", "10.96.0.0/24"])
            .args(["--authorization-mode", "RBAC"])
            .args(["--service-account-issuer", "https://kubernetes.default.svc"])
            // Its limits of requests at a time are for clusters whose other callers must be heard too.
            .args([
                "--enable-priority-and-fairness=false",
                "--max-requests-inflight=0",
            ])
            .args(["--max-mutating-requests-inflight=0"])
            .arg("--token-auth-file")
            .arg(&tokens)
            .arg("--cert-dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It makes its own certificate; the address is loopback.
        let client = reqwest::Client::builder()
            .danger_accept_invalid_certs(true)
            .default_headers(bearer())
            .build()
            .unwrap();
        let url = format!("https://127.0.0.1:{port}");
        await_answer(&client, &format!("{url}/readyz"));
        await_answer(&client, &format!("{url}/api/v1/namespaces/default"));
        Self {
            child,
            url,
            client,
            _folder: folder,
        }
    }

    pub(super) fn secrets(&self) -> String {
        format!("{}/api/v1/namespaces/default/secrets", self.url)
    }

    pub(super) fn secret(&self, name: &str) -> String {
        format!("{}/{name}", self.secrets())
    }

    pub(super) async fn create(&self, name: &str, value: &str) {
        let secret = json!({"metadata": {"name": name}, "stringData": {"value": value}});
        let create = self.client.post(self.secrets()).json(&secret);
        create.send().await.unwrap().error_for_status().unwrap();
    }

    pub(super) fn read() -> String {
        format!("wrk.headers['Authorization'] = 'Bearer {TOKEN}'")
    }

    /// A new name with every request.
    pub(super) fn write(prefix: &str, value: &str) -> String {
        let value = BASE64_STANDARD.encode(value);
        format!(
            "local n = 0
             wrk.method = 'POST'
             wrk.headers['Authorization'] = 'Bearer {TOKEN}'
             wrk.headers['Content-Type'] = 'application/json'
             request = function()
               n = n + 1
               return wrk.format(nil, nil, nil, '{{\"metadata\": {{\"name\": \"{prefix}-' .. n .. '\"}}, \"data\": {{\"value\": \"{value}\"}}}}')
             end"
        )
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bearer() -> reqwest::header::HeaderMap {
    let value = format!("Bearer {TOKEN}").parse().unwrap();
    std::iter::once((reqwest::header::AUTHORIZATION, value)).collect()
}
