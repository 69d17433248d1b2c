//! Refusals in the log. A client can be refused thousands of times a second, so beyond some lines a second the rest of it is one
//! line with a number. The metrics count each.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::answer::error::AuthRefusal;

/// Refusals of one address that have a line of their own within a second.
const OF_ADDRESS: usize = 10;
/// The same of all addresses together.
const OF_ALL: usize = 50;
const SECOND: Duration = Duration::from_secs(1);

/// Which request was refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused<'r> {
    pub(super) client: IpAddr,
    pub(super) status: u16,
    pub(super) endpoint: &'r str,
    pub(super) method: &'r str,
    pub(super) request_id: Option<&'r str>,
}

/// Tells the log of refusals. Clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct RefusalLog(Arc<Mutex<Second>>);

impl RefusalLog {
    /// A request was refused for a key.
    pub(super) fn tell(&self, AuthRefusal { key, reason }: AuthRefusal, refused: Refused<'_>) {
        let Refused {
            client,
            status,
            endpoint,
            method,
            request_id,
        } = refused;
        match self.lock().judge(Instant::now(), client) {
            Told::Itself => tracing::warn!(
                key,
                reason,
                client = %client,
                status,
                endpoint,
                method,
                request_id,
                "auth_failed"
            ),
            Told::WithOthers => {}
            Told::WithOthersAt(end) => {
                let log = self.clone();
                tokio::spawn(async move {
                    sleep_until(end).await;
                    log.tell_of_others();
                });
            }
        }
    }

    fn tell_of_others(&self) {
        let Untold { count, client } = std::mem::take(&mut self.lock().untold);
        if count > 0 {
            tracing::warn!(
                count,
                client = client.map(tracing::field::display),
                advice = "so many more were refused within a second; the metrics count each",
                "auth_failed_more"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Second> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the log speaks of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// By a line of its own.
    Itself,
    /// By the line that is due already.
    WithOthers,
    /// By a line that is due then.
    WithOthersAt(Instant),
}

/// The refusals of a second.
#[derive(Debug, Default)]
struct Second {
    ends: Option<Instant>,
    /// Lines of each address; of [`OF_ALL`] at most.
    told: HashMap<IpAddr, usize>,
    all: usize,
    untold: Untold,
}

/// Refusals without a line of their own.
#[derive(Debug, Default, PartialEq, Eq)]
struct Untold {
    count: u64,
    /// The client, where it is one alone.
    client: Option<IpAddr>,
}

impl Second {
    fn judge(&mut self, now: Instant, client: IpAddr) -> Told {
        let ends = match self.ends {
            Some(ends) if now < ends => ends,
            _ => {
                self.told.clear();
                self.all = 0;
                *self.ends.insert(now + SECOND)
            }
        };
        if self.all < OF_ALL {
            let told = self.told.entry(client).or_default();
            if *told < OF_ADDRESS {
                *told += 1;
                self.all += 1;
                return Told::Itself;
            }
        }
        let untold = &mut self.untold;
        untold.count += 1;
        if untold.count > 1 {
            untold.client = untold.client.filter(|first| *first == client);
            return Told::WithOthers;
        }
        untold.client = Some(client);
        Told::WithOthersAt(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    #[tokio::test]
    async fn of_a_flood_some_lines_a_second_are_told_and_then_one_of_all_others() {
        let (mut second, now) = (Second::default(), Instant::now());
        let mut told = |at, number| second.judge(at, client(number));
        for _ in 0..OF_ADDRESS {
            assert_eq!(told(now, 1), Told::Itself);
        }
        assert_eq!(told(now, 1), Told::WithOthersAt(now + SECOND));
        assert_eq!(told(now, 1), Told::WithOthers);
        assert_eq!(told(now, 2), Told::Itself, "another address");
        for number in 3..200 {
            told(now, number);
        }
        assert_eq!(told(now, 200), Told::WithOthers, "beyond those of all");
        let untold = std::mem::take(&mut second.untold);
        let others = (3..=200_u8).count() + OF_ADDRESS + 1 - OF_ALL;
        assert_eq!(untold.count, 2 + others as u64);
        assert_eq!(untold.client, None, "there were several");
        assert_eq!(second.judge(now + SECOND, client(1)), Told::Itself);
    }

    #[tokio::test]
    async fn one_client_alone_is_named() {
        let (mut second, now) = (Second::default(), Instant::now());
        for _ in 0..OF_ADDRESS + 3 {
            second.judge(now, client(1));
        }
        let untold = Untold {
            count: 3,
            client: Some(client(1)),
        };
        assert_eq!(second.untold, untold);
        assert!(second.told.len() <= OF_ALL);
    }
}
