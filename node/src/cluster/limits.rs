//! The intervals and limits of the engine, all of them: how often it does what, for how long it waits, and how much one message or
//! one transaction takes. What an administrator sets is in [`Setup`](super::Setup) instead.

use std::time::Duration;

/// Greetings, and when a node counts as healthy.
pub(super) mod heartbeats {
    use super::Duration;

    /// A node that is not heard otherwise is greeted this often.
    pub(in crate::cluster) const HEARTBEAT: Duration = Duration::from_secs(1);
    /// A node that was silent for longer is not healthy.
    pub(in crate::cluster) const SILENCE: Duration = Duration::from_millis(2500);
    /// How often a node that calls by itself is asked all the same: its own calls may be forged.
    pub(in crate::cluster) const ASKED_AGAIN: Duration = Duration::from_secs(5);
    /// How often a node that does not belong here is asked again.
    pub(in crate::cluster) const REFUSED: Duration = Duration::from_secs(5);
    /// After a failure an address is tried again after this; each time twice as long,
    pub(in crate::cluster) const FIRST_RETRY: Duration = Duration::from_millis(200);
    /// up to this.
    pub(in crate::cluster) const LONGEST_RETRY: Duration = Duration::from_secs(5);
    /// Nodes that are no members, and at no address of the list, of which this node remembers a greeting.
    pub(in crate::cluster) const STRANGERS: usize = 256;
    /// Rosters that differ are exchanged this often at most.
    pub(in crate::cluster) const ROSTER_PAUSE: Duration = Duration::from_millis(100);
}

/// The feed of changes.
pub(super) mod feed {
    use super::Duration;

    /// Rows in one message at most.
    pub(in crate::cluster) const ROWS: usize = 512;
    /// Runs of changes of which it is known that their writers reported them, at most.
    pub(in crate::cluster) const TOLD: usize = 1024;
    /// Changes that a node only passes on are collected for so long: the node that made them reports them at once. They are passed
    /// on where that came to nothing.
    pub(in crate::cluster) const RELAY_PAUSE: Duration = Duration::from_millis(100);
}

/// Joining, and becoming ready.
pub(super) mod joining {
    use super::Duration;

    /// Rows of one page of a snapshot at most.
    pub(in crate::cluster) const ROWS: usize = 1000;
    /// For so long a node that starts waits at most for its own address to lead to it.
    pub(in crate::cluster) const LOOKS_FOR_ITSELF: Duration = Duration::from_secs(10);
    /// For so long a node waits at most until a member's writes wait for it again: a member that cannot call it never gets its
    /// acknowledgement.
    pub(in crate::cluster) const WAITED_FOR: Duration = Duration::from_secs(10);
}

/// The roster: a caller with the cluster key can have itself admitted under any number of names.
pub(super) mod roster {
    /// Members, and nodes that join or leave, at most; a node beyond them is not admitted.
    pub(in crate::cluster) const MEMBERS: usize = 1024;
    /// Incarnations at most, also those that are over: a node beyond them is not admitted.
    pub(in crate::cluster) const INCARNATIONS: usize = 4096;
    /// A roster with more of them, or with more removals, is damage. Sources that admit at the same time exceed the former limit by
    /// a few.
    pub(in crate::cluster) const MOST: usize = 2 * INCARNATIONS;
}

/// Accusations of other nodes.
pub(super) mod suspicion {
    use super::Duration;

    /// A suspicion that stays unanswered for so long suspends no longer: the member may be down, and a forged greeting in its
    /// name must not stop a cluster. Until it is settled this node gives no snapshots, purges nothing, and feeds only rows
    /// younger than the grace period.
    pub(in crate::cluster) const TIMEOUT: Duration = Duration::from_secs(10);
    /// For so long after an answer that settled a suspicion, greetings in that member's name raise none.
    pub(in crate::cluster) const TRUST: Duration = Duration::from_mins(1);
    /// How often a member is asked at most, where a greeting in its name accuses this node.
    pub(in crate::cluster) const ASK_PAUSE: Duration = Duration::from_millis(20);
}

/// Rounds of digests, and the repair of what they find.
pub(super) mod digests {
    use super::Duration;

    /// How often digests are compared.
    pub(in crate::cluster) const ROUND: Duration = Duration::from_mins(5);
    /// How old a row must be to be compared: long enough to be everywhere, or on its way through a feed.
    pub(in crate::cluster) const AGE: Duration = Duration::from_mins(10);
    /// A node that has just started, or whose scan failed, does other work first.
    pub(in crate::cluster) const TIMEOUT: Duration = Duration::from_secs(10);
    /// A member that has no digest yet is asked again after this.
    pub(in crate::cluster) const PAUSE: Duration = Duration::from_secs(5);
    /// The least time between two requests for rows.
    pub(in crate::cluster) const REPAIR_PAUSE: Duration = Duration::from_secs(1);
    /// Rows in one request.
    pub(in crate::cluster) const ROWS: usize = 32;
    /// Listed rows that one transaction looks up in the table at most.
    pub(in crate::cluster) const LOOKED_UP: usize = 512;
    /// Into how many parts a table is divided.
    pub(in crate::cluster) const BUCKETS: u16 = 4096;
    /// Buckets whose entries one round lists at most.
    pub(in crate::cluster) const LISTED_BUCKETS: usize = 64;
    /// Entries that one round lists at most.
    pub(in crate::cluster) const LISTED_ENTRIES: usize = 4096;
}

/// Tombstones that are forgotten.
pub(super) mod purge {
    use super::Duration;

    /// How often the engine looks for tombstones to purge.
    pub(in crate::cluster) const INTERVAL: Duration = Duration::from_secs(10);
    /// Tombstones that one transaction purges at most.
    pub(in crate::cluster) const ROWS: usize = 512;
}

/// Clocks that cannot be right.
pub(super) mod stamps {
    use super::Duration;

    /// How often each alarm is logged at most: the sender of such stamps may send them without pause.
    pub(in crate::cluster) const PAUSE: Duration = Duration::from_mins(1);
    /// How far ahead of this node's wall clock a caller may name an unknown version: more than the difference between the nodes'
    /// wall clocks, and too little to harm the clocks of the cluster.
    pub(in crate::cluster) const NAMED_AHEAD: Duration = Duration::from_hours(1);
}

/// Federated: values of an earlier life.
pub(super) mod values {
    /// Values that one step takes back at most.
    pub(in crate::cluster) const ROWS: usize = 256;
}
