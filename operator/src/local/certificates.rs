//! Authority and leaf of a local cluster, as files: the same plan as on Kubernetes.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    files::{ClusterFolder, create_folder, replace},
    process::NodeProcess,
};
use crate::{
    cluster::validate::ValidatedCluster,
    names::{AUTHORITIES_ENTRY, CERTIFICATE_ENTRY, PRIVATE_KEY_ENTRY},
    node::NodeDetails,
    pki::{
        AltNames, Authority, AuthorityStep, Fingerprint, Situation, StoredEntries, StoredPki,
        Trust, Unusable, authority_entries, execute, from_entries, local_names, plan, tls_entries,
        try_out,
    },
};

/// How often the command checks whether a certificate is due.
const EVERY: Duration = Duration::from_hours(24);
/// The same while nodes adopt renewed certificates.
const SOON: Duration = Duration::from_secs(10);
/// The same after a failure.
const AGAIN: Duration = Duration::from_hours(1);
/// An own authority is adopted in three steps, and exchanged in three more where its end is near; one more shows that nothing is
/// left to do.
const STEPS_OF_A_START: usize = 7;
/// How often a failure is reported while its words stay the same.
const REPORTED: Duration = Duration::from_hours(24);
const ROTATION: &str = "rotation";

/// Where they are.
#[derive(Debug)]
pub(super) struct Certificates {
    authority: PathBuf,
    nodes: PathBuf,
    clock: fn() -> Timestamp,
}

impl Certificates {
    /// Below the folder of a cluster, which this process alone uses.
    pub(super) fn new(cluster: &Path) -> Self {
        Self {
            authority: cluster.join("node-ca"),
            nodes: cluster.join("tls"),
            clock: Timestamp::now,
        }
    }

    /// The files of nodes: their certificate, its key, and the authorities that they accept.
    pub(super) fn node_folder(&self) -> &Path {
        &self.nodes
    }

    /// The file for `curl --cacert`.
    pub(super) fn authorities(&self) -> PathBuf {
        self.nodes.join(AUTHORITIES_ENTRY)
    }

    /// Renews due certificates before any node runs: each node reads the newest files.
    pub(super) fn renew_before_start(
        &self,
        cluster: &ValidatedCluster,
    ) -> anyhow::Result<StoredPki> {
        let mut before = self.read()?;
        for _ in 0..STEPS_OF_A_START {
            let (after, _) = self.renew(cluster, &before, &[])?;
            if after == before {
                break;
            }
            before = after;
        }
        Ok(before)
    }

    /// Checks daily whether a certificate is due, for ever. `ask` gives the proofs of running nodes, by the stored
    /// certificates. A failure is tried again, because nodes have ten months, and `report` gets its words: once a day while they
    /// stay the same.
    pub(super) async fn keep_renewing(
        &self,
        cluster: &ValidatedCluster,
        ask: impl AsyncFn(&StoredPki) -> anyhow::Result<Vec<Trust>>,
        report: impl Fn(&str),
    ) {
        let mut pause = EVERY;
        let mut reported: Option<(String, Instant)> = None;
        loop {
            tokio::time::sleep(pause).await;
            pause = match self.renew_running(cluster, &ask).await {
                Ok(is_waiting) => {
                    reported = None;
                    if is_waiting { SOON } else { EVERY }
                }
                Err(error) => {
                    let words = format!("{error:#}");
                    let is_known = |(before, at): &(String, Instant)| {
                        *before == words && at.elapsed() < REPORTED
                    };
                    if !reported.as_ref().is_some_and(is_known) {
                        report(&words);
                        reported = Some((words, Instant::now()));
                    }
                    AGAIN
                }
            };
        }
    }

    /// Renews due certificates while nodes run. Returns whether the next check must come soon.
    async fn renew_running(
        &self,
        cluster: &ValidatedCluster,
        ask: &impl AsyncFn(&StoredPki) -> anyhow::Result<Vec<Trust>>,
    ) -> anyhow::Result<bool> {
        let before = self.read()?;
        let running = ask(&before).await?;
        let (after, is_waiting) = self.renew(cluster, &before, &running)?;
        Ok(is_waiting || after != before)
    }

