//! Federated: the rows are a directory, and the ciphertexts stay in a table of their own with the node that wrote them.
//!
//! The node that wrote the current version of an entry is its owner, and holds its value exactly as long as the directory names
//! that version. Only a node that began a new life holds values of its earlier one, until it has taken them back.

use super::{Engine, Event, Now, Output};
use crate::{
    cluster::limits::values::ROWS,
    cluster::{LocalStatus, Mode, Rule, Rules, State, Tables},
    domain::{Content, Fingerprint, Identity, Incarnation, Row, Seal, Version},
};

/// Rows and bytes that one step reads when a database with entries becomes a directory.
const PAGE: (usize, usize) = (512, 1 << 20);

/// The outcome for a value that a node holds from an earlier life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReclaimOutcome {
    /// It is the current value, or its writer's later one: this node owns it again.
    TakenBack,
    /// The current value is lost; this earlier one is kept as the loser of a conflict.
    SetAside,
    /// The entry is deleted, or another node's.
    Dropped,
}

/// Judges a held value by the directory. A row that the directory does not know became a conflict with the snapshot.
fn fate(
    row: Option<&Row>,
    (held, token): (Version, &str),
    rules: Rules,
    owner_belongs: impl Fn(Incarnation) -> bool,
) -> ReclaimOutcome {
    let Some(row) = row.filter(|row| !row.is_tombstone()) else {
        return ReclaimOutcome::Dropped;
    };
    let is_it = || row.content.as_ref().is_some_and(|it| it.is_of(token));
    // The same writer wrote it later: it knew the version that the directory names. One that went back may have given another
    // value the stamp of the lost one.
    let is_later = row.version < held
        || (row.version == held && is_it())
        || !rules.hold(Rule::EarlierValuesDoNotStandIn);
    let goes_on = row.version.incarnation == held.incarnation && is_later;
    let belongs = owner_belongs(row.version.incarnation);
    // A life between took it back, and no other node heard of that.
    if goes_on || (!belongs && is_it()) {
        ReclaimOutcome::TakenBack
    } else if belongs || !rules.hold(Rule::EarlierValuesAreSetAside) {
        ReclaimOutcome::Dropped
    } else {
        ReclaimOutcome::SetAside
    }
}

impl Engine {
    pub(super) fn is_federated(&self) -> bool {
        self.setup.mode == Mode::Federated
    }

    /// The content of a row of this node for a value; in a directory the value itself is kept beside it.
    pub(super) fn keep_value<T: Tables>(
        &mut self,
        tables: &mut T,
        identity: &Identity,
        version: Version,
        token: String,
        seal: Option<Seal>,
    ) -> Result<Content, T::Error> {
        if !self.is_federated() {
            return Ok(Content::Token(token));
        }
        tables.put_value(identity, version, &token, seal)?;
        Ok(Content::Fingerprint(Fingerprint::of(&token)))
    }

