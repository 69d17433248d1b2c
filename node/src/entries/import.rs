//! Entries of another database. They stay encrypted, and never replace any.

use super::{Error, Session};
use crate::{
    cluster::{AckLevel, Change, Expected, ImportOutcome, ImportedEntry, Write},
    crypto::token_time,
    domain::{Category, Identity},
    store::{EntryStore, WriteError},
};

impl Session<'_> {
    /// Adds an entry where there is none of its name; with `dry_run` only returns whether it would.
    pub(crate) async fn bring(
        &self,
        mut entry: ImportedEntry,
        dry_run: bool,
        level: AckLevel,
    ) -> Result<ImportOutcome, Error> {
        let (token, seal) = entry.value();
        let ImportedEntry {
            environment,
            key,
            category,
            created_at,
            ..
        } = entry;
        let identity = Identity::of(&environment, &key);
        let category = category.map(Category::new);
        let (Some(identity), None | Some(Some(_)), Some(_)) =
            (identity, &category, token_time(&token))
        else {
            return Ok(ImportOutcome::Unusable);
        };
        // Of many entries each has the time of a request.
        let session = self.renewed();
        loop {
            let stored = session.store().find(&identity).await?;
            match stored.as_ref().and_then(|row| row.content.as_ref()) {
                Some(present) => {
                    let outcome = if present.is_of(&token) {
                        ImportOutcome::Present
                    } else {
                        ImportOutcome::Taken
                    };
                    let version = stored.as_ref().map(|row| row.version);
                    if session.confirm(&identity, version).await? {
                        return Ok(outcome);
                    }
                    continue;
                }
                None if dry_run => return Ok(ImportOutcome::Written),
                None => {}
            }
            let write = Write {
                identity: identity.clone(),
                seen: Expected::NothingLive,
                named: None,
                change: Change::Bring {
                    category: category.clone().flatten(),
                    token: token.clone(),
                    seal,
                    created_at,
                },
            };
            match session.store().commit(write, level).await {
                Ok(_) => return Ok(ImportOutcome::Written),
                Err(WriteError::Changed) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
