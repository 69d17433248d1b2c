//! One entry as its clients know it: the effect of each operation, and the effects that a promotion may undo.

/// The value of a write. No two writes of a history have the same.
pub(super) type Number = u64;

/// The request of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Read,
    Create(Number),
    /// A change of any value.
    Put(Number),
    /// A change of the value of this write (`If-Match`).
    PutOver {
        seen: Number,
        number: Number,
    },
    Delete,
    /// A delete of the value of this write (`If-Match`).
    DeleteOver {
        seen: Number,
    },
    /// No client's call: a standby takes the place of its primary.
    Promotion,
}

/// The answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A read showed the value of this write, or that there is no entry.
    Shown(Option<Number>),
    /// It was done.
    Done,
    /// Not done: there is an entry of that name (400).
    Exists,
    /// Not done: there is no such entry (404).
    Missing,
    /// Not done: the entry has another version (412).
    OtherVersion,
    /// It was done, or will be, or never.
    Unknown,
}

/// The state of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    /// The value that no promotion undoes.
    durable: Option<Number>,
    /// The results of later writes of unknown outcome, in their order: a promotion undoes the last ones of them, or all, or
    /// none.
    unconfirmed: Vec<Option<Number>>,
}

impl Entry {
    /// The value that a read shows.
    pub(super) fn shown(&self) -> Option<Number> {
        self.unconfirmed.last().copied().unwrap_or(self.durable)
    }

    /// The state before the last write of unknown outcome.
    pub(super) fn without_last(&self) -> Self {
        let mut before = self.clone();
        before.unconfirmed.pop();
        before
    }

    /// Whether reads showed this value before one of the last `writes` writes of unknown outcome.
    pub(super) fn showed_before(&self, writes: usize, shown: Option<Number>) -> bool {
        let states = std::iter::once(&self.durable).chain(&self.unconfirmed);
        let first = self.unconfirmed.len().saturating_sub(writes);
        states.skip(first).any(|state| *state == shown)
    }

    /// The states in which an operation may leave it; none where it cannot have had this outcome here.
    pub(super) fn after(&self, call: Call, outcome: Outcome) -> Vec<Self> {
        if call == Call::Promotion {
            return self.promoted();
        }
        let shown = self.shown();
        let effect = effect(call, shown);
        let durable = |durable| Self {
            durable,
            unconfirmed: Vec::new(),
        };
        let after = match outcome {
            // A read may show a value that a failover then loses.
            Outcome::Shown(number) => (call == Call::Read && number == shown).then(|| self.clone()),
            // An acknowledged write is durable, and so are all writes before it.
            Outcome::Done => effect.map(|Left(left)| durable(left)),
            // The state that made the node refuse a write is durable too.
            Outcome::Exists | Outcome::Missing | Outcome::OtherVersion => {
                (refusal(call, shown) == Some(outcome)).then(|| durable(shown))
            }
            Outcome::Unknown => effect.map(|Left(left)| {
                let mut after = self.clone();
                after.unconfirmed.push(left);
                after
            }),
        };
        after.into_iter().collect()
    }

    fn promoted(&self) -> Vec<Self> {
        let states = std::iter::once(&self.durable).chain(&self.unconfirmed);
        let kept = states.map(|durable| Self {
            durable: *durable,
            unconfirmed: Vec::new(),
        });
        kept.collect()
    }
}

/// The value that a write leaves.
struct Left(Option<Number>);

/// The result of a write; `None` where the state does not allow it.
fn effect(call: Call, shown: Option<Number>) -> Option<Left> {
    match (call, shown) {
        (Call::Create(number), None) | (Call::Put(number), Some(_)) => Some(Left(Some(number))),
        (Call::PutOver { seen, number }, Some(there)) if there == seen => Some(Left(Some(number))),
        (Call::Delete, Some(_)) => Some(Left(None)),
        (Call::DeleteOver { seen }, Some(there)) if there == seen => Some(Left(None)),
        _ => None,
    }
}

/// The refusal of a write; `None` where the state allows it.
fn refusal(call: Call, shown: Option<Number>) -> Option<Outcome> {
    if effect(call, shown).is_some() {
        return None;
    }
    match (call, shown) {
        (Call::Create(_), Some(_)) => Some(Outcome::Exists),
        (Call::PutOver { .. } | Call::DeleteOver { .. }, Some(_)) => Some(Outcome::OtherVersion),
        (Call::Put(_) | Call::PutOver { .. } | Call::Delete | Call::DeleteOver { .. }, None) => {
            Some(Outcome::Missing)
        }
        _ => None,
    }
}
