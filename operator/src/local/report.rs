//! What a person sees once the nodes serve.

use std::{
    io::{IsTerminal, Write},
    path::Path,
    time::Instant,
};

use futures::future::join_all;

use super::{files::ClusterFolder, process::NodeProcess};
use crate::cluster::{resource::Mode, validate::ValidatedCluster};

/// Prints the status table, the address, and requests to begin with.
pub(super) async fn ready(
    cluster: &ValidatedCluster,
    folder: &ClusterFolder,
    nodes: &[NodeProcess],
    begun: Instant,
) -> anyhow::Result<()> {
    let client = folder.node_client()?;
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
    let address = nodes.first().map(NodeProcess::address).unwrap_or_default();

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
        format!("{:?}", cluster.spec.mode),
        format!("{serving}/{wanted}"),
        begun.elapsed().as_secs()
    )?;
    writeln!(
        out,
        "\n{bold}ready: http://{address}{plain}   data, salt and keys: {}",
        folder.path().display()
    )?;
    if wanted > 1 {
        let others: Vec<_> = nodes.iter().skip(1).map(NodeProcess::address).collect();
        writeln!(
            out,
            "{}; the others are at {}.",
            where_values_are(cluster.spec.mode),
            others.join(", ")
        )?;
    }
    if let Some(reference) = &cluster.spec.api_key.secret_ref {
        writeln!(
            out,
            "apiKey.secretRef ({}) names a Secret, and there are none here: the API key is in {}.",
            reference.name,
            folder.api_key().display()
        )?;
    }
    writeln!(
        out,
        "\nTry it in another terminal; X-User-Key is a passphrase of your choice, keep it:"
    )?;
    for line in requests(address, &folder.api_key(), cluster.spec.api_key.required) {
        writeln!(out, "  {line}")?;
    }
    writeln!(out, "\nCtrl-C stops all nodes.")?;
    out.flush()?;
    Ok(())
}

/// What the loss of one node's folder would cost.
fn where_values_are(mode: Mode) -> &'static str {
    match mode {
        Mode::Replica => "Every node has every entry",
        Mode::Federated => {
            "Every node serves every entry, and each value is on the node that received it: back every node up"
        }
    }
}

/// Store, read, list: each works as printed, in this order, and a second time too.
fn requests(address: &str, api_key: &Path, api_key_required: bool) -> [String; 3] {
    // The key is read from its file by the shell, so that it is neither printed nor kept in a history.
    let api_key = if api_key_required {
        format!(" -H \"X-API-Key: $(cat '{}')\"", api_key.display())
    } else {
        String::new()
    };
    let keys = format!("{api_key} -H 'X-User-Key: correct-horse-battery'");
    [
        format!(
            "curl -X PUT 'http://{address}/configs/greeting?upsert=true'{keys} -H 'Content-Type: application/json' -d '{{\"value\":{{\"text\":\"hello\"}}}}'"
        ),
        format!("curl http://{address}/configs/greeting{keys}"),
        format!("curl http://{address}/configs{keys}"),
    ]
}
