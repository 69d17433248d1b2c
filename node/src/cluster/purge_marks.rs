//! Which purge marks a greeting carries. A node inherits one from each source between it and the first node, so their number
//! grows with the lives of a cluster; a greeting is short, and comes every second.

use std::collections::BTreeSet;

use super::{PurgeMarks, Roster};
use crate::domain::Incarnation;

/// The most marks in a greeting, about 16 KiB. A database that went back lacks the latest of them, if it lacks any: it is from
/// before the nodes that made them.
const MOST_SENT: usize = 512;

/// The inherited marks of `me` that may matter to the addressee of a greeting, the latest ones last. `to` is `None` where this
/// node does not know who is there.
///
/// A mark matters to no node whose snapshot comes, by way of any number of sources, from the node that took the mark over
/// first: the cursor came with the snapshot, in the transaction in which the incarnation began. The roster shows that: each
/// incarnation was admitted by its source. (Those of earlier releases admitted themselves: all marks are for them.)
/// Marks of removed members stay: what removes them may turn out void, and the addressee may know that.
pub(super) fn marks_for(
    inherited: &PurgeMarks,
    roster: &Roster,
    me: Incarnation,
    to: Option<Incarnation>,
) -> PurgeMarks {
    if inherited.is_empty() {
        return PurgeMarks::new();
    }
    let theirs: BTreeSet<_> = to
        .map(|to| roster.sources_of(to).collect())
        .unwrap_or_default();
    // The sources above the first common one.
    let held: BTreeSet<_> = roster
        .sources_of(me)
        .skip_while(|source| !theirs.contains(source))
        .skip(1)
        .collect();
    let mut marks: PurgeMarks = inherited
        .iter()
        .filter(|(of, _)| !held.contains(of))
        .copied()
        .collect();
    let surplus = marks.len().saturating_sub(MOST_SENT);
    marks.drain(..surplus);
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::{MemberName, Phase, RosterEntry, Seq},
        domain::{Clock, Version},
    };

    fn life(number: i64) -> Incarnation {
        Incarnation::from_raw(number)
    }

    /// A roster of these incarnations and their sources.
    fn roster(admitted: impl IntoIterator<Item = (i64, i64)>) -> Roster {
        let mut roster = Roster::default();
        for (number, source) in admitted {
            let entry = RosterEntry {
                name: MemberName::new(format!("node-{}", number % 2)),
                admitted: Version {
                    clock: Clock::from_raw(number),
                    incarnation: life(source),
                },
                phase: Phase::Member,
            };
            roster.admit(life(number), entry);
        }
        roster
    }

    fn marks(of: impl IntoIterator<Item = i64>) -> PurgeMarks {
        of.into_iter()
            .map(|number| (life(number), Seq::from_raw(number)))
            .collect()
    }

    #[test]
    fn a_node_gets_the_marks_that_were_made_since_its_own_snapshot() {
        // 1 bootstrapped; 2 and 3 joined from 1, 4 from 3, 5 from 4 and 6 from 5; 7 joined from 4.
        let roster = roster([(1, 1), (2, 1), (3, 1), (4, 3), (5, 4), (6, 5), (7, 4)]);
        let inherited = marks([1, 3, 4, 5]);
        let to = |number| marks_for(&inherited, &roster, life(6), Some(life(number)));
        assert_eq!(to(1), marks([1, 3, 4, 5]));
        assert_eq!(to(2), marks([1, 3, 4, 5]));
        assert_eq!(to(3), marks([3, 4, 5]));
        assert_eq!(to(4), marks([4, 5]));
        assert_eq!(to(7), marks([4, 5]));
        assert_eq!(to(5), marks([5]));
    }

    #[test]
    fn an_unknown_node_and_one_that_admitted_itself_get_all() {
        let roster = roster([(1, 1), (2, 1), (3, 2), (9, 9)]);
        let inherited = marks([1, 2]);
        let to = |node| marks_for(&inherited, &roster, life(3), node);
        assert_eq!(to(None), inherited);
        assert_eq!(to(Some(life(8))), inherited);
        assert_eq!(to(Some(life(9))), inherited);
    }

    #[test]
    fn a_greeting_has_room_for_the_marks_of_any_number_of_lives() {
        let lives = 10_000;
        let roster = roster((1..=lives).map(|number| (number, (number - 1).max(1))));
        let inherited = marks(1..lives);
        let of_a_stranger = marks_for(&inherited, &roster, life(lives), None);
        assert_eq!(of_a_stranger, marks(lives - 512..lives));
        let of_the_other = marks_for(&inherited, &roster, life(lives), Some(life(lives - 1)));
        assert_eq!(of_the_other, marks([lives - 1]));
    }

    #[test]
    fn a_roster_whose_sources_go_in_a_circle_ends_the_search() {
        let roster = roster([(1, 2), (2, 1)]);
        assert_eq!(
            marks_for(&marks([1]), &roster, life(2), Some(life(3))),
            marks([1])
        );
    }
}
