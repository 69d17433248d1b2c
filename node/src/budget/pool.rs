//! A share from which bytes are reserved, and given back when the reservation is dropped.

use std::{
    net::IpAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use super::accounts::{Account, Accounts};
use crate::domain::Origin;

/// Requests that may wait for room at the same time: each holds memory itself.
const MOST_WAITING: usize = 256;
/// The part of a share that one address may hold. As everywhere, a network of 64 bits of IPv6 is one address.
const PART_OF_ADDRESS: usize = 4;

/// A share is full, or one address holds its part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no room for more {share}")]
pub struct NoRoom {
    /// The name of the share.
    pub share: &'static str,
}

/// The bytes that a pool holds, and how often it had no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// The name of the share.
    pub share: &'static str,
    /// Its size in bytes.
    pub capacity: usize,
    /// Bytes that are reserved.
    pub reserved: usize,
    /// Reservations that were refused since the start.
    pub refused: u64,
}

/// A share of the memory. Cheap to clone; all clones are one share.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    share: &'static str,
    capacity: usize,
    /// The bytes that one address may hold, unless it holds a single reservation.
    most_of_address: usize,
    reserved: AtomicUsize,
    refused: AtomicU64,
    accounts: Accounts,
    waiting: AtomicUsize,
    released: Notify,
}

impl Pool {
    /// A share of which one address holds a quarter at most, or `at_least` where that is more, or a single reservation.
    pub fn for_addresses(share: &'static str, capacity: usize, at_least: usize) -> Self {
        let quarter = capacity / PART_OF_ADDRESS;
        Self::new(share, capacity, quarter.max(at_least).min(capacity))
    }

    /// A share that is not divided among addresses.
    pub fn shared(share: &'static str, capacity: usize) -> Self {
        Self::new(share, capacity, capacity)
    }

    fn new(share: &'static str, capacity: usize, most_of_address: usize) -> Self {
        Self(Arc::new(Inner {
            share,
            capacity,
            most_of_address,
            reserved: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            accounts: Accounts::new(),
            waiting: AtomicUsize::new(0),
            released: Notify::new(),
        }))
    }

    /// Its size in bytes.
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// The bytes that one address may hold, unless it holds a single reservation.
    pub fn most_of_address(&self) -> usize {
        self.0.most_of_address
    }

    /// The bytes that it holds now.
    pub fn in_use(&self) -> PoolUse {
        let inner = &self.0;
        PoolUse {
            share: inner.share,
            capacity: inner.capacity,
            reserved: inner.reserved.load(Ordering::Relaxed),
            refused: inner.refused.load(Ordering::Relaxed),
        }
    }

    /// Reserves bytes for an address, or refuses at once. More than the whole share is as much as the whole share.
    pub fn try_reserve(&self, address: IpAddr, bytes: usize) -> Result<Reservation, NoRoom> {
        self.take(address, bytes).ok_or_else(|| self.refuse())
    }

    /// Reserves bytes for many clients that have one address, or refuses at once: only the share bounds them.
    pub fn try_reserve_for_many(&self, bytes: usize) -> Result<Reservation, NoRoom> {
        self.take_for(Account::default(), bytes)
            .ok_or_else(|| self.refuse())
    }

    /// Reserves bytes for an address where there is room now. That there is none is not counted: the caller waits then.
    pub fn reserve_now(&self, address: IpAddr, bytes: usize) -> Option<Reservation> {
        self.take(address, bytes)
    }

    /// Reserves bytes for an address, and waits for room where there is none; refused where there is none for so long, or
    /// where too many wait already.
    pub async fn reserve(
        &self,
        address: IpAddr,
        bytes: usize,
        limit: Duration,
    ) -> Result<Reservation, NoRoom> {
        self.wait_for(limit, || self.take(address, bytes)).await
    }

    /// The same for callers that are no addresses of their own: only the share bounds them.
    pub async fn reserve_for_many(
        &self,
        bytes: usize,
        limit: Duration,
    ) -> Result<Reservation, NoRoom> {
        let account = Account::default();
        self.wait_for(limit, || self.take_for(Arc::clone(&account), bytes))
            .await
    }

    async fn wait_for<T>(
        &self,
        limit: Duration,
        mut take: impl FnMut() -> Option<T>,
    ) -> Result<T, NoRoom> {
        if let Some(taken) = take() {
            return Ok(taken);
        }
        let _place = self.wait_in_line()?;
        let room = async {
            loop {
                let mut released = pin!(self.0.released.notified());
                // Registered before the check: a release in between is not missed.
                released.as_mut().enable();
                if let Some(taken) = take() {
                    return taken;
                }
                released.await;
            }
        };
        timeout(limit, room).await.map_err(|_| self.refuse())
    }

