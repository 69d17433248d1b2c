//! Answers to other nodes about local values. They come from this node alone: no question is passed on.

use std::sync::Arc;

use futures::future::join_all;

use super::{Error, Session};
use crate::{
    cluster::{
        AckLevel, Change, Expected, HandedOver, OwnersWrite, ValueAnswer, ValueRefusal,
        WireIdentity, Write,
    },
    domain::{Content, Row},
    log::{AUDIT, logged_name},
    store::{EntryStore, Measured, ReadError, WriteError},
};

impl Session<'_> {
    /// The length of the value of an entry on this node, in bytes; 0 where this node does not know it.
    pub(crate) async fn length_here(&self, entry: &WireIdentity) -> Result<usize, Error> {
        let (Some(identity), Some(federation)) = (entry.clone().into_identity(), &self.federation)
        else {
            return Ok(0);
        };
        let of = Measured::Value(identity);
        Ok(federation.replica.content_bytes(&of).await?)
    }

    /// The row of an entry on this node; `None` where it is unknown, or damaged.
    pub(crate) async fn find_here(&self, entry: WireIdentity) -> Result<Option<Arc<Row>>, Error> {
        match entry.into_identity() {
            Some(identity) => match self.store.find(&identity).await {
                // The answer goes on with the other entries.
                Err(ReadError::Damaged { .. }) => Ok(None),
                found => Ok(found?),
            },
            None => Ok(None),
        }
    }

    /// Changes an entry that this node owns in the version that was checked.
    pub(crate) async fn change(&self, write: OwnersWrite) -> ValueAnswer {
        let OwnersWrite {
            entry,
            over,
            named,
            level,
            put,
        } = write;
        let Some(identity) = entry.into_identity() else {
            return ValueAnswer::Refused(ValueRefusal::Failed);
        };
        let is_owner = match self.store.find(&identity).await {
            Ok(row) => row.is_some_and(|row| matches!(row.content, Some(Content::Token(_)))),
            Err(_) => return ValueAnswer::Refused(ValueRefusal::Failed),
        };
        if !is_owner {
            return ValueAnswer::Refused(ValueRefusal::Changed);
        }
        let written = identity.clone();
        let write = Write {
            identity,
            seen: Expected::Version(over),
            named,
            change: put.into(),
        };
        match self.store.commit(write, level).await {
            Ok(done) => {
                tracing::info!(
                target: AUDIT,
                        key = %logged_name(written.key.as_str()),
                        environment = %logged_name(written.environment.as_str()),
                        principal = %self.principal(),
                        "value_written_for_peer"
                    );
                ValueAnswer::Written(done)
            }
            Err(error) => ValueAnswer::Refused(match error {
                WriteError::Changed => ValueRefusal::Changed,
                WriteError::NotServing(reason) => ValueRefusal::NotServing(reason.to_owned()),
                WriteError::DiskFull => ValueRefusal::DiskFull,
                WriteError::Failed(_)
                | WriteError::Away(_)
                | WriteError::Lost(_)
                | WriteError::Unknown
                | WriteError::OthersRefused
                | WriteError::Closed => ValueRefusal::Failed,
            }),
        }
    }

    /// Adopts values of a leaving home node; returns how many.
    pub(crate) async fn adopt(&self, values: Vec<HandedOver>) -> usize {
        let adopted = join_all(values.into_iter().map(|value| self.adopt_one(value))).await;
        adopted.into_iter().filter(|adopted| *adopted).count()
    }

    /// Adopts a value of a leaving owner.
    async fn adopt_one(&self, value: HandedOver) -> bool {
        let Some(identity) = value.entry.into_identity() else {
            return false;
        };
        let write = Write {
            identity,
            seen: Expected::Version(value.version),
            named: None,
            change: Change::Adopt { token: value.token },
        };
        self.store.commit(write, AckLevel::Local).await.is_ok()
    }
}
