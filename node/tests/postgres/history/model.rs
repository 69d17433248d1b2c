//! One entry as its clients know it: what each operation does to it, and what a promotion may undo.

/// What a write gives an entry. No two writes of a history give the same.
pub(super) type Number = u64;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Read,
    Create(Number),
    /// A change of whatever is there.
    Put(Number),
    /// A change of what this write gave (`If-Match`).
    PutOver {
        seen: Number,
        number: Number,
    },
    Delete,
    /// A delete of what this write gave (`If-Match`).
    DeleteOver {
        seen: Number,
    },
    /// No client's: a standby takes the place of its primary.
    Promotion,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A read showed what this write gave, or that there is no entry.
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
    /// What no promotion undoes.
    durable: Option<Number>,
    /// What writes of unknown outcome left since, in their order: a promotion undoes the last ones of them, or all, or none.
    unconfirmed: Vec<Option<Number>>,
}

impl Entry {
    /// What a read shows.
    pub(super) fn shown(&self) -> Option<Number> {
        self.unconfirmed.last().copied().unwrap_or(self.durable)
    }

    /// The state before the last write of unknown outcome.
    pub(super) fn without_last(&self) -> Self {
        let mut before = self.clone();
        before.unconfirmed.pop();
        before
    }

    /// Whether reads showed this before one of the last writes of unknown outcome, of which there are so many.
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
            // A read may show what a failover then loses.
            Outcome::Shown(number) => (call == Call::Read && number == shown).then(|| self.clone()),
            // What was acknowledged is durable, and all that it came after.
            Outcome::Done => effect.map(|Left(left)| durable(left)),
            // So is what keeps a caller from a write.
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

/// What a write leaves of an entry.
struct Left(Option<Number>);

/// What a write leaves where it is done; `None` where it cannot be.
fn effect(call: Call, shown: Option<Number>) -> Option<Left> {
    match (call, shown) {
        (Call::Create(number), None) | (Call::Put(number), Some(_)) => Some(Left(Some(number))),
        (Call::PutOver { seen, number }, Some(there)) if there == seen => Some(Left(Some(number))),
        (Call::Delete, Some(_)) => Some(Left(None)),
        (Call::DeleteOver { seen }, Some(there)) if there == seen => Some(Left(None)),
        _ => None,
    }
}

/// With what a write is refused; `None` where it is not.
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
