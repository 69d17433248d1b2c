//! Keys and certificates that are exchanged while the node runs.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use opensecureconf_node::{crypto::key_proof, store::sqlite::SCHEMA_VERSION};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Client, Identity};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    node::{USER_KEY, client},
    process::{Process, osc_node},
};

/// Requests that show a key: their paths and headers.
const ROOT: (&str, &str) = ("/", "X-API-Key");
const SALT: (&str, &str) = ("/cluster/salt", "X-Cluster-Key");

/// A node that requires an API key and reads its keys from files.
fn node_with_keys(folder: &Path, files: &[(&str, &Path)]) -> Process {
    let mut command = osc_node(folder);
    command
        .env("OSC_HOST_PORT", "0")
        .env("OSC_API_KEY_REQUIRED", "true")
        .envs(files.iter().copied());
    Process::start_command(&mut command)
}

async fn status(node: &Process, (path, header): (&str, &str), key: &str) -> u16 {
    let request = client()
        .get(format!("{}{path}", node.url))
        .header(header, key);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn an_api_key_is_rotated_without_a_restart() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("api-keys");
    fs::write(&file, "the old key of the tests\n").unwrap();
    let mut node = node_with_keys(folder.path(), &[("OSC_API_KEY_FILE", &*file)]);
    assert_eq!(status(&node, ROOT, "the new key of the tests").await, 403);

    fs::write(
        &file,
        "the old key of the tests\nthe new key of the tests\n",
    )
    .unwrap();
    node.event("keys_reloaded");
    assert_eq!(status(&node, ROOT, "the old key of the tests").await, 200);
    assert_eq!(status(&node, ROOT, "the new key of the tests").await, 200);

    fs::write(&file, "\n").unwrap();
    node.error_of("keys_not_reloaded", "holds no key");
    assert_eq!(
        status(&node, ROOT, "the new key of the tests").await,
        200,
        "what was accepted stays"
    );

    fs::write(&file, "the new key of the tests\n").unwrap();
    node.event("keys_reloaded");
    assert_eq!(status(&node, ROOT, "the old key of the tests").await, 403);
}

#[tokio::test]
async fn the_previous_api_key_is_accepted_as_long_as_its_file_is_there() {
    let folder = TempDir::new().unwrap();
    let (file, previous) = (folder.path().join("key"), folder.path().join("previous"));
    fs::write(&file, "the old key of the tests\n").unwrap();
    let mut node = node_with_keys(
        folder.path(),
        &[
            ("OSC_API_KEY_FILE", &*file),
            ("OSC_API_KEY_PREVIOUS_FILE", &*previous),
        ],
    );
    assert_eq!(status(&node, ROOT, "the old key of the tests").await, 200);

    fs::write(&previous, "the old key of the tests\n").unwrap();
    node.event("keys_reloaded");
    fs::write(&file, "the new key of the tests\n").unwrap();
    node.event("keys_reloaded");
    assert_eq!(status(&node, ROOT, "the old key of the tests").await, 200);
    assert_eq!(status(&node, ROOT, "the new key of the tests").await, 200);

    fs::remove_file(&previous).unwrap();
    node.event("keys_reloaded");
    assert_eq!(status(&node, ROOT, "the old key of the tests").await, 403);
    assert_eq!(status(&node, ROOT, "the new key of the tests").await, 200);
}

/// The details that a node shows a client with this API key.
async fn details(node: &Process, key: &str) -> serde_json::Value {
    let request = client()
        .get(format!("{}/cluster/status?details=true", node.url))
        .header("X-API-Key", key);
    let status: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    status["details"].clone()
}

#[tokio::test]
async fn a_node_proves_which_api_keys_it_accepts_and_shows_none() {
    const CLUSTER_KEY: &str = "the cluster key of the tests, long enough";
    let (old, new) = ("the old key of the tests", "the new key of the tests");
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (file, previous, cluster) = (path("key"), path("previous"), path("cluster-key"));
    fs::write(&file, format!("{old}\n")).unwrap();
    fs::write(&cluster, format!("{CLUSTER_KEY}\n")).unwrap();
    let mut node = node_with_keys(
        folder.path(),
        &[
            ("OSC_API_KEY_FILE", &*file),
            ("OSC_API_KEY_PREVIOUS_FILE", &*previous),
            ("OSC_CLUSTER_KEY_FILE", &*cluster),
        ],
    );
    let proof = |cluster_key: &str, key: &str| {
        let digest = Sha256::digest(key).into();
        key_proof(cluster_key.as_bytes(), &digest).unwrap()
    };
    let proofs = |keys: &[&str]| {
        let proofs: BTreeSet<_> = keys.iter().map(|key| proof(CLUSTER_KEY, key)).collect();
        serde_json::json!(proofs)
    };
    let told = details(&node, old).await;
    assert_eq!(told["api_keys"], proofs(&[old]));
    assert_eq!(told["schema"], SCHEMA_VERSION);

    // As an operator changes a key: first the node accepts both, then the new key takes the place of the old one, then the old
    // one ends.
    fs::write(&previous, format!("{old}\n{new}\n")).unwrap();
    node.event("keys_reloaded");
    let told = details(&node, new).await;
    assert_eq!(told["api_keys"], proofs(&[old, new]));
    let shown = told.to_string();
    for key in [old, new] {
        let digest = Sha256::digest(key)
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        assert!(!shown.contains(key) && !shown.contains(&digest[..16]));
        assert!(!shown.contains(&proof("another cluster key", key)));
    }

    fs::write(&file, format!("{new}\n")).unwrap();
    node.event("keys_reloaded");
    for key in [old, new] {
        assert_eq!(details(&node, key).await["api_keys"], proofs(&[old, new]));
    }

    fs::remove_file(&previous).unwrap();
    node.event("keys_reloaded");
    assert_eq!(details(&node, new).await["api_keys"], proofs(&[new]));
}

