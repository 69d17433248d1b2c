//! The merge of two versions of one entry: the last writer wins, and a concurrent loser is reported.

use crate::domain::Row;

/// The outcome of a row's arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// The stored row is the same or newer. `lost` when the writer of the arriving row did not know it.
    Stale {
        /// The arriving value is a loser that a user may want back.
        lost: bool,
    },
    /// The arriving row replaces the stored one. `lost` when the writer of the arriving row did not know that one.
    Newer {
        /// The stored value is a loser that a user may want back.
        lost: bool,
    },
}

/// Decides between a stored and an arriving row. The same pair gives the same winner on every node.
pub fn merge(stored: Option<&Row>, arriving: &Row) -> Merge {
    // A stamp that no clock can have made is damage, and no version is older than that.
    let Some(stored) = stored.filter(|stored| stored.version.clock.is_plausible()) else {
        return Merge::Newer { lost: false };
    };
    if stored.stamp() >= arriving.stamp() {
        Merge::Stale {
            lost: !arriving.is_tombstone() && !stored.contains(arriving),
        }
    } else {
        Merge::Newer {
            lost: !stored.is_tombstone() && !arriving.contains(stored),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        Clock, ConfigKey, Content, Environment, Identity, Incarnation, Timestamp, Version,
    };

    fn row(clock: i64, writer: i64, token: Option<&str>, knew: &[(i64, i64)]) -> Row {
        let stamp = |clock, writer| (Incarnation::from_raw(writer), Clock::from_raw(clock));
        let mut clocks: BTreeMap<_, _> = knew.iter().map(|(c, w)| stamp(*c, *w)).collect();
        clocks.extend([stamp(clock, writer)]);
        Row {
            identity: Identity {
                environment: Environment::default(),
                key: ConfigKey::new("k".into()).unwrap(),
            },
            category: None,
            content: token.map(|token| Content::Token(token.to_owned())),
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
            version: Version {
                clock: Clock::from_raw(clock),
                incarnation: Incarnation::from_raw(writer),
            },
            clocks,
            extra: None,
        }
    }

    #[test]
    fn a_version_written_over_another_is_no_conflict_however_many_lie_between() {
        let first = row(1, 1, Some("a"), &[]);
        let fifth = row(5, 1, Some("e"), &[]);
        let by_another = row(6, 2, Some("f"), &[(5, 1)]);
        assert_eq!(merge(Some(&first), &fifth), Merge::Newer { lost: false });
        assert_eq!(
            merge(Some(&fifth), &by_another),
            Merge::Newer { lost: false }
        );
        assert_eq!(
            merge(Some(&by_another), &first),
            Merge::Stale { lost: false }
        );
    }

    #[test]
    fn two_writers_who_did_not_know_of_each_other_make_a_loser_on_either_side() {
        let one = row(1, 1, Some("a"), &[]);
        let other = row(2, 2, Some("b"), &[]);
        assert_eq!(merge(Some(&one), &other), Merge::Newer { lost: true });
        assert_eq!(merge(Some(&other), &one), Merge::Stale { lost: true });
    }

    #[test]
    fn a_tombstone_is_never_a_loser_that_anybody_wants_back() {
        let deleted = row(1, 1, None, &[]);
        let written = row(2, 2, Some("b"), &[]);
        assert_eq!(
            merge(Some(&deleted), &written),
            Merge::Newer { lost: false }
        );
        assert_eq!(
            merge(Some(&written), &deleted),
            Merge::Stale { lost: false }
        );
    }

    #[test]
    fn a_row_meets_itself_without_consequence() {
        let row = row(1, 1, Some("a"), &[]);
        assert_eq!(
            merge(Some(&row), &row.clone()),
            Merge::Stale { lost: false }
        );
    }

    proptest! {
        #[test]
        fn every_order_of_arrival_ends_with_the_same_row(
            rows in proptest::collection::vec((0..6_i64, 0..3_i64, 0..3_u8), 1..8),
            order in any::<u64>(),
        ) {
            let rows: Vec<_> = rows
                .iter()
                .map(|(clock, writer, token)| {
                    let token = ["a", "b"].get(usize::from(*token)).copied();
                    row(*clock, *writer, token, &[])
                })
                .collect();
            let arrive = |rows: &[Row]| {
                rows.iter().fold(None::<Row>, |stored, arriving| {
                    match merge(stored.as_ref(), arriving) {
                        Merge::Newer { .. } => Some(arriving.clone()),
                        Merge::Stale { .. } => stored,
                    }
                })
            };
            let mut shuffled = rows.clone();
            shuffled.sort_by_key(|row| (row.hash().0[0] ^ u8::try_from(order & 0xff).unwrap(), row.hash()));
            prop_assert_eq!(arrive(&rows), arrive(&shuffled));
        }
    }
}
