//! Most reconciles find everything as it was. Such a one only looks: at what the watches have shown, and at the nodes. It writes and orders
//! nothing; where there is something to do, that is decided anew from what the API server itself holds at that moment.

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

/// What was found when a cluster was last read as a whole and nothing was to be done.
#[derive(Debug)]
pub(super) struct Settled<F = DereferencedObjects> {
    /// What the watches had shown before it was read.
    pub(super) fingerprint: u64,
    /// The generation of the resource.
    pub(super) generation: Option<i64>,
    /// What was read, without what the watches keep, and without the accepted template.
    pub(super) found: F,
    /// That.
    pub(super) accepted: Option<Packed<Accepted>>,
    /// What came of it.
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

/// What came of a reconcile that found nothing to do.
#[derive(Debug, Default)]
pub(super) struct Conclusion {
    /// What was wanted, as a number; `None` where the cluster stood still.
    pub(super) wanted: Option<u64>,
    /// What could not be written.
    pub(super) refused: Vec<RefusedKind>,
    /// What waits while the resource is paused.
    pub(super) waits: Vec<String>,
}

impl Conclusion {
    /// With what waits where the resource is paused.
    pub(super) fn of(wanted: Option<u64>, refused: Vec<RefusedKind>, pause: Option<Pause>) -> Self {
        Self {
            wanted,
            refused,
            waits: pause.map(|pause| pause.waits).unwrap_or_default(),
        }
    }
}

/// What a reconcile may do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mandate<'a> {
    /// To write and to order: everything was read from the API server itself.
    Act,
    /// To look, for as long as what was read last still stands.
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

/// A number that changes with what is wanted.
pub(super) fn number_of<W: fmt::Debug>(resources: &ClusterResources<W>) -> u64 {
    struct Hashing(DefaultHasher);
    impl Write for Hashing {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut hashing = Hashing(DefaultHasher::new());
    // It cannot fail: the hasher takes everything.
    let _ = write!(hashing, "{resources:?}");
    hashing.0.finish()
}
