//! Alarms about stamps that no clock, or none that is looked after, can have made.

use std::time::Duration;

use super::{Engine, Event, Now, Output};
use crate::{
    cluster::limits::stamps::PAUSE,
    cluster::{PeerInfo, Rule},
    domain::{Clock, Row, RowHash},
};

/// When alarms were given last.
#[derive(Debug, Default)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub(super) struct Alarms {
    damage: Option<Duration>,
    future: Option<Duration>,
}

impl Engine {
    /// Whether this node may accept rows of a node: rows that move its clock far ahead, only from members.
    pub(super) fn may_move_clock(
        &mut self,
        now: Now,
        from: &PeerInfo,
        rows: &[(Row, RowHash)],
        out: &mut Vec<Output>,
    ) -> bool {
        let latest = rows.iter().map(|(row, _)| row.version.clock).max();
        let is_member = self.states.contains_key(&from.incarnation);
        latest.is_none_or(|latest| self.may_move_to(now, from, latest, is_member, out))
    }

    /// Whether a node may move this node's clock to a reading. Where that is far ahead, this is logged.
    pub(super) fn may_move_to(
        &mut self,
        now: Now,
        from: &PeerInfo,
        latest: Clock,
        is_member: bool,
        out: &mut Vec<Output>,
    ) -> bool {
        if latest <= self.clock.high_water() || !latest.is_far_ahead_of(now.wall) {
            return true;
        }
        self.tell_of_future(now, from, latest, out);
        is_member || !self.setup.rules.hold(Rule::OnlyMembersMoveClocks)
    }

    /// Logs that a roster or a snapshot arrived with a stamp that no clock can have made.
    pub(super) fn tell_of_damage(&mut self, now: Now, from: &PeerInfo, out: &mut Vec<Output>) {
        if is_due(&mut self.alarms.damage, now) {
            out.push(Output::Event(Event::DamagedArrival {
                name: from.name.clone(),
            }));
        }
    }

    /// Logs that a stamp is far ahead of this node's clock.
    pub(super) fn tell_of_future(
        &mut self,
        now: Now,
        from: &PeerInfo,
        clock: Clock,
        out: &mut Vec<Output>,
    ) {
        if is_due(&mut self.alarms.future, now) {
            out.push(Output::Event(Event::FutureStamp {
                name: from.name.clone(),
                clock,
            }));
        }
    }
}

fn is_due(last: &mut Option<Duration>, now: Now) -> bool {
    let due = last.is_none_or(|last| now.elapsed.saturating_sub(last) >= PAUSE);
    if due {
        *last = Some(now.elapsed);
    }
    due
}
