//! Clients that remember every acknowledged write and compare reads with it until the story ends them: pods of their own, which
//! report each second.

use std::ops::Range;

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::{RunningScript, Stage, Workload};

/// How many there are.
const CLIENTS: usize = 4;
const SCRIPT: &str = include_str!("client.py");
/// The request that ends the clients.
const END: &str = "client.create('soak-end', 'now')";

/// The observations of one client in one second.
#[derive(Debug, Clone, Deserialize)]
pub struct Second {
    /// The second, since 1970.
    pub at: u64,
    /// How many requests ended in it.
    pub requests: u64,
    /// How many of them failed, or got no answer.
    pub failed: u64,
    /// The slowest, in seconds.
    pub slowest: f64,
    /// How many entries differed from the acknowledged state: lost, of an earlier value, or back after their deletion.
    pub lost: u64,
}

/// The final report of clients.
#[derive(Debug, Default, Deserialize)]
pub struct Summary {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Names with a request that got no answer: the write may have happened or not.
    pub given_up: u64,
    /// How often a client read an entry in the end, at one node each.
    pub looked_at: u64,
}

/// The sums over some seconds.
#[derive(Debug, Default)]
pub struct Sum {
    /// How many requests ended in it.
    pub requests: u64,
    /// How many of them failed.
    pub failed: u64,
    /// The slowest, in seconds.
    pub slowest: f64,
    /// How many entries differed from the acknowledged state.
    pub lost: u64,
}

/// The output of clients.
#[derive(Debug, Default)]
pub struct Met {
    /// Of all clients, in no order.
    pub seconds: Vec<Second>,
    /// A description of each loss.
    pub losses: Vec<String>,
    /// Of all clients that have ended.
    pub summary: Summary,
}

/// Clients that are running.
#[derive(Debug)]
pub struct Clients<'s> {
    workload: Workload<'s>,
    running: Vec<RunningScript<'s>>,
}

impl<'s> Clients<'s> {
    /// Starts the clients for a cluster of three nodes, on a machine that no fault touches.
    ///
    /// # Errors
    /// That a pod does not start.
    pub async fn start(stage: &'s Stage, cluster: &'s str, machine: &str) -> anyhow::Result<Self> {
        let workload = Workload { stage, cluster };
        let mut running = Vec::new();
        for number in 0..CLIENTS {
            let script = format!("NUMBER = {number}\n{SCRIPT}");
            running.push(workload.start_on(machine, &script).await?);
        }
        Ok(Self { workload, running })
    }

    /// The output so far.
    ///
    /// # Errors
    /// That a client has failed, or cannot be asked.
    pub async fn met(&self) -> anyhow::Result<Met> {
        let mut met = Met::default();
        for script in &self.running {
            met.read(&script.printed().await?)?;
        }
        Ok(met)
    }

    /// Ends the clients; each reads all its entries once more at each node. All nodes must serve.
    ///
    /// # Errors
    /// That a client has failed, that a node does not answer, or that there was no load.
    pub async fn end(self) -> anyhow::Result<Met> {
        let Self { workload, running } = self;
        workload.run(END).await?;
        let mut met = Met::default();
        for script in running {
            met.read(&script.end().await?)?;
        }
        let summary = &met.summary;
        ensure!(
            summary.acknowledged > 0 && summary.looked_at > 0,
            "that was no load: {summary:?}"
        );
        Ok(met)
    }
}

impl Met {
    /// The sums over these seconds.
    pub fn within(&self, seconds: &Range<u64>) -> Sum {
        let mut sum = Sum::default();
        for second in &self.seconds {
            if seconds.contains(&second.at) {
                sum.requests += second.requests;
                sum.failed += second.failed;
                sum.slowest = sum.slowest.max(second.slowest);
                sum.lost += second.lost;
            }
        }
        sum
    }

    /// The sums over all seconds.
    pub fn all(&self) -> Sum {
        self.within(&(0..u64::MAX))
    }

    fn read(&mut self, printed: &str) -> anyhow::Result<()> {
        for line in printed.lines() {
            let said: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            if let Some(loss) = said.get("loss").and_then(Value::as_str) {
                self.losses.push(loss.to_owned());
            } else if said.get("at").is_some() {
                self.seconds.push(serde_json::from_value(said)?);
            } else {
                let Summary {
                    acknowledged,
                    given_up,
                    looked_at,
                } = serde_json::from_value(said)?;
                self.summary.acknowledged += acknowledged;
                self.summary.given_up += given_up;
                self.summary.looked_at += looked_at;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_clients_print_is_added_up() {
        let mut met = Met::default();
        met.read(
            r#"{"at": 7, "requests": 12, "failed": 1, "slowest": 0.25, "lost": 0}
{"loss": "/configs/soak-0-1-0 at a node: 3 instead of 4"}
{"at": 8, "requests": 10, "failed": 0, "slowest": 0.1, "lost": 1}
{"acknowledged": 20, "given_up": 1, "looked_at": 300}"#,
        )
        .unwrap();
        met.read(
            r#"{"at": 8, "requests": 5, "failed": 0, "slowest": 2.5, "lost": 0}
{"acknowledged": 3, "given_up": 0, "looked_at": 300}"#,
        )
        .unwrap();
        let Sum {
            requests,
            failed,
            slowest,
            lost,
        } = met.within(&(8..9));
        assert_eq!((requests, failed, lost), (15, 0, 1));
        assert!((slowest - 2.5).abs() < f64::EPSILON);
        assert_eq!((met.all().requests, met.all().failed), (27, 1));
        assert_eq!(met.losses.len(), 1);
        assert_eq!((met.summary.acknowledged, met.summary.looked_at), (23, 600));
    }

    /// The output of a client that got this false answer.
    fn told(lie: &str) -> Met {
        let script = format!("{}\nNUMBER = 1\n{SCRIPT}", include_str!("stand_in.py"));
        let ran = std::process::Command::new("python3")
            .args(["-c", &script])
            .env("LIE", lie)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{said}");
        let mut met = Met::default();
        met.read(&String::from_utf8_lossy(&ran.stdout)).unwrap();
        assert!(met.summary.acknowledged > 500, "{met:?}");
        assert!(met.summary.given_up > 5, "{met:?}");
        met
    }

    #[test]
    fn a_client_finds_what_was_lost_and_what_came_back_and_nothing_else() {
        let honest = told("none");
        assert_eq!(honest.all().lost, 0, "{:?}", honest.losses);
        let lost = told("lost");
        assert_eq!((lost.all().lost, lost.losses.len()), (1, 1));
        assert!(lost.losses[0].contains(": None instead of "), "{lost:?}");
        let back = told("back");
        assert_eq!((back.all().lost, back.losses.len()), (1, 1));
        assert!(back.losses[0].contains(" instead of None"), "{back:?}");
    }

    #[test]
    fn a_client_that_fails_is_not_taken_for_one_that_met_nothing() {
        let traceback = "Traceback (most recent call last):";
        assert!(Met::default().read(traceback).is_err());
    }
}
