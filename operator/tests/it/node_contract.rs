//! Operator and node share their contract and no other code: these tests check that each reads what the other writes.

use std::{collections::BTreeSet, fs, path::Path};

use k8s_openapi::api::core::v1::Container;
use opensecureconf_contract::{MemberState, Salt};
use opensecureconf_node::{
    cli::command,
    config::{Config, Layers, SETTINGS},
    crypto::{Iterations, key_proof},
    log::{LogControl, LogFormat, LogLevel},
    server::BoundNode,
    store::sqlite::SCHEMA_VERSION,
};
use opensecureconf_operator::{
    cluster::{
        build::{build, build_node_settings, build_peer_list, build_shared},
        validate::ValidatedCluster,
    },
    names::{CONFIG_PATH, DATA_PATH, HEALTH_PORT, HTTP_PORT, METRICS_PORT, PEERS_PORT},
    node::{
        AccessKey, AdminCommand, NodeClient, NodeClients,
        settings::{NODE_ID_VARIABLE, NodeFiles, NodePorts, NodeSettings},
    },
    pki::{Certificate, StoredPki},
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    THREE_NODES,
    golden::{SHARED, roots},
    valid,
};

pub(crate) const API_KEY: &str = "the clients' key";
/// The key that nodes show each other, and the operator shows nodes.
pub(crate) const CLUSTER_KEY: &str =
    "4567456745674567456745674567456745674567456745674567456745674567";