#[tokio::test]
async fn a_node_without_a_cluster_key_proves_nothing_of_its_api_keys() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, "the only key of the tests\n").unwrap();
    let node = node_with_keys(folder.path(), &[("OSC_API_KEY_FILE", &*file)]);
    let told = details(&node, "the only key of the tests").await;
    assert_eq!(told["api_keys"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_cluster_key_is_rotated_and_never_becomes_an_api_key() {
    let folder = TempDir::new().unwrap();
    let (api, cluster) = (
        folder.path().join("api-keys"),
        folder.path().join("cluster-keys"),
    );
    fs::write(&api, "the api key of the tests\n").unwrap();
    fs::write(&cluster, "the old key of the tests\n").unwrap();
    let mut node = node_with_keys(
        folder.path(),
        &[
            ("OSC_API_KEY_FILE", &*api),
            ("OSC_CLUSTER_KEY_FILE", &*cluster),
        ],
    );
    assert_eq!(status(&node, SALT, "the old key of the tests").await, 200);
    fs::write(
        &cluster,
        "the old key of the tests\nthe new key of the tests\n",
    )
    .unwrap();
    node.event("keys_reloaded");
    assert_eq!(status(&node, SALT, "the old key of the tests").await, 200);
    assert_eq!(status(&node, SALT, "the new key of the tests").await, 200);

    fs::write(
        &cluster,
        "the new key of the tests\nthe api key of the tests\n",
    )
    .unwrap();
    let event = node.error_of("keys_not_reloaded", "at once");
    assert_eq!(event["setting"], "OSC_CLUSTER_KEY_FILE");
    assert_eq!(status(&node, SALT, "the api key of the tests").await, 403);
    fs::write(&api, "the api key of the tests\nthe new key of the tests\n").unwrap();
    let event = node.error_of("keys_not_reloaded", "at once");
    assert_eq!(event["setting"], "OSC_API_KEY_FILE");
}

/// A certificate authority that signs certificates for 127.0.0.1 and for clients.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(parameters, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its private key, both in PEM.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn client(&self, identity: Option<(String, String)>) -> Client {
        client();
        let root = Certificate::from_pem(self.pem().as_bytes()).unwrap();
        let mut builder = Client::builder().tls_certs_only([root]);
        if let Some((certificate, key)) = identity {
            builder =
                builder.identity(Identity::from_pem((certificate + &key).as_bytes()).unwrap());
        }
        builder.build().unwrap()
    }
}

struct TlsFolder(TempDir);

impl TlsFolder {
    fn new(authority: &Authority, clients: &Authority) -> Arc<Self> {
        let folder = Self(TempDir::new().unwrap());
        folder.write(authority);
        fs::write(folder.0.path().join("clients.pem"), clients.pem()).unwrap();
        Arc::new(folder)
    }

    /// The node's certificate, fresh from this authority.
    fn write(&self, authority: &Authority) {
        let (certificate, key) = authority.issue();
        fs::write(self.0.path().join("cert.pem"), certificate).unwrap();
        fs::write(self.0.path().join("key.pem"), key).unwrap();
    }

    fn start(&self) -> Process {
        let mut command = osc_node(self.0.path());
        command
            .env("OSC_HOST_PORT", "0")
            .env("OSC_HTTPS_ENABLED", "true")
            .env("OSC_SSL_CERTFILE", "cert.pem")
            .env("OSC_SSL_KEYFILE", "key.pem")
            .env("OSC_SSL_CA_CERTS", "clients.pem")
            .env("OSC_CLUSTER_KEY", "the cluster key of the tests");
        Process::start_command(&mut command)
    }
}

