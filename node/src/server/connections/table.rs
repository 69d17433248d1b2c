//! The open connections, and which of them ends first when they become scarce.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{activity::Activity, limits::ConnectionLimits};
use crate::domain::Origin;

/// Of all connections so many more may be about to end: the sixteenth part.
const CUT_PART: usize = 16;

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There are as many as there may be.
    Full,
    /// The last places are kept for addresses without a connection.
    Reserved,
    /// This address has its share.
    Address,
}

impl Refused {
    /// The label of the metric.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Reserved => "reserved",
            Self::Address => "address",
        }
    }
}

/// The table of one port, or of several that share their limits. Clones are one table.
#[derive(Debug, Clone)]
pub(crate) struct SharedTable {
    pub(super) limits: ConnectionLimits,
    table: Arc<Mutex<ConnectionTable>>,
}

impl SharedTable {
    /// A table of no connections.
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        let table = ConnectionTable::new(limits.clone());
        Self {
            limits,
            table: Arc::new(Mutex::new(table)),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ConnectionTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The open connections of a table. The order of their numbers is their age.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    limits: ConnectionLimits,
    next: u64,
    open: BTreeMap<u64, (Origin, Arc<Activity>)>,
    /// Connections without a proven key at their last check.
    unproved: BTreeSet<u64>,
    /// Connections that have to end, and take leave of their clients. They keep their places until others need them.
    leaving: BTreeMap<u64, Arc<Activity>>,
    /// Connections whose places others have got: they end at their next poll.
    cut: BTreeSet<u64>,
    /// How many connections an origin has that may go on; none has 0.
    of_origin: HashMap<Origin, usize>,
}

impl ConnectionTable {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            next: 0,
            open: BTreeMap::new(),
            unproved: BTreeSet::new(),
            leaving: BTreeMap::new(),
            cut: BTreeSet::new(),
            of_origin: HashMap::new(),
        }
    }

    /// Admits a connection and gives it a number, or the reason of a refusal. Where connections are scarce, another one has to
    /// end.
    pub(super) fn admit(
        &mut self,
        address: IpAddr,
        activity: impl FnOnce(u64) -> Arc<Activity>,
    ) -> Result<u64, Refused> {
        let origin = Origin::from(address);
        let of_origin = self.of_origin.get(&origin).copied().unwrap_or_default();
        let share = self.limits.share_of(address);
        if share.is_some_and(|share| of_origin >= share) {
            return Err(Refused::Address);
        }
        if self.taken() >= self.limits.scarce_from() {
            self.evict_one();
        }
        if self.refusal(of_origin).is_some() {
            self.cut_one();
        }
        if let Some(refused) = self.refusal(of_origin) {
            return Err(refused);
        }
        self.next += 1;
        let id = self.next;
        self.open.insert(id, (origin, activity(id)));
        self.unproved.insert(id);
        *self.of_origin.entry(origin).or_default() += 1;
        Ok(id)
    }

    /// A connection has ended.
    pub(super) fn ended(&mut self, id: u64) {
        if self.cut.remove(&id) || self.leaving.remove(&id).is_some() {
            return;
        }
        self.unproved.remove(&id);
        if let Some((origin, _)) = self.open.remove(&id) {
            self.one_less(origin);
        }
    }

    /// Why an origin with so many connections gets no place now.
    fn refusal(&self, of_origin: usize) -> Option<Refused> {
        match self.limits.maximum.saturating_sub(self.taken()) {
            0 => Some(Refused::Full),
            left if left <= self.limits.reserved && of_origin > 0 => Some(Refused::Reserved),
            _ => None,
        }
    }

    /// Places that are not free.
    fn taken(&self) -> usize {
        self.open.len() + self.leaving.len()
    }

    fn one_less(&mut self, origin: Origin) {
        if let Some(count) = self.of_origin.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.of_origin.remove(&origin);
            }
        }
    }

    /// Ends the oldest connection that never proved a key, otherwise the one that has been idle longest.
    fn evict_one(&mut self) {
        let victim = self.oldest_unproved().or_else(|| {
            let idle = self.open.iter();
            idle.filter_map(|(id, (_, open))| Some((open.idle_since()?, *id)))
                .min()
                .map(|(_, id)| id)
        });
        let victim = victim.and_then(|id| self.open.remove_entry(&id));
        if let Some((id, (origin, victim))) = victim {
            self.one_less(origin);
            victim.evict();
            self.leaving.insert(id, victim);
        }
    }

    /// Removes the oldest connection without a proven key from the set. A connection with a proven key leaves the set for good:
    /// under a flood this runs for each connection.
    fn oldest_unproved(&mut self) -> Option<u64> {
        while let Some(id) = self.unproved.pop_first() {
            let open = self.open.get(&id);
            if open.is_some_and(|(_, open)| !open.mark.has_proved()) {
                return Some(id);
            }
        }
        None
    }

    /// Gives the place of an ending connection to one that needs it now. The file of the former stays open until its next poll,
    /// so there are only a few of these.
    fn cut_one(&mut self) {
        if self.cut.len() >= (self.limits.maximum / CUT_PART).max(1) {
            return;
        }
        if let Some((id, leaving)) = self.leaving.pop_first() {
            leaving.mark.cut_off.cut();
            self.cut.insert(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::{api::ConnectionMark, config::Timeouts};

    fn table(maximum: usize) -> ConnectionTable {
        let trusted = vec!["10.0.0.0/8".parse().unwrap()];
        let timeouts = Timeouts::default();
        ConnectionTable::new(ConnectionLimits::of_clients(
            (maximum, 32),
            true,
            1,
            trusted,
            timeouts,
        ))
    }

    fn admit(table: &mut ConnectionTable, address: &str) -> Result<Arc<Activity>, Refused> {
        let address: IpAddr = address.parse().unwrap();
        let mut made = None;
        table.admit(address, |id| {
            let mark = ConnectionMark::new(SocketAddr::new(address, 1), id);
            let activity = Arc::new(Activity::new(mark));
            made = Some(Arc::clone(&activity));
            activity
        })?;
        Ok(made.unwrap())
    }

    #[test]
    fn one_address_holds_a_quarter_and_a_trusted_proxy_more() {
        let mut table = table(64);
        for _ in 0..16 {
            admit(&mut table, "192.0.2.1").unwrap();
        }
        assert_eq!(
            admit(&mut table, "192.0.2.1").unwrap_err(),
            Refused::Address
        );
        for _ in 0..20 {
            admit(&mut table, "10.0.0.1").unwrap();
        }
        table.ended(1);
        admit(&mut table, "192.0.2.1").unwrap();
    }

    #[test]
    fn a_network_of_ipv6_holds_a_quarter_however_many_of_its_addresses_connect() {
        let mut table = table(64);
        for n in 0..16 {
            admit(&mut table, &format!("2001:db8::{n:x}")).unwrap();
        }
        let refused = admit(&mut table, "2001:db8::ffff").unwrap_err();
        assert_eq!(refused, Refused::Address);
        admit(&mut table, "2001:db8:0:1::1").unwrap();
        table.ended(1);
        admit(&mut table, "2001:db8::ffff").unwrap();
    }

    #[test]
    fn the_last_connections_are_kept_for_one_of_each_network_of_ipv6() {
        let mut table = table(64);
        let mut take = |address: &str| admit(&mut table, address).map(|open| open.mark.prove());
        for n in 0..48 {
            take(&format!("192.0.2.{}", n % 4)).unwrap();
        }
        take("2001:db8::1").unwrap();
        assert_eq!(take("2001:db8::2").unwrap_err(), Refused::Reserved);
        take("2001:db8:0:1::1").unwrap();
    }

    #[test]
    fn the_last_connections_are_kept_for_addresses_without_one() {
        let mut table = table(64);
        // None of them ends for another: they have proved a key, and are not idle.
        let mut take = |address: &str| admit(&mut table, address).map(|open| open.mark.prove());
        for n in 0..48 {
            take(&format!("192.0.2.{}", n % 4)).unwrap();
        }
        assert_eq!(take("192.0.2.1").unwrap_err(), Refused::Reserved);
        take("198.51.100.1").unwrap();
        assert_eq!(take("198.51.100.1").unwrap_err(), Refused::Reserved);
        for n in 2..=16 {
            take(&format!("198.51.100.{n}")).unwrap();
        }
        assert_eq!(admit(&mut table, "203.0.113.1").unwrap_err(), Refused::Full);
    }

    #[test]
    fn a_flood_gets_the_places_of_those_that_were_told_to_end_before_they_have_ended() {
        let mut table = table(64);
        for n in 0..1_000_u32 {
            let address = format!("198.51.{}.{}", n / 250, n % 250);
            let new = admit(&mut table, &address).unwrap();
            assert!(table.taken() <= 64, "{n}");
            // Connections that were cut off end soon, and the others in their own time.
            while table.cut.len() > 3 {
                let id = *table.cut.first().unwrap();
                table.ended(id);
            }
            assert!(!new.is_evicted());
        }
        assert_eq!(table.of_origin.len(), table.open.len());
    }

    #[test]
    fn while_none_of_them_ends_no_more_are_taken_than_may_be_about_to_end() {
        let mut table = table(64);
        let all = (0..1_000_u32).map(|n| format!("198.51.{}.{}", n / 250, n % 250));
        let taken = all.filter(|address| admit(&mut table, address).is_ok());
        assert_eq!(taken.count(), 64 + 64 / CUT_PART);
    }

    #[test]
    fn from_three_quarters_on_those_end_first_that_never_proved_a_key_and_then_the_longest_idle() {
        let mut table = table(64);
        let open: Vec<_> = (0..48)
            .map(|n| admit(&mut table, &format!("192.0.2.{n}")).unwrap())
            .collect();
        for (n, activity) in open.iter().enumerate() {
            if ![3, 7].contains(&n) {
                activity.mark.prove();
            }
        }
        let mut known = Vec::new();
        let mut evicted = |address: &str| {
            // Else it would be the next.
            admit(&mut table, address).unwrap().mark.prove();
            let all = open.iter().filter(|activity| activity.is_evicted());
            let new = all
                .map(|activity| activity.mark.id)
                .find(|id| !known.contains(id));
            known.extend(new);
            new
        };
        assert_eq!(evicted("198.51.100.1"), Some(4));
        assert_eq!(evicted("198.51.100.2"), Some(8));
        assert_eq!(evicted("198.51.100.3"), None, "none of the others is idle");
        let busy = open[5].begin();
        drop(open[9].begin());
        drop(open[2].begin());
        assert_eq!(evicted("198.51.100.4"), Some(10));
        assert_eq!(evicted("198.51.100.5"), Some(3));
        drop(busy);
        assert_eq!(evicted("198.51.100.6"), Some(6));
    }
}