/// Writes the files that a pod mounts, below this folder.
pub(crate) fn lay_out(root: &Path) {
    for (file, content) in [
        ("api-key/api-key", API_KEY.to_owned()),
        ("api-key/api-key-previous", "the one before".to_owned()),
        ("cluster-key/cluster-key", CLUSTER_KEY.to_owned()),
        (
            "peers/nodes",
            build_peer_list(&valid(THREE_NODES), |ordinal| {
                format!("host-{ordinal}:9000")
            }),
        ),
        ("peers/log-level", "WARNING\n".to_owned()),
    ] {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    fs::create_dir_all(root.join("salt")).unwrap();
    fs::write(root.join("salt/salt"), [7; 64]).unwrap();
}

pub(crate) fn parse(variables: Vec<(String, String)>) -> Config {
    let known: BTreeSet<_> = SETTINGS
        .iter()
        .map(opensecureconf_node::config::Setting::variable)
        .collect();
    for (name, _) in &variables {
        assert!(known.contains(name), "the node knows no {name}");
    }
    let flags = command().try_get_matches_from(["osc-node"]).unwrap();
    Config::from_layers(&Layers::new(&flags, variables, [])).unwrap()
}

/// The environment of a container of pod `config-1`, whose files are below this folder.
fn environment(container: &Container, root: &Path) -> Vec<(String, String)> {
    let root = root.to_str().unwrap();
    let variables = container.env.iter().flatten().map(|variable| {
        // Kubernetes fills in the pod's name.
        let value = variable.value.clone();
        let value = value.unwrap_or_else(|| "config-1".to_owned());
        (variable.name.clone(), value.replace(CONFIG_PATH, root))
    });
    variables.collect()
}

/// The environment of a node of this cluster, with its files under this root.
pub(crate) fn pod_variables(cluster: &ValidatedCluster, root: &Path) -> Vec<(String, String)> {
    let stateful_set = build(cluster, &roots()).workload;
    let container = &stateful_set.spec.unwrap().template.spec.unwrap().containers[0];
    environment(container, root)
}

#[test]
fn a_pods_environment_is_a_nodes_configuration() {
    let root = TempDir::new().unwrap();
    lay_out(root.path());
    let config = parse(pod_variables(&valid(THREE_NODES), root.path()));

    assert_eq!(config.node_id, "config-1");
    assert_eq!(config.listen.port(), HTTP_PORT);
    assert!(config.listen.ip().is_unspecified());
    assert!(config.database_path.starts_with(DATA_PATH));
    assert!(config.salt_file_path.starts_with(DATA_PATH));
    assert_eq!(
        config.salt_secret_file.unwrap(),
        root.path().join("salt/salt")
    );
    let api_keys = config.api_keys.unwrap();
    assert!(api_keys.accept(API_KEY.as_bytes()) && api_keys.accept(b"the one before"));
    assert!(config.peer_proof.required);
    assert_eq!(config.min_user_key_length, 12);
    assert_eq!(config.log_level, LogLevel::Warning);
    assert_eq!(config.log_format, LogFormat::Json);
    let cluster = config.cluster.unwrap();
    assert_eq!(cluster.id.as_deref(), Some("team/config"));
    assert_eq!(cluster.peers.now.len(), 3);
    assert!(config.cluster_keys.is_some());
}

#[test]
fn the_environment_of_pods_that_share_a_database_is_a_nodes_configuration() {
    let root = TempDir::new().unwrap();
    lay_out(root.path());
    for (folder, user) in [("database", "app"), ("database-migration", "owner")] {
        let folder = root.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let url = format!("postgresql://{user}:s3cret@pg-rw.team:5432/of_{user}\n");
        fs::write(folder.join("url"), url).unwrap();
    }
    let deployment = build_shared(&valid(SHARED), &roots()).workload;
    let pod = deployment.spec.unwrap().template.spec.unwrap();

    let node = parse(environment(&pod.containers[0], root.path()));
    let migration = parse(environment(&pod.init_containers.unwrap()[0], root.path()));

    for (config, name) in [(&node, "of_app"), (&migration, "of_owner")] {
        let database = config.shared.as_ref().unwrap();
        assert_eq!(database.url.database(), name);
        assert!(database.url.is_verified());
        let authorities = root.path().join("database-ca/ca.crt");
        assert_eq!(database.authorities, Some(authorities));
        assert_eq!((database.timeout.as_secs(), database.connections), (3, 4));
        assert_eq!(database.cluster, "team/everything-shared");
        let salt = root.path().join("salt/salt");
        assert_eq!(config.salt_secret_file, Some(salt));
        assert_eq!(config.ineffective, Vec::<String>::new());
    }
    assert_eq!(node.node_id, "config-1");
    assert_eq!(node.listen.port(), HTTP_PORT);
    let api_keys = node.api_keys.unwrap();
    assert!(api_keys.accept(API_KEY.as_bytes()));
    assert!(node.cluster.is_none() && node.cluster_keys.is_some());
    assert_eq!(node.log_level, LogLevel::Warning);
}

/// The settings of a local process: the same builder, other files.
fn local_settings(root: &Path, host: &str, port: u16) -> NodeSettings {
    let file = |name: &str| root.join(name);
    let files = NodeFiles {
        database: file("configurations.db"),
        salt: file("encryption.salt"),
        cluster_salt: file("salt/salt"),
        api_key: Some(file("api-key/api-key")),
        cluster_key: file("cluster-key/cluster-key"),
        nodes: file("peers/nodes"),
        log_level: None,
    };
    build_node_settings(&valid(THREE_NODES), host, port, files, 0)
}

fn variables(settings: &NodeSettings, node: &str) -> Vec<(String, String)> {
    settings
        .variables()
        .into_iter()
        .chain([(NODE_ID_VARIABLE, node.to_owned())])
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[test]
fn a_local_processes_environment_is_a_nodes_configuration() {
    let root = TempDir::new().unwrap();
    lay_out(root.path());

    let config = parse(variables(
        &local_settings(root.path(), "127.0.0.1", 0),
        "config-0",
    ));

    assert_eq!(config.node_id, "config-0");
    assert!(config.listen.ip().is_loopback());
    assert!(config.api_keys.is_some());
    assert!(config.drain.is_zero());
    assert_eq!(config.cluster.unwrap().peers.now.len(), 3);
}

/// A client that shows these keys.
fn client_with(api_key: Option<&str>, cluster_key: Option<&str>) -> NodeClient {
    let key = |key: &str| AccessKey(key.into());
    let http = crate::api_server::http_client();
    NodeClient::plain(http, api_key.map(key), cluster_key.map(key))
}

/// A node that belongs to no cluster yet, with the salt that was mounted.
pub(crate) struct RunningNode {
    address: String,
    client: NodeClient,
    stop: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
    _files: TempDir,
}

impl RunningNode {
    /// A node with one port.
    pub(crate) fn plain() -> Self {
        let files = TempDir::new().unwrap();
        lay_out(files.path());
        let settings = local_settings(files.path(), "127.0.0.1", 0);
        Self::start(&settings, files, None)
    }

    /// A node in the place of pod `demo-0` in namespace `team`, with these certificates and the ports of a pod.
    pub(crate) fn pod(host: &str, pki: &StoredPki) -> Self {
        let files = TempDir::new().unwrap();
        lay_out(files.path());
        let node_tls = files.path().join("tls");
        fs::create_dir_all(&node_tls).unwrap();
        let leaf = pki.leaf.as_ref().unwrap();
        for (name, text) in [
            ("tls.crt", leaf.certificate.pem()),
            ("tls.key", leaf.key.pem().to_owned()),
            ("ca.crt", pki.bundle.iter().map(Certificate::pem).collect()),
        ] {
            fs::write(node_tls.join(name), text).unwrap();
        }
        let settings = NodeSettings {
            ports: Some(NodePorts {
                http: true,
                https: None,
                peers: PEERS_PORT,
                metrics: METRICS_PORT,
                health: HEALTH_PORT,
                node_tls,
            }),
            ..local_settings(files.path(), host, HTTP_PORT)
        };
        let (http, addresses) = NodeClients::default()
            .get(("team", "demo"), pki, jiff::Timestamp::now())
            .unwrap()
            .unwrap();
        let name = "demo-0.demo-nodes.team.svc";
        addresses.set([(name.to_owned(), host.parse().unwrap())].into());
        let key = |key: &str| Some(AccessKey(key.into()));
        let client = NodeClient::over_tls(http, key(API_KEY), key(CLUSTER_KEY));
        Self::start(
            &settings,
            files,
            Some((format!("{name}:{PEERS_PORT}"), client)),
        )
    }

    fn start(
        settings: &NodeSettings,
        files: TempDir,
        reached: Option<(String, NodeClient)>,
    ) -> Self {
        // The one that is reached by a pod's name is the pod's node.
        let name = if reached.is_some() {
            "demo-0"
        } else {
            "config-0"
        };
        let config = parse(variables(settings, name));
        let node = BoundNode::start(config, Iterations(1), LogControl::silent()).unwrap();
        let stop = CancellationToken::new();
        let (address, client) = reached.unwrap_or_else(|| {
            let client = client_with(Some(API_KEY), Some(CLUSTER_KEY));
            (node.address().unwrap().to_string(), client)
        });
        Self {
            address,
            client,
            served: tokio::spawn(node.serve(stop.clone())),
            stop,
            _files: files,
        }
    }

    /// Bootstraps the cluster on this node, and gives the node's incarnation.
    pub(crate) async fn bootstrap(&self) -> String {
        let said = self.client.status(&self.address).await;
        let incarnation = said.unwrap().incarnation;
        let order = AdminCommand::Bootstrap {
            incarnation: &incarnation,
        };
        self.client.command(&self.address, &order).await.unwrap();
        incarnation
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_operator_reads_what_a_node_says_of_itself() {
    let client = client_with(Some(API_KEY), Some(CLUSTER_KEY));
    let node = RunningNode::plain();
    let address = node.address.clone();

    let said = client.status(&address).await.unwrap();

    assert_eq!(said.entries, 0);
    assert_eq!(
        (said.state, said.cluster_uid, said.ready),
        (MemberState::Blank, None, false)
    );
    let salt = Salt::new([7; 64]);
    assert_eq!(said.salt_fingerprint, Some(salt.fingerprint().to_string()));
    assert_eq!(said.schema, i64::try_from(SCHEMA_VERSION).ok());
    let proofs = [API_KEY, "the one before"].map(|key| {
        let digest = Sha256::digest(key).into();
        key_proof(CLUSTER_KEY.as_bytes(), &digest).unwrap()
    });
    let proofs: BTreeSet<_> = proofs.into_iter().collect();
    assert_eq!(said.api_keys, Some(proofs.into_iter().collect()));
    assert_eq!(
        client_with(None, None).status(&address).await,
        None,
        "without the key"
    );

    assert_eq!(client.salt(&address).await, Some(salt));
    assert_eq!(
        client_with(None, Some(API_KEY)).salt(&address).await,
        None,
        "an API key shows no salt"
    );
    node.bootstrap().await;
    let bootstrapped = client.status(&address).await.unwrap();
    assert_eq!(bootstrapped.state, MemberState::Member);
    assert!(bootstrapped.cluster_uid.is_some());

    node.stop().await;
}
