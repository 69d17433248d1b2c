//! The report for a person once the nodes serve.

use std::{
    io::{IsTerminal, Write},
    path::Path,
    time::Instant,
};

use futures::future::join_all;

use super::{files::ClusterFolder, listening::address, process::NodeProcess};
use crate::{
    cluster::{resource::Mode, validate::ValidatedCluster},
    node::NodeClient,
};

/// The facts of the report.
#[derive(Debug)]
pub(super) struct Report<'a> {
    /// The wanted cluster.
    pub(super) cluster: &'a ValidatedCluster,
    /// Where its files are.
    pub(super) folder: &'a ClusterFolder,
    /// Its nodes.
    pub(super) nodes: &'a [NodeProcess],
    /// The authorities with which clients verify nodes; `None` without TLS.
    pub(super) authorities: Option<&'a Path>,
    /// The database of all nodes; `None` where each has its own.
    pub(super) database_url: Option<&'a str>,
}

impl Report<'_> {
    /// Prints the status table, the address, and requests to begin with.
    pub(super) async fn print(&self, client: &NodeClient, begun: Instant) -> anyhow::Result<()> {
        let Self {
            cluster,
            folder,
            nodes,
            authorities,
            database_url,
        } = *self;
        let answers = join_all(nodes.iter().map(|node| client.status(node.address()))).await;
        let serving = answers
            .iter()
            .flatten()
            .filter(|details| details.ready)
            .count();
        let entries = answers
            .iter()
            .flatten()
            .map(|details| details.entries)
            .max()
            .unwrap_or_default();
        let version = answers
            .iter()
            .flatten()
            .next()
            .map(|details| details.version.clone())
            .unwrap_or_default();
        let (name, wanted) = (cluster.name.as_str(), nodes.len());
        let status = if serving == wanted {
            "AllNodesReady"
        } else {
            "NodesNotReady"
        };
        let urls: Vec<_> = nodes.iter().map(|node| url(cluster, node)).collect();
        let url = urls.first().map(String::as_str).unwrap_or_default();

        let mut out = std::io::stdout().lock();
        let (bold, plain) = if out.is_terminal() {
            ("\x1b[1m", "\x1b[0m")
        } else {
            ("", "")
        };
        let width = name.len().max(4);
        writeln!(
            out,
            "{:width$}   MODE        READY   STATUS          ENTRIES   VERSION   AGE",
            "NAME"
        )?;
        writeln!(
            out,
            "{name:width$}   {:9}   {:5}   {status:13}   {entries:<7}   {version:7}   {}s",
            match database_url {
                Some(_) => "Shared".to_owned(),
                None => format!("{:?}", cluster.spec.mode),
            },
            format!("{serving}/{wanted}"),
            begun.elapsed().as_secs()
        )?;
        writeln!(
            out,
            "\n{bold}ready: {url}{plain}   {}salt and keys: {}",
            if database_url.is_some() { "" } else { "data, " },
            folder.path().display()
        )?;
        if let Some(url) = database_url {
            writeln!(
                out,
                "All entries are in one database, in a temporary folder; it is gone when this ends. Look into it: psql '{url}'"
            )?;
        }
        if wanted > 1 {
            let others: Vec<_> = urls.iter().skip(1).map(String::as_str).collect();
            writeln!(
                out,
                "{}; the others are at {}.",
                match database_url {
                    Some(_) => "Every node serves every entry",
                    None => where_values_are(cluster.spec.mode),
                },
                others.join(", ")
            )?;
        }
        writeln!(
            out,
            "\nTry it in another terminal; X-User-Key is a passphrase of your choice, keep it:"
        )?;
        for line in requests(
            url,
            authorities,
            &folder.api_key(),
            cluster.spec.api_key.required,
        ) {
            writeln!(out, "  {line}")?;
        }
        writeln!(out, "\nCtrl-C stops all nodes.")?;
        out.flush()?;
        Ok(())
    }
}

/// Where clients find a node: over HTTPS where it is served.
fn url(cluster: &ValidatedCluster, node: &NodeProcess) -> String {
    let listening = node.listening();
    match listening.tls {
        Some(ports) if cluster.spec.tls.serves_https() => {
            format!("https://{}", address(ports.https))
        }
        _ => format!("http://{}", address(listening.http)),
    }
}

/// The cost of losing one node's folder.
fn where_values_are(mode: Mode) -> &'static str {
    match mode {
        Mode::Replica => "Every node has every entry",
        Mode::Federated => {
            "Every node serves every entry, and each value is on the node that received it: back every node up"
        }
        // Refused before: there is no database here.
        Mode::Shared => "The database has every entry",
    }
}

/// Store, read, list: each works as printed, in this order, and a second time too.
fn requests(
    url: &str,
    authorities: Option<&Path>,
    api_key: &Path,
    api_key_required: bool,
) -> [String; 3] {
    let curl = match authorities.filter(|_| url.starts_with("https:")) {
        Some(file) => format!("curl --cacert '{}'", file.display()),
        None => "curl".to_owned(),
    };
    // The shell reads the key from its file, so that it is neither printed nor kept in a history.
    let api_key = if api_key_required {
        format!(" -H \"X-API-Key: $(cat '{}')\"", api_key.display())
    } else {
        String::new()
    };
    let keys = format!("{api_key} -H 'X-User-Key: correct-horse-battery'");
    [
        format!(
            "{curl} -X PUT '{url}/configs/greeting?upsert=true'{keys} -H 'Content-Type: application/json' -d '{{\"value\":{{\"text\":\"hello\"}}}}'"
        ),
        format!("{curl} {url}/configs/greeting{keys}"),
        format!("{curl} {url}/configs{keys}"),
    ]
}