    fn wait_in_line(&self) -> Result<Place<'_>, NoRoom> {
        let place = Place(self);
        if self.0.waiting.fetch_add(1, Ordering::SeqCst) < MOST_WAITING {
            Ok(place)
        } else {
            Err(self.refuse())
        }
    }

    fn take(&self, address: IpAddr, bytes: usize) -> Option<Reservation> {
        self.take_for(self.0.accounts.of(Origin::from(address)), bytes)
    }

    fn take_for(&self, account: Account, bytes: usize) -> Option<Reservation> {
        let mut reservation = Reservation {
            account,
            pool: self.clone(),
            bytes: 0,
        };
        let bytes = bytes.min(self.0.capacity);
        reservation.take(bytes).then_some(reservation)
    }

    /// Counts a refusal, and gives the caller's error.
    pub fn refuse(&self) -> NoRoom {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        NoRoom {
            share: self.0.share,
        }
    }
}

/// A place in the queue; `drop` gives it up.
struct Place<'p>(&'p Pool);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Bytes of a share; given back when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    pool: Pool,
    account: Account,
    bytes: usize,
}

impl Reservation {
    /// How many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it holds the whole share: a larger request goes alone.
    pub fn is_whole_share(&self) -> bool {
        self.bytes == self.pool.0.capacity
    }

