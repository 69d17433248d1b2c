//! A server that is reached over TLS: by its name, and under an authority that the node is given.

use std::{fs, sync::LazyLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::{
    server::{Certified, Server},
    world::{SOON, World},
};

/// A certificate for a name, and the authority that signed it, in PEM.
pub(crate) struct Pair {
    authority: String,
    certificate: String,
    key: String,
}

impl Pair {
    fn for_name(name: &str) -> Self {
        Self::for_names(&[name])
    }

    /// A certificate for a server that is reached under several names.
    pub(crate) fn for_names(names: &[&str]) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters
            .distinguished_name
            .push(DnType::CommonName, "an authority of databases");
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(parameters, key).unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let leaf = CertificateParams::new(names).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = leaf.signed_by(&key, &authority).unwrap();
        Self {
            authority: authority.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn certified(&self) -> Certified<'_> {
        Certified {
            authority: &self.authority,
            certificate: &self.certificate,
            key: &self.key,
        }
    }
}

static OF_LOCALHOST: LazyLock<Pair> = LazyLock::new(|| Pair::for_name("localhost"));

/// A server with a certificate for `localhost`.
pub(crate) async fn on_localhost() -> Server {
    Server::encrypted(&OF_LOCALHOST.certified()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_reads_and_writes_over_tls() {
    let world = World::on(on_localhost().await);
    let node = world.node();
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    assert_eq!(node.get("/configs/k").await.json()["value"], 1);
    let of_nodes =
        "FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'osc-node'";
    let in_clear = format!("SELECT count(*) {of_nodes} AND NOT ssl");
    assert_eq!(world.server.count(&in_clear).await, 0);
    let encrypted = format!("SELECT count(*) {of_nodes} AND ssl");
    assert!(world.server.count(&encrypted).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_name_or_authority_gets_no_password() {
    let world = World::on(on_localhost().await);
    let others = Pair::for_name("localhost");
    fs::write(world.folder().join("other.crt"), &others.authority).unwrap();
    let other_name = world.server.url().replace("localhost", "127.0.0.1");
    for more in [
        ("OSC_DATABASE_CA_FILE", "other.crt"),
        ("OSC_DATABASE_URL", other_name.as_str()),
    ] {
        let (code, text) = world.run(&["database", "migrate"], &[more]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("certificate"), "{text}");
    }
    // The node refuses an SSL mode that verifies nothing.
    let unverified = format!("{}?sslmode=prefer", world.server.url());
    let (code, text) = world.run(&["config"], &[("OSC_DATABASE_URL", unverified.as_str())]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("verify-full"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_is_taken_without_a_restart() {
    let world = World::on(on_localhost().await);
    let node = world.node();
    assert_eq!(node.create("k", 1, &[]).await.status, 201);
    let next = Pair::for_name("localhost");
    world.server.certify(&next.certified());
    world.server.sql("SELECT pg_reload_conf()").await;
    // From then on the server shows the next certificate.
    let shown = async {
        while world.run(&["database", "migrate"], &[]).0 != Some(0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, shown).await.unwrap();
    world.server.disconnect_everybody().await;
    node.until("/configs/k", 200).await;
}