    /// Drops the value of an entry whose later version came from a member.
    pub(super) fn let_value_go<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        row: &Row,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        if !self.is_federated() || !self.setup.rules.hold(Rule::ValuesFollowTheDirectory) {
            return Ok(());
        }
        let Some((held, token)) = tables.value(&row.identity)? else {
            return Ok(());
        };
        if held == row.version {
            return Ok(());
        }
        // A value of an earlier life is judged once this node holds the rows of the others. Until then this row may be an earlier
        // version of the very value.
        if self.takes_back && held.incarnation != self.incarnation {
            return Ok(());
        }
        let mut row = row.clone();
        row.set_seal(tables.value_seal(&row.identity)?);
        tables.drop_value(&row.identity)?;
        // A version of its own that it does not know shows a node that it went back, so its earlier value is all there is.
        let went_back = row.version.incarnation == self.incarnation && !row.is_tombstone();
        if went_back && self.setup.rules.hold(Rule::EarlierValuesAreSetAside) {
            out.push(Output::Event(Event::Conflict(row.identity.clone())));
            self.set_aside(tables, now, row, (held, token))?;
        }
        Ok(())
    }

    /// A value of an earlier life was set aside, or taken back under an earlier version, because the source of a snapshot did
    /// not know of it; now the directory names it after all.
    pub(super) fn find_value_again<T: Tables>(
        &mut self,
        tables: &mut T,
        row: &Row,
    ) -> Result<(), T::Error> {
        let is_missed = self.is_federated()
            && !row.is_tombstone()
            && !self.belongs_still(row.version.incarnation)
            && self.setup.rules.hold(Rule::ValuesAreFoundAgain);
        if is_missed
            && tables.value(&row.identity)?.is_none()
            && let Some(token) = tables.take_conflict(row)?
        {
            tables.put_value(&row.identity, row.version, &token, row.seal())?;
            self.takes_back = true;
            self.changed.rows = true;
        }
        Ok(())
    }

    /// Keeps an earlier value of an entry as the loser of a conflict. `row` has the seal of that value.
    fn set_aside<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        row: Row,
        (held, token): (Version, String),
    ) -> Result<(), T::Error> {
        let earlier = Row {
            content: Some(Content::Token(token)),
            version: held,
            clocks: [(held.incarnation, held.clock)].into(),
            ..row
        };
        self.changed.rows = true;
        tables.put_conflict(&earlier, earlier.hash(), now.wall)
    }

    /// Drops the value of an entry that is deleted here.
    pub(super) fn delete_value<T: Tables>(
        &mut self,
        tables: &mut T,
        identity: &Identity,
    ) -> Result<(), T::Error> {
        if self.is_federated() && self.setup.rules.hold(Rule::ValuesFollowTheDirectory) {
            tables.drop_value(identity)?;
        }
        Ok(())
    }

    /// A losing row with its ciphertext, where this node has that.
    pub(super) fn with_value<T: Tables>(
        &self,
        tables: &mut T,
        row: &Row,
    ) -> Result<Option<Row>, T::Error> {
        if !self.is_federated() || !self.setup.rules.hold(Rule::LosersKeepTheirValues) {
            return Ok(Some(row.clone()));
        }
        let held = tables.value(&row.identity)?;
        let held = held.filter(|(version, _)| *version == row.version);
        Ok(held.map(|(_, token)| Row {
            content: Some(Content::Token(token)),
            ..row.clone()
        }))
    }

    /// Makes a directory of the entries that the database of the bootstrapping node has.
    pub(super) fn own_all_entries<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
    ) -> Result<(), T::Error> {
        if !self.is_federated() || !self.setup.rules.hold(Rule::BootstrapNodeIsHome) {
            return Ok(());
        }
        let mut after: Option<Identity> = None;
        loop {
            let page = tables.page(after.as_ref(), PAGE.0, PAGE.1)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.row.identity.clone());
            for found in page {
                if let Some(Content::Token(token)) = &found.row.content {
                    let token = token.clone();
                    self.own(tables, now, found.row, token)?;
                }
            }
        }
    }

    /// Writes an entry unchanged under a version of this node, which becomes its owner. The version is no news: it comes right
    /// after the earlier one, so that any later write of another node wins.
    pub(super) fn own<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        mut row: Row,
        token: String,
    ) -> Result<Version, T::Error> {
        let clock = if self.setup.rules.hold(Rule::OwnersWriteNothingNew) {
            row.version.clock.next()
        } else {
            self.clock.tick(now.wall, Some(row.version.clock))
        };
        self.clock.merge(clock);
        let version = Version {
            clock,
            incarnation: self.incarnation,
        };
        row.version = version;
        row.clocks.insert(self.incarnation, version.clock);
        row.content = Some(self.keep_value(tables, &row.identity, version, token, row.seal())?);
        let seq = self.next_own_seq(&row.identity);
        tables.put_row(&row, row.hash(), seq)?;
        Ok(version)
    }

    /// Checks whether the table holds values of an earlier life.
    pub(super) fn look_for_earlier_values<T: Tables>(
        &mut self,
        tables: &mut T,
    ) -> Result<(), T::Error> {
        self.takes_back = self.is_federated()
            && self.setup.rules.hold(Rule::ValuesAreTakenBack)
            && match self.membership.status {
                // Its life is over.
                LocalStatus::Fenced(_) => tables.has_values()?,
                LocalStatus::Blank | LocalStatus::Member => {
                    !tables.earlier_values(self.incarnation, 1)?.is_empty()
                }
            };
        Ok(())
    }

    /// Takes values of an earlier life back, some at a time, once this node holds the rows of the others.
    pub(super) fn take_back<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), T::Error> {
        if !self.takes_back || !self.is_source() {
            return Ok(());
        }
        let (mut taken, mut set_aside) = (0, 0);
        for identity in tables.earlier_values(self.incarnation, ROWS)? {
            let Some((held, token)) = tables.value(&identity)? else {
                continue;
            };
            let mut row = tables.row(&identity)?;
            let fate = fate(row.as_ref(), (held, &token), self.setup.rules, |owner| {
                self.belongs_still(owner)
            });
            if let Some(row) = &mut row
                && row.version != held
            {
                row.set_seal(tables.value_seal(&identity)?);
            }
            match (fate, row) {
                (ReclaimOutcome::TakenBack, Some(row)) => {
                    self.own(tables, now, row, token)?;
                    taken += 1;
                    continue;
                }
                (ReclaimOutcome::SetAside, Some(row)) => {
                    self.set_aside(tables, now, row, (held, token))?;
                    set_aside += 1;
                }
                _ => {}
            }
            tables.drop_value(&identity)?;
        }
        self.changed.rows = true;
        if taken + set_aside > 0 {
            out.push(Output::Event(Event::ValuesTakenBack { taken, set_aside }));
        }
        self.look_for_earlier_values(tables)
    }

    /// Whether a node's values are still with it, reachable or not.
    fn belongs_still(&self, owner: Incarnation) -> bool {
        let state = self.states.get(&owner);
        state.is_some_and(|state| !matches!(state, State::Removed | State::Superseded))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{Clock, ConfigKey, Environment, Timestamp};

    fn version(clock: i64, writer: i64) -> Version {
        Version {
            clock: Clock::from_raw(clock),
            incarnation: Incarnation::from_raw(writer),
        }
    }

    fn row(clock: i64, writer: i64, live: bool) -> Row {
        Row {
            identity: Identity {
                environment: Environment::default(),
                key: ConfigKey::new("k".into()).unwrap(),
            },
            category: None,
            content: live.then(|| Content::Fingerprint(Fingerprint::of("gAAAA"))),
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
            version: version(clock, writer),
            clocks: BTreeMap::new(),
            extra: None,
        }
    }

    /// The fate of version 5 of life 1; life 2 belongs to the cluster, life 1 and life 3 do not.
    fn fate_of(row: Option<&Row>) -> ReclaimOutcome {
        fate_of_token(row, "earlier")
    }

    fn fate_of_token(row: Option<&Row>, token: &str) -> ReclaimOutcome {
        let held = (version(5, 1), token);
        fate(row, held, Rules::ALL, |owner| owner.raw() == 2)
    }

    #[test]
    fn a_value_that_a_life_between_took_back_unheard_is_taken_back_again() {
        let lost = row(4, 3, true);
        assert_eq!(
            fate_of_token(Some(&lost), "gAAAA"),
            ReclaimOutcome::TakenBack
        );
        let others = row(4, 2, true);
        assert_eq!(
            fate_of_token(Some(&others), "gAAAA"),
            ReclaimOutcome::Dropped
        );
    }

    #[test]
    fn the_current_value_is_taken_back_and_so_is_one_that_its_writer_made_of_it() {
        let current = row(5, 1, true);
        assert_eq!(
            fate_of_token(Some(&current), "gAAAA"),
            ReclaimOutcome::TakenBack
        );
        assert_eq!(fate_of(Some(&row(4, 1, true))), ReclaimOutcome::TakenBack);
    }

    #[test]
    fn another_value_under_the_stamp_of_the_lost_one_is_set_aside() {
        assert_eq!(fate_of(Some(&row(5, 1, true))), ReclaimOutcome::SetAside);
    }

    #[test]
    fn an_older_value_never_passes_for_the_one_that_is_lost() {
        assert_eq!(fate_of(Some(&row(6, 1, true))), ReclaimOutcome::SetAside);
        assert_eq!(fate_of(Some(&row(6, 3, true))), ReclaimOutcome::SetAside);
    }

    #[test]
    fn what_is_deleted_or_somebody_elses_is_not_brought_back() {
        assert_eq!(fate_of(None), ReclaimOutcome::Dropped);
        assert_eq!(fate_of(Some(&row(4, 1, false))), ReclaimOutcome::Dropped);
        assert_eq!(fate_of(Some(&row(4, 2, true))), ReclaimOutcome::Dropped);
        assert_eq!(fate_of(Some(&row(6, 2, true))), ReclaimOutcome::Dropped);
    }
}