    /// Reserves more bytes, or refuses at once and keeps the present ones.
    pub fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        if self.take(bytes) {
            Ok(())
        } else {
            Err(self.pool.refuse())
        }
    }

    /// Reserves more bytes, and waits for room where there is none; refused where there is none for so long. Of two that wait for
    /// each other the first is refused first, and the second gets what that one had.
    pub async fn grow_within(&mut self, bytes: usize, limit: Duration) -> Result<(), NoRoom> {
        if bytes == 0 {
            return Ok(());
        }
        let pool = self.pool.clone();
        pool.wait_for(limit, || self.take(bytes).then_some(()))
            .await
    }

    /// Whether its bytes are of this share.
    pub fn is_of(&self, pool: &Pool) -> bool {
        Arc::ptr_eq(&self.pool.0, &pool.0)
    }

    /// Reserves more bytes where there is room now, and returns whether there was. A failure does not count as a refusal: the
    /// caller manages with its present bytes.
    pub fn grow_now(&mut self, bytes: usize) -> bool {
        self.take(bytes)
    }

    /// Gives bytes back; at most all that it holds.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.give_back(bytes);
    }

    /// Keeps at most this many bytes from now on.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.shrink(self.bytes.saturating_sub(bytes));
    }

    /// Splits bytes off into a reservation of their own.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self {
            pool: self.pool.clone(),
            account: Arc::clone(&self.account),
            bytes,
        }
    }

    fn take(&mut self, more: usize) -> bool {
        let inner = &self.pool.0;
        let of_address = self
            .account
            .fetch_update(Ordering::SeqCst, Ordering::Relaxed, |held| {
                // An address that holds nothing may reserve any size, or it could never store its value.
                let allowed = held == 0 || held.saturating_add(more) <= inner.most_of_address;
                allowed.then(|| held.saturating_add(more))
            });
        if of_address.is_err() {
            return false;
        }
        let of_all = inner
            .reserved
            .fetch_update(Ordering::SeqCst, Ordering::Relaxed, |reserved| {
                Some(reserved.saturating_add(more)).filter(|sum| *sum <= inner.capacity)
            });
        if of_all.is_err() {
            self.account.fetch_sub(more, Ordering::SeqCst);
            return false;
        }
        self.bytes += more;
        true
    }

    fn give_back(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let inner = &self.pool.0;
        self.account.fetch_sub(bytes, Ordering::SeqCst);
        inner.reserved.fetch_sub(bytes, Ordering::SeqCst);
        if inner.waiting.load(Ordering::SeqCst) > 0 {
            inner.released.notify_waiters();
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
    const SHORT: Duration = Duration::from_millis(50);

    fn pool(capacity: usize) -> Pool {
        Pool::for_addresses("tests", capacity, 0)
    }

    #[test]
    fn what_is_dropped_is_given_back() {
        let pool = pool(400);
        let mut held = pool.try_reserve(HERE, 60).unwrap();
        held.grow(20).unwrap();
        assert_eq!(pool.in_use().reserved, 80);
        held.shrink(10);
        let part = held.split(50);
        drop(held);
        assert_eq!(pool.in_use().reserved, 50);
        drop(part);
        assert_eq!(pool.in_use().reserved, 0);
    }

    #[test]
    fn one_address_holds_a_quarter_and_others_still_have_room() {
        let pool = pool(400);
        let held: Vec<_> = (0..10)
            .map_while(|_| pool.try_reserve(HERE, 20).ok())
            .collect();
        assert_eq!(held.len(), 5);
        assert_eq!(pool.in_use().refused, 1);
        pool.try_reserve(THERE, 100).unwrap();
    }

    #[test]
    fn a_network_of_ipv6_holds_a_quarter_however_many_addresses_of_it_ask() {
        let pool = pool(400);
        let of = |text: &str| pool.try_reserve(text.parse().unwrap(), 50);
        let held = [of("2001:db8::1").unwrap(), of("2001:db8::2").unwrap()];
        of("2001:db8::3").unwrap_err();
        of("2001:db8:0:1::1").unwrap();
        drop(held);
        of("2001:db8::3").unwrap();
    }

    #[test]
    fn an_address_of_ipv4_is_the_same_within_ipv6() {
        let pool = pool(400);
        let _held = pool.try_reserve(HERE, 100).unwrap();
        let within: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        pool.try_reserve(within, 1).unwrap_err();
        let other: IpAddr = "::ffff:192.0.2.2".parse().unwrap();
        pool.try_reserve(other, 1).unwrap();
    }

    #[test]
    fn who_holds_nothing_may_have_one_thing_that_is_larger_than_a_quarter() {
        let pool = pool(400);
        let large = pool.try_reserve(HERE, 300).unwrap();
        pool.try_reserve(HERE, 1).unwrap_err();
        drop(large);
        let whole = pool.try_reserve(HERE, 9_000).unwrap();
        assert_eq!(whole.bytes(), 400);
        pool.try_reserve(THERE, 1).unwrap_err();
    }

    #[tokio::test]
    async fn who_waits_gets_what_another_gives_back() {
        let pool = pool(100);
        let held = pool.try_reserve(HERE, 100).unwrap();
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.reserve(THERE, 80, Duration::from_mins(1)).await }
        });
        while pool.0.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        drop(held);
        assert_eq!(waiting.await.unwrap().unwrap().bytes(), 80);
        assert_eq!(pool.0.waiting.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn who_grows_waits_for_what_another_gives_back() {
        let pool = pool(400);
        let held = pool.try_reserve(HERE, 350).unwrap();
        let mut growing = pool.try_reserve(THERE, 50).unwrap();
        growing.grow_within(0, SHORT).await.unwrap();
        growing.grow_within(50, SHORT).await.unwrap_err();
        assert_eq!(growing.bytes(), 50);
        let waiting = tokio::spawn(async move {
            growing
                .grow_within(50, Duration::from_mins(1))
                .await
                .map(|()| growing.bytes())
        });
        while pool.0.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        drop(held);
        assert_eq!(waiting.await.unwrap().unwrap(), 100);
    }

    #[tokio::test]
    async fn callers_without_addresses_of_their_own_share_all_of_it() {
        let pool = pool(400);
        let held: Vec<_> = [200, 200]
            .map(|bytes| pool.try_reserve_for_many(bytes).unwrap())
            .into();
        pool.reserve_for_many(1, SHORT).await.unwrap_err();
        drop(held);
        let whole = pool.reserve_for_many(9_000, SHORT).await.unwrap();
        assert!(whole.is_whole_share() && whole.is_of(&pool));
    }

    #[tokio::test]
    async fn who_waits_in_vain_is_refused() {
        let pool = pool(100);
        let _held = pool.try_reserve(HERE, 100).unwrap();
        let refused = pool.reserve(THERE, 1, SHORT).await.unwrap_err();
        assert_eq!(refused.to_string(), "no room for more tests");
        assert_eq!(pool.in_use().refused, 1);
    }

    #[tokio::test]
    async fn no_more_wait_than_may_wait() {
        let pool = pool(100);
        let _held = pool.try_reserve(HERE, 100).unwrap();
        let waiting: Vec<_> = (0..MOST_WAITING)
            .map_while(|_| pool.wait_in_line().ok())
            .collect();
        assert_eq!(waiting.len(), MOST_WAITING);
        pool.reserve(THERE, 1, Duration::from_mins(1))
            .await
            .unwrap_err();
        drop(waiting);
        pool.reserve(THERE, 1, SHORT).await.unwrap_err();
        assert_eq!(pool.0.waiting.load(Ordering::SeqCst), 0);
    }
}
