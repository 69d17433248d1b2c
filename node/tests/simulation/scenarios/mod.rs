//! The executions of `executions.md`, by their numbers. Each returns the rule that was broken, so that the tests of switches
//! can run it with one rule left out.
//!
//! Not here: 31, which is the operator's: see
//! `a_pod_that_never_belonged_is_simply_taken_away` in `operator/src/cluster/scaling.rs`. 8 is half here: that a loser is kept
//! with its own stamp; that restoring one wants the key of the winner too is the API's. 24 is half here: what a full node
//! acknowledges and admits; how much room deletes need is the store's. 23 is half here: that a dead life is not waited
//! for; the reading with `X-OSC-Min-Version` is the API's. 22 and 29 have unit tests beside them, in `cluster/merge.rs`
//! (`a_version_written_over_another_is_no_conflict_however_many_lie_between`) and `cluster/roster.rs`
//! (`a_removal_stands_although_its_issuer_is_removed_later`).

pub(crate) mod bootstrap;
pub(crate) mod digests;
pub(crate) mod federated;
pub(crate) mod fencing;
pub(crate) mod impostors;
pub(crate) mod joining;
pub(crate) mod leaving;
pub(crate) mod purging;
pub(crate) mod relaying;
pub(crate) mod snapshots;
pub(crate) mod strangers;
pub(crate) mod unfencing;
pub(crate) mod writing;

/// Declares a test for each scenario: with all rules it must come to a good end.
macro_rules! scenarios {
    ($($name:ident)*) => {
        #[cfg(test)]
        mod tests {
            use opensecureconf_node::cluster::Rules;
            $(
                #[test]
                fn $name() {
                    super::$name(Rules::ALL).unwrap();
                }
            )*
        }
    };
}
pub(crate) use scenarios;
