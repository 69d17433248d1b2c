//! When pods are replaced for what no field of the resource asks for.

use cronexpr::Crontab;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration;

/// When changes of the pods enter that no field of the resource asks for: the node image of a new operator, its probes and ports.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct UpgradeSpec {
    /// Who lets them in. `status.pendingRollout` says what waits.
    pub policy: UpgradePolicy,
    /// With `policy: Window`: when a rollout may begin. One that began is finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<UpgradeWindow>,
}

/// Who lets changes in that no field of the resource asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum UpgradePolicy {
    /// The operator, one cluster after the other.
    #[default]
    Automatic,
    /// The same, while a window is open.
    Window,
    /// A person, by annotation `opensecureconf.io/accept-template`.
    Manual,
}

/// When a rollout may begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeWindow {
    /// When it opens: a cron schedule of five fields, such as `0 2 * * 6` for Saturdays at two.
    #[schemars(length(max = 128))]
    pub schedule: String,
    /// How long it stays open, such as `4h`; at least a minute.
    #[schemars(length(max = 32))]
    pub duration: String,
    /// Time zone of the schedule, by its name in the IANA database.
    #[serde(default = "utc")]
    #[schemars(length(max = 64))]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Shorter ones would pass between two looks of the operator.
const SHORTEST: SignedDuration = SignedDuration::from_mins(1);

impl UpgradeWindow {
    /// Whether it is open.
    pub fn is_open(&self, now: Timestamp) -> bool {
        // The first opening that has not ended yet.
        let first = self.length().and_then(|length| {
            let since = now.checked_sub(length).ok()?;
            self.opening_after(since)
        });
        first.is_some_and(|first| first <= now)
    }

    /// When it opens next; `None` where no such time is found.
    pub fn opening_after(&self, time: Timestamp) -> Option<Timestamp> {
        let next = self.crontab(&self.time_zone)?.find_next(time).ok()?;
        Some(next.timestamp())
    }

    /// Whether the schedule is one, and its time comes at all.
    pub(super) fn has_schedule(&self) -> bool {
        let any = self.crontab("UTC");
        any.is_some_and(|crontab| crontab.find_next(Timestamp::UNIX_EPOCH).is_ok())
    }

    pub(super) fn has_duration(&self) -> bool {
        self.length().is_some_and(|length| length >= SHORTEST)
    }

    pub(super) fn has_time_zone(&self) -> bool {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_+-/".contains(c);
        self.time_zone.chars().all(is_name) && TimeZone::get(&self.time_zone).is_ok()
    }

    fn length(&self) -> Option<SignedDuration> {
        SignedDuration::try_from_secs_f64(duration::seconds(&self.duration)?).ok()
    }

    /// The parser reads a time zone behind five fields, which is no part of our schedule.
    fn crontab(&self, zone: &str) -> Option<Crontab> {
        // The API server counts by spaces alone.
        let spaced = self.schedule.split(' ').filter(|field| !field.is_empty());
        let fields: Vec<_> = self.schedule.split_ascii_whitespace().collect();
        if spaced.count() != 5 || fields.len() != 5 {
            return None;
        }
        cronexpr::parse_crontab(&format!("{} {zone}", fields.join(" "))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(schedule: &str, duration: &str, zone: &str) -> UpgradeWindow {
        UpgradeWindow {
            schedule: schedule.to_owned(),
            duration: duration.to_owned(),
            time_zone: zone.to_owned(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_is_open_from_its_beginning_and_not_at_its_end() {
        // Saturdays from two to six, in Rome: an hour before UTC in winter.
        let window = window("0 2 * * 6", "4h", "Europe/Rome");
        for (time, open) in [
            ("2026-01-31T00:59:59Z", false),
            ("2026-01-31T01:00:00Z", true),
            ("2026-01-31T04:59:59Z", true),
            ("2026-01-31T05:00:00Z", false),
            ("2026-02-01T02:00:00Z", false),
        ] {
            assert_eq!(window.is_open(at(time)), open, "{time}");
        }
        let next = window.opening_after(at("2026-01-31T01:00:00Z"));
        assert_eq!(next, Some(at("2026-02-07T01:00:00Z")));
        // In summer it is two hours.
        let next = window.opening_after(at("2026-07-01T00:00:00Z"));
        assert_eq!(next, Some(at("2026-07-04T00:00:00Z")));
    }

    #[test]
    fn windows_may_last_over_midnight_and_over_each_other() {
        let night = window("0 23 * * *", "3h", "UTC");
        assert!(night.is_open(at("2026-01-02T01:59:00Z")));
        assert!(!night.is_open(at("2026-01-02T02:00:00Z")));
        let always = window("0 * * * *", "90m", "UTC");
        for minute in 0..60 {
            assert!(always.is_open(at(&format!("2026-01-02T05:{minute:02}:30Z"))));
        }
    }

    #[test]
    fn a_time_that_a_change_of_clocks_skips_still_has_its_window() {
        // On 29 March 2026 there is no half past two in Rome.
        let window = window("30 2 * * *", "1h", "Europe/Rome");
        let openings = |from: &str| window.opening_after(at(from)).unwrap();
        let before = openings("2026-03-28T12:00:00Z");
        assert!(before > at("2026-03-28T12:00:00Z") && before < at("2026-03-30T12:00:00Z"));
        assert!(window.is_open(before));
    }

    #[test]
    fn days_of_month_and_week_are_joined_as_cron_joins_them() {
        let nights = |schedule: &str| {
            let window = window(schedule, "1h", "UTC");
            let mut time = at("2026-03-01T00:00:00Z");
            let mut days = Vec::new();
            while let Some(next) = window.opening_after(time)
                && next < at("2026-03-22T00:00:00Z")
            {
                days.push(next.strftime("%-d").to_string());
                time = next;
            }
            days.join(" ")
        };
        assert_eq!(nights("0 2 13 * 6"), "7 13 14 21");
        // A step of all days narrows the days of the week, as in Vixie's cron. A CronJob takes both.
        assert_eq!(nights("0 2 */2 * 6"), "7 21");
        assert_eq!(nights("0 2 * * 7"), nights("0 2 * * SUN"));
        assert!(!window("0 22-2 * * *", "1h", "UTC").has_schedule());
    }
}
