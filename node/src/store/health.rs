//! Whether the store accepts writes, for observers.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

/// Whether the store accepts writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum WriteHealth {
    /// It does.
    Accepting = 0,
    /// Not enough free space for creates and updates.
    DiskFull = 1,
    /// The last transaction failed.
    Failing = 2,
}

impl WriteHealth {
    /// Its text in `/health`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Accepting => "accepted",
            Self::DiskFull => "refused: disk full",
            Self::Failing => "refused: the last transaction failed",
        }
    }
}

/// A [`WriteHealth`] that the writer sets and others read.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedWriteHealth(Arc<AtomicU8>);

impl SharedWriteHealth {
    pub(crate) fn get(&self) -> WriteHealth {
        match self.0.load(Ordering::Relaxed) {
            1 => WriteHealth::DiskFull,
            2 => WriteHealth::Failing,
            _ => WriteHealth::Accepting,
        }
    }

    /// Sets it, and logs a change.
    pub(crate) fn set(&self, health: WriteHealth) {
        let before = self.get();
        self.0.store(health as u8, Ordering::Relaxed);
        match health {
            _ if health == before => {}
            WriteHealth::Accepting => tracing::info!("writes_accepted_again"),
            WriteHealth::DiskFull | WriteHealth::Failing => {
                tracing::error!(reason = health.text(), "writes_refused");
            }
        }
    }
}
