//! A PostgreSQL database for the nodes of a local cluster: one server in a temporary folder, which ends with this process.

mod programs;
mod server;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, bail};
use opensecureconf_contract::setting;
use tokio::process::Command;

pub(super) use programs::Programs;
pub(super) use server::Server;

use super::files::{ClusterFolder, replace};
use crate::cluster::{
    resource::{ClusterSpec, Mode},
    validate::ValidatedCluster,
};

/// Where nodes of a local cluster have their entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Database {
    /// Each node in a file of its own
    Sqlite,
    /// All of them in one PostgreSQL database, in a temporary folder, as long as they run
    Postgres,
}

/// Of nodes that have a database of their own. Others refuse these settings, or have no use for them.
const OF_OWN_DATABASES: [&str; 9] = [
    setting::BOOTSTRAP.variable,
    setting::CLUSTER_ENABLED.variable,
    setting::CLUSTER_MODE.variable,
    setting::CLUSTER_NODES_FILE.variable,
    setting::CLUSTER_SYNC_INTERVAL.variable,
    setting::CLUSTER_WRITE_ACK.variable,
    setting::DATABASE_PATH.variable,
    setting::PEER_PROOF.variable,
    setting::SALT_FILE_PATH.variable,
];

/// The file with the address.
const URL_FILE: &str = "database-url";

/// A server, and what nodes need to be on it.
#[derive(Debug)]
pub(super) struct PostgresDatabase {
    pub(super) server: Server,
    url_file: PathBuf,
}

impl PostgresDatabase {
    /// Starts a server for so many nodes.
    ///
    /// # Errors
    /// Where PostgreSQL is not there or does not start, or the resource wants what nodes of one database do not have.
    pub(super) async fn start(
        cluster: &ValidatedCluster,
        folder: &ClusterFolder,
        programs: Option<&Path>,
    ) -> anyhow::Result<Self> {
        refuse(&cluster.spec)?;
        let programs = Programs::find(programs).await?;
        let log = folder.path().join("postgres.log");
        let server = Server::start(&programs, &log, cluster.spec.replicas).await?;
        let url_file = folder.path().join(URL_FILE);
        replace(&url_file, server.url().as_bytes())?;
        Ok(Self { server, url_file })
    }

    /// The settings of a node that would have a database of its own, with this one instead.
    pub(super) fn settings(
        &self,
        settings: Vec<(&'static str, String)>,
    ) -> Vec<(&'static str, String)> {
        let mut settings = settings;
        settings.retain(|(name, _)| !OF_OWN_DATABASES.contains(name));
        let file = self.url_file.display().to_string();
        settings.push((setting::DATABASE_URL_FILE.variable, file));
        settings
    }

    /// Makes the tables.
    ///
    /// # Errors
    /// In the words of the command that makes them.
    pub(super) async fn migrate(
        &self,
        node_binary: &Path,
        settings: &[(&'static str, String)],
    ) -> anyhow::Result<()> {
        let output = Command::new(node_binary)
            .args(["database", "migrate"])
            .env_clear()
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .await
            .with_context(|| format!("cannot start {}", node_binary.display()))?;
        if !output.status.success() {
            bail!(
                "the tables cannot be made: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }
}

fn refuse(spec: &ClusterSpec) -> anyhow::Result<()> {
    if spec.mode == Mode::Federated {
        bail!(
            "spec.mode Federated is for nodes with databases of their own: --database postgres takes no such resource"
        );
    }
    Ok(())
}
