//! What the values in a state stand for, by the names of their types and fields.
//!
//! A value that no table names counts as it is: where a table is out of date, the search takes one state for two and becomes
//! slower, and never takes two states for one.

/// What a value stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Itself; a duration, for a moment since the beginning.
    Itself,
    /// Nothing on which a decision depends.
    Nothing,
    Name,
    /// The name of a process: a turn that follows is one of its.
    ProcessEpoch,
    /// A name among the requests of the node.
    Exchange,
    /// A salt as it travels.
    Salt,
    /// What may be shown of a salt.
    SaltFingerprint,
    Clock,
    /// The number of a greeting of the process that is named before it.
    Turn,
    /// The number of a greeting of the node itself.
    OwnTurn,
    /// A duration that is no moment.
    Length,
    /// Part of a duration, in units of so many nanoseconds.
    Nanos(i128),
}

/// The meaning of what is in a type of one unnamed field.
pub(crate) fn of_type(name: &str) -> Meaning {
    match name {
        "Incarnation" | "ClusterUid" => Meaning::Name,
        "ProcessEpoch" => Meaning::ProcessEpoch,
        "ExchangeId" => Meaning::Exchange,
        "WireSalt" => Meaning::Salt,
        "Clock" => Meaning::Clock,
        "Timestamp" => Meaning::Nothing,
        _ => Meaning::Itself,
    }
}

/// The meaning of what is in a field, outside of types that have a meaning of their own.
pub(crate) fn of_field(of: &str, field: &str) -> Meaning {
    match (of, field) {
        ("Engine", "exchanges" | "purge_due") | ("Contact", "offset_micros") => Meaning::Nothing,
        ("Engine", "roster_fingerprint") | ("PeerInfo", "roster") => Meaning::Name,
        ("PeerInfo", "salt") => Meaning::SaltFingerprint,
        ("PeerInfo", "turn" | "heard") | ("Suspicion", "confirmed") => Meaning::Turn,
        ("Engine", "lives" | "turn" | "began_at_turn") | ("Contact", "process_heard_at") => {
            Meaning::OwnTurn
        }
        ("Setup", "grace" | "sync_interval") => Meaning::Length,
        ("Duration", "secs") => Meaning::Nanos(1_000_000_000),
        ("Duration", "nanos") => Meaning::Nanos(1),
        _ => Meaning::Itself,
    }
}
