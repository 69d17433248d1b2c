//! `osc-node import`: brings the entries of another database in through the running node, as ciphertext.

use std::{io::Write, path::Path, time::Duration};

use anyhow::{Context, bail};

use super::RunningNode;
use crate::{
    cluster::{IMPORT_PATH, ImportAnswer, ImportOrder, ImportOutcome, ImportedEntry},
    config::Config,
    domain::Identity,
    store::sqlite::ImportSource,
};

/// A page may be committed by slow disks, and wait for other nodes.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The result of an import.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    /// Entries that were written, or would be.
    pub(crate) written: u64,
    /// Entries that were there already.
    pub(crate) present: u64,
    /// Names under which the node has another value.
    pub(crate) taken: Vec<Identity>,
    /// Entries that cannot be taken.
    pub(crate) unusable: Vec<Identity>,
    /// Rows of an original that are no entries.
    pub(crate) set_aside: u64,
}

impl Imported {
    /// Whether everything that the source holds is in the node now.
    pub(crate) fn is_complete(&self) -> bool {
        self.taken.is_empty() && self.unusable.is_empty() && self.set_aside == 0
    }
}

/// Imports the entries of the database at `from` into the running node with this configuration. Reports its progress.
///
/// # Errors
/// Where the database cannot be read, was written with another salt, or the node refuses. Entries that were written so far
/// stand, and a second run goes on with the rest.
pub(crate) async fn import(
    config: &Config,
    from: &Path,
    salt_file: Option<&Path>,
    dry_run: bool,
    progress: &mut impl Write,
) -> anyhow::Result<Imported> {
    let node = RunningNode::of(config)?;
    let source = ImportSource::open(from, salt_file)?;
    let salt = source.salt().fingerprint().to_string();
    let status = node.status().await?;
    match status.details.salt_fingerprint {
        None => bail!("the node has no salt yet: let it bootstrap or join its cluster first"),
        Some(theirs) if theirs != salt => bail!(
            "{} was written with another salt ({salt}) than the node's ({theirs}), so its values would never open there. \
             A holder of the user keys reads them through the API of a node on that database, and writes them through the API \
             of this one",
            from.display()
        ),
        Some(_) => {}
    }
    let (total, set_aside) = source.count()?;
    let mut imported = Imported {
        set_aside,
        ..Imported::default()
    };
    let (mut after, mut done) = (None, 0_u64);
    loop {
        let page = source.page(after.as_ref())?;
        let Some(last) = page.last else {
            return Ok(imported);
        };
        after = Some(last);
        done += u64::try_from(page.damaged.len() + page.entries.len()).unwrap_or(0);
        imported.unusable.extend(page.damaged);
        if !page.entries.is_empty() {
            let order = ImportOrder {
                salt: salt.clone(),
                dry_run,
                entries: page.entries.iter().map(ImportedEntry::from).collect(),
            };
            let answer: ImportAnswer = node
                .order(IMPORT_PATH, &order, TIMEOUT)
                .await
                .with_context(|| {
                    format!("after {} entries; run it again to go on", imported.written)
                })?;
            if answer.outcomes.len() != page.entries.len() {
                bail!("the node answered for other entries than it was sent");
            }
            for (row, outcome) in page.entries.into_iter().zip(answer.outcomes) {
                match outcome {
                    ImportOutcome::Written => imported.written += 1,
                    ImportOutcome::Present => imported.present += 1,
                    ImportOutcome::Taken => imported.taken.push(row.identity),
                    ImportOutcome::Unusable => imported.unusable.push(row.identity),
                }
            }
        }
        // If no reader takes the progress, the import goes on.
        let _ = writeln!(progress, "{done} of {total} entries");
    }
}
