//! Federated: the knowledge of a node's directory, and the nodes that it must ask.

use std::collections::BTreeMap;

use super::{Address, MemberState, MemberView, Seq, View};
use crate::domain::Incarnation;

/// The place of the value of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueLocation {
    /// This node.
    Here,
    /// That member.
    At(Place),
    /// A member that does not answer.
    Silent {
        /// Its name.
        name: String,
    },
    /// No node: its writer does not belong any more, and no other member can have taken the value back.
    Gone,
    /// Perhaps no node has it, but these were not asked or have not looked yet.
    Unclear {
        /// Their names.
        names: Vec<String>,
    },
}

/// A member that can be asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Where it answers.
    pub address: Address,
    /// Whether it keeps the seals of values: a release from before there were any does not.
    pub keeps_seals: bool,
}

/// The head of each member's feed, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heads(BTreeMap<Incarnation, Seq>);

impl View {
    /// The place of the values of versions that this database wrote.
    pub fn holder(&self, writer: Incarnation) -> ValueLocation {
        if writer == self.incarnation {
            return ValueLocation::Here;
        }
        let known = self.members.iter().find(|member| {
            // A member that has left may still come back with its values.
            member.incarnation == writer && (member.counts || member.state == MemberState::Left)
        });
        match known {
            Some(MemberView {
                name,
                reachable: true,
                address: Some(address),
                keeps_seals,
                ..
            }) => ValueLocation::At(Place {
                name: name.clone(),
                address: address.clone(),
                keeps_seals: *keeps_seals,
            }),
            Some(member) => ValueLocation::Silent {
                name: member.name.clone(),
            },
            None => {
                let names = self.perhaps_holding();
                if names.is_empty() {
                    ValueLocation::Gone
                } else {
                    ValueLocation::Unclear { names }
                }
            }
        }
    }

    /// Members that this node has not heard lately: it may lack entries that they made.
    pub fn not_heard(&self) -> Vec<String> {
        self.counting()
            .filter(|member| !member.reachable)
            .map(|member| member.name.clone())
            .collect()
    }

    /// Nodes that may hold values of an earlier life.
    fn perhaps_holding(&self) -> Vec<String> {
        let mut names = self.not_heard();
        names.extend(self.taking_back.iter().cloned());
        names
    }

    /// Where the feeds of the members end now.
    pub fn heads(&self) -> Heads {
        Heads(
            self.counting()
                .map(|member| (member.incarnation, member.head))
                .collect(),
        )
    }

    /// Whether this node holds all feeds up to there, of members that still belong.
    pub fn holds(&self, heads: &Heads) -> bool {
        self.behind(heads).is_empty()
    }

    /// Members whose feeds this node does not hold up to these heads.
    pub fn behind(&self, Heads(heads): &Heads) -> Vec<String> {
        self.counting()
            .filter(|member| {
                let head = heads.get(&member.incarnation);
                head.is_some_and(|head| member.received < *head)
            })
            .map(|member| member.name.clone())
            .collect()
    }

    fn counting(&self) -> impl Iterator<Item = &MemberView> {
        self.members.iter().filter(|member| member.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Clock;

    fn life(number: i64) -> Incarnation {
        Incarnation::from_raw(number)
    }

    fn member(number: i64, reachable: bool) -> MemberView {
        MemberView {
            name: format!("n{number}"),
            incarnation: life(number),
            state: MemberState::Member,
            reachable,
            healthy: reachable,
            ready: reachable,
            lag: 0,
            behind: 0,
            clock_offset_micros: 0,
            release: String::new(),
            salt: None,
            keeps_seals: true,
            entries: 0,
            digest: None,
            address: Some(Address::new(format!("n{number}:9000"))),
            counts: true,
            knows_roster: true,
            head: Seq::from_raw(7),
            received: Seq::from_raw(5),
        }
    }

    fn view(members: Vec<MemberView>) -> View {
        View {
            incarnation: life(1),
            state: MemberState::Member,
            not_ready: None,
            suspended: None,
            waits_for_owner: false,
            fenced: None,
            cluster_uid: None,
            head: Seq::START,
            purged_clock: Clock::default(),
            digest: None,
            members,
            unknown: 0,
            unseen: 0,
            taking_back: Vec::new(),
        }
    }

    #[test]
    fn a_reachable_owner_is_asked_and_a_silent_one_is_named() {
        let view = view(vec![member(2, true), member(3, false)]);
        assert_eq!(view.holder(life(1)), ValueLocation::Here);
        let place = Place {
            name: "n2".into(),
            address: Address::new("n2:9000"),
            keeps_seals: true,
        };
        assert_eq!(view.holder(life(2)), ValueLocation::At(place));
        let silent = ValueLocation::Silent { name: "n3".into() };
        assert_eq!(view.holder(life(3)), silent);
        assert_eq!(view.not_heard(), ["n3"]);
    }

    #[test]
    fn a_value_is_lost_only_when_nobody_can_have_taken_it_back() {
        let unclear = |names: &[&str]| ValueLocation::Unclear {
            names: names.iter().map(ToString::to_string).collect(),
        };
        let all_heard = view(vec![member(2, true), member(3, true)]);
        assert_eq!(all_heard.holder(life(9)), ValueLocation::Gone);
        let one_silent = view(vec![member(2, true), member(3, false)]);
        assert_eq!(one_silent.holder(life(9)), unclear(&["n3"]));
        let mut busy = all_heard;
        busy.taking_back = vec!["n1".into()];
        assert_eq!(busy.holder(life(9)), unclear(&["n1"]));
    }

    #[test]
    fn the_value_of_one_that_has_left_is_not_lost_before_it_is_removed() {
        let mut left = member(2, true);
        (left.state, left.counts, left.reachable) = (MemberState::Left, false, false);
        let silent = ValueLocation::Silent { name: "n2".into() };
        assert_eq!(view(vec![left]).holder(life(2)), silent);
    }

    #[test]
    fn a_directory_is_current_once_it_passed_the_heads_of_that_moment() {
        let mut view = view(vec![member(2, true)]);
        let heads = view.heads();
        assert!(!view.holds(&heads));
        (view.members[0].head, view.members[0].received) = (Seq::from_raw(99), Seq::from_raw(7));
        assert!(view.holds(&heads));
    }
}