    /// The stored certificates after all due steps, and whether a renewal of the authority is under way.
    fn renew(
        &self,
        cluster: &ValidatedCluster,
        before: &StoredPki,
        running: &[Trust],
    ) -> anyhow::Result<(StoredPki, bool)> {
        let (now, names) = ((self.clock)(), local_names(&cluster.spec.tls.alt_names));
        self.try_out(before, &names, now)?;
        let wanted = cluster.spec.tls.authority.rotate.as_deref();
        let file = self.authority.join(ROTATION);
        let carried_out = fs::read_to_string(&file).ok();
        let plan = plan(&Situation {
            stored: before,
            now,
            names: &names,
            rotation_asked: wanted.is_some() && carried_out.as_deref() != wanted,
            given: None,
            shown: before.authority.as_ref().map(|newest| shown(newest, now)),
            running,
        });
        let after = execute(before, &plan, cluster.name.as_str(), &names, now)?;
        if after != *before {
            replace(&self.being_written(), b"")?;
            write(&self.authority, authority_entries(&after))?;
            fs::remove_file(self.being_written())?;
            write(&self.nodes, tls_entries(&after))?;
        }
        let begins = matches!(
            plan.authority,
            AuthorityStep::Create | AuthorityStep::Rotate | AuthorityStep::Adopt
        );
        if let Some(nonce) = wanted.filter(|_| begins) {
            replace(&file, nonce.as_bytes())?;
        }
        let is_waiting = plan.waiting.is_some();
        Ok((after, is_waiting))
    }

    /// Refuses an authority of the user's own that is of no use, before any node gets it. The user's files stay as they are. One
    /// that has ended is replaced, as the operator's own is.
    fn try_out(&self, stored: &StoredPki, names: &AltNames, now: Timestamp) -> anyhow::Result<()> {
        let why = match &stored.authority {
            Some(authority) if stored.bundle.contains(&authority.certificate) => return Ok(()),
            Some(authority) => try_out(authority, names, now).err(),
            None => {
                let files = entries(&self.authority)?.unwrap_or_default();
                let of_authority = [CERTIFICATE_ENTRY, PRIVATE_KEY_ENTRY];
                let is_there = of_authority.iter().any(|name| files.contains_key(*name));
                let is_half_written = self.being_written().exists();
                (is_there && !is_half_written).then_some(Unusable::Unreadable)
            }
        };
        let Some(why) = why.filter(|why| !matches!(why, Unusable::Ended(_))) else {
            return Ok(());
        };
        let folder = self.authority.display();
        bail!(
            "the authority in {folder} is of no use: {why}; put tls.crt and tls.key of a usable one there, or have another one made: \
             rm -r '{folder}'"
        )
    }

    /// Is there while the authority is written: what a kill leaves of it is no one's own, and is made anew.
    fn being_written(&self) -> PathBuf {
        self.authority.with_extension("writing")
    }

    fn read(&self) -> anyhow::Result<StoredPki> {
        let (authority, nodes) = (entries(&self.authority)?, entries(&self.nodes)?);
        Ok(from_entries(authority.as_ref(), nodes.as_ref()))
    }
}

/// Since when clients can read an authority: they read it where nodes do. A time to come is of a clock that was ahead.
fn shown(newest: &Authority, now: Timestamp) -> Timestamp {
    let created = newest.created();
    if created > now {
        Timestamp::MIN
    } else {
        created
    }
}

/// Reports a renewal that failed. Without standard error nothing can be reported.
pub(super) fn report(words: &str) {
    let _ = writeln!(
        io::stderr(),
        "osc-operator: certificates are not renewed, which is tried again: {words}"
    );
}

/// The proofs of nodes, each from its own status.
pub(super) async fn proved(
    folder: &ClusterFolder,
    nodes: &[NodeProcess],
    stored: &StoredPki,
) -> anyhow::Result<Vec<Trust>> {
    // With the present certificates: those of the start end some day.
    let client = folder.node_client(Some(stored))?;
    let said = join_all(nodes.iter().map(|node| client.status(node.address()))).await;
    let proofs = nodes.iter().zip(&said);
    Ok(proofs
        .map(|(node, said)| trust(node.name(), said.as_ref()))
        .collect())
}

fn trust(node: &str, said: Option<&NodeDetails>) -> Trust {
    let certificates = said.and_then(|details| details.tls.as_ref()?.node.as_ref());
    let Some(certificates) = certificates else {
        return Trust {
            node: node.to_owned(),
            ..Trust::default()
        };
    };
    let accepts = certificates.authorities.iter().flatten();
    Trust {
        node: node.to_owned(),
        accepts: accepts.map(|text| Fingerprint::new(text)).collect(),
        shows: certificates.leaf.as_deref().map(Fingerprint::new),
    }
}

/// The files of a folder; `None` where there is none.
fn entries(folder: &Path) -> anyhow::Result<Option<StoredEntries>> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        listed => listed.with_context(|| format!("cannot read {}", folder.display()))?,
    };
    let mut entries = StoredEntries::new();
    for file in listed {
        let path = file?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            let content =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            entries.insert(name.to_owned(), content);
        }
    }
    Ok(Some(entries))
}

/// Writes these files, and removes all others except the record of the rotation.
fn write(folder: &Path, files: std::collections::BTreeMap<String, String>) -> anyhow::Result<()> {
    create_folder(folder)?;
    for name in entries(folder)?.unwrap_or_default().keys() {
        if !files.contains_key(name) && name != ROTATION {
            fs::remove_file(folder.join(name))?;
        }
    }
    for (name, text) in files {
        replace(&folder.join(name), text.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
