//! Most reconciles find no change. Such a reconcile only looks: at the watches, and at the nodes. It writes and orders nothing;
//! where there is work, the operator decides anew from the API server's own state at that moment.

use std::{
    fmt::{self, Write},
    hash::{DefaultHasher, Hasher},
};

use super::{
    apply, build::ClusterResources, dereference::DereferencedObjects, packed::Packed, pause::Pause,
    rollout::Accepted,
};

/// A kind that the operator can do without and may not write, with the API server's words.
pub(super) type RefusedKind = (String, String);

/// The result of the last whole read of a cluster with nothing to do.
#[derive(Debug)]
pub(super) struct Settled<F = DereferencedObjects> {
    /// A number for the watched objects before the read.
    pub(super) fingerprint: u64,
    /// The generation of the resource.
    pub(super) generation: Option<i64>,
    /// The objects that were read, without those in the watches, and without the accepted template.
    pub(super) found: F,
    /// That.
    pub(super) accepted: Option<Packed<Accepted>>,
    /// The result of that reconcile.
    pub(super) conclusion: Conclusion,
}

impl<F> Settled<F> {
    /// Whether nothing has changed since.
    pub(super) fn stands(&self, fingerprint: Option<u64>, generation: Option<i64>) -> bool {
        Some(self.fingerprint) == fingerprint && self.generation == generation
    }

    /// The accepted pod template.
    pub(super) fn accepted(&self) -> Option<Accepted> {
        self.accepted.as_ref()?.open()
    }
}

/// The result of a reconcile with nothing to do.
#[derive(Debug, Default)]
pub(super) struct Conclusion {
    /// A number for the wanted state; `None` where the cluster stood still.
    pub(super) wanted: Option<u64>,
    /// The objects that could not be written.
    pub(super) refused: Vec<RefusedKind>,
    /// The changes that wait while the resource is paused.
    pub(super) waits: Vec<String>,
}

impl Conclusion {
    /// The result, with the waiting changes of a paused resource.
    pub(super) fn of(wanted: Option<u64>, refused: Vec<RefusedKind>, pause: Option<Pause>) -> Self {
        Self {
            wanted,
            refused,
            waits: pause.map(|pause| pause.waits).unwrap_or_default(),
        }
    }
}

/// The permission of a reconcile.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mandate<'a> {
    /// To write and to order: everything was read from the API server itself.
    Act,
    /// To look, for as long as the last whole read still stands.
    Look(&'a Conclusion),
}

impl Mandate<'_> {
    /// Whether anything may be written or ordered.
    ///
    /// # Errors
    /// Where this reconcile may only look.
    pub(super) fn may_act(self) -> Result<(), apply::Error> {
        match self {
            Self::Act => Ok(()),
            Self::Look(_) => Err(apply::Error::OnlyLooked),
        }
    }
}

/// A number that changes with the wanted state.
pub(super) fn number_of<W: fmt::Debug>(resources: &ClusterResources<W>) -> u64 {
    struct Hashing(DefaultHasher);
    impl Write for Hashing {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut hashing = Hashing(DefaultHasher::new());
    // It cannot fail: the hasher accepts everything.
    let _ = write!(hashing, "{resources:?}");
    hashing.0.finish()
}