#[tokio::test]
async fn a_certificate_is_exchanged_without_a_restart() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let folder = TlsFolder::new(&old, &old);
    let mut node = folder.start();
    assert!(node.url.starts_with("https://"));
    let get = |authority: &Authority| {
        let request = authority.client(None).get(format!("{}/health", node.url));
        async { request.send().await.map(|answer| answer.status().as_u16()) }
    };
    assert_eq!(get(&old).await.unwrap(), 200);
    assert!(get(&new).await.is_err());
    folder.write(&new);
    node.event("certificates_reloaded");
    let reloaded = new.client(None).get(format!("{}/health", node.url));
    assert_eq!(reloaded.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn only_routes_for_owners_demand_a_client_certificate() {
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let folder = TlsFolder::new(&authority, &clients);
    let node = folder.start();
    let salt = |identity| {
        let request = authority
            .client(identity)
            .get(format!("{}/cluster/salt", node.url));
        let request = request.header("X-Cluster-Key", "the cluster key of the tests");
        async { request.send().await }
    };
    let create = authority
        .client(None)
        .post(format!("{}/configs", node.url))
        .header("X-User-Key", USER_KEY)
        .json(&serde_json::json!({"key": "k", "value": 1}));
    assert_eq!(
        create.send().await.unwrap().status(),
        201,
        "workloads need none"
    );
    assert_eq!(salt(None).await.unwrap().status(), 403);
    assert_eq!(salt(Some(clients.issue())).await.unwrap().status(), 200);
    let stranger = Authority::new("stranger").issue();
    assert!(
        salt(Some(stranger)).await.is_err(),
        "refused before any request"
    );
}

#[tokio::test]
async fn the_authorities_of_clients_are_exchanged_without_a_restart() {
    let authority = Authority::new("server");
    let (old, new) = (Authority::new("old clients"), Authority::new("new clients"));
    let folder = TlsFolder::new(&authority, &old);
    let mut node = folder.start();
    let url = format!("{}/cluster/salt", node.url);
    let salt = |clients: &Authority| {
        let client = authority.client(Some(clients.issue()));
        let request = client
            .get(&url)
            .header("X-Cluster-Key", "the cluster key of the tests");
        async { request.send().await.map(|answer| answer.status().as_u16()) }
    };
    assert_eq!(salt(&old).await.unwrap(), 200);
    assert!(salt(&new).await.is_err());
    fs::write(folder.0.path().join("clients.pem"), new.pem()).unwrap();
    node.event("certificates_reloaded");
    assert_eq!(salt(&new).await.unwrap(), 200);
    assert!(salt(&old).await.is_err());
}

pub(crate) const ENCRYPT_KEY: &str = "
import sys
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption, Encoding, PrivateFormat, load_pem_private_key)
key = load_pem_private_key(sys.stdin.buffer.read(), None)
encryption = BestAvailableEncryption(sys.argv[1].encode())
print(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode())
";

#[tokio::test]
async fn a_private_key_may_have_a_passphrase() {
    let authority = Authority::new("server");
    let folder = TempDir::new().unwrap();
    let (certificate, key) = authority.issue();
    let key = crate::python::run(ENCRYPT_KEY, &["the passphrase"], key.as_bytes());
    assert!(key.contains("BEGIN ENCRYPTED PRIVATE KEY"));
    fs::write(folder.path().join("cert.pem"), certificate).unwrap();
    fs::write(folder.path().join("key.pem"), key).unwrap();
    let command = || {
        let mut command = osc_node(folder.path());
        command
            .env("OSC_HOST_PORT", "0")
            .env("OSC_HTTPS_ENABLED", "true")
            .env("OSC_SSL_CERTFILE", "cert.pem")
            .env("OSC_SSL_KEYFILE", "key.pem");
        command
    };
    for (passphrase, complaint) in [
        ("", "it is encrypted; set OSC_SSL_KEYFILE_PASSWORD"),
        ("another", "OSC_SSL_KEYFILE_PASSWORD does not open it"),
    ] {
        let output = command()
            .env("OSC_SSL_KEYFILE_PASSWORD", passphrase)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(complaint), "{text}");
    }
    let node = Process::start_command(command().env("OSC_SSL_KEYFILE_PASSWORD", "the passphrase"));
    let health = authority.client(None).get(format!("{}/health", node.url));
    assert_eq!(health.send().await.unwrap().status(), 200);
}

#[test]
fn a_certificate_that_is_of_no_use_stops_the_start_with_its_name() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("cert.pem"), "no certificate").unwrap();
    fs::write(folder.path().join("key.pem"), "no key").unwrap();
    let output = osc_node(folder.path())
        .env("OSC_HTTPS_ENABLED", "true")
        .env("OSC_SSL_CERTFILE", "cert.pem")
        .env("OSC_SSL_KEYFILE", "key.pem")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("cert.pem holds no certificate in PEM"),
        "{text}"
    );
    assert!(
        !folder.path().join("configurations.db").exists(),
        "nothing is created"
    );
}
