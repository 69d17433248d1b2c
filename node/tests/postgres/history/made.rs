//! Histories of an entry that is kept as it should be: the checker finds an order for each.

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    checker::{Operation, Refutation, check},
    model::{Call, Number, Outcome},
};

const CLIENTS: usize = 6;
/// The end of the last step; each step takes two units of time.
const END: u64 = 1_200;

/// The value on a primary and the value on its standby.
#[derive(Debug, Default)]
struct Servers {
    primary: Option<Number>,
    standby: Option<Number>,
}

impl Servers {
    /// Carries a call out on the primary.
    fn act(&mut self, call: Call) -> Outcome {
        let there = self.primary;
        let (outcome, left) = match call {
            Call::Read | Call::Promotion => return Outcome::Shown(there),
            Call::Create(number) => match there {
                None => (Outcome::Done, Some(number)),
                Some(_) => (Outcome::Exists, there),
            },
            _ if there.is_none() => (Outcome::Missing, None),
            Call::PutOver { seen, .. } | Call::DeleteOver { seen } if there != Some(seen) => {
                (Outcome::OtherVersion, there)
            }
            Call::Put(number) | Call::PutOver { number, .. } => (Outcome::Done, Some(number)),
            Call::Delete | Call::DeleteOver { .. } => (Outcome::Done, None),
        };
        self.primary = left;
        outcome
    }

    fn confirm(&mut self) {
        self.standby = self.primary;
    }

    fn promote(&mut self) {
        self.primary = self.standby;
    }
}

/// The state of a client.
#[derive(Debug, Clone, Copy)]
enum Client {
    Idle,
    Asks { call: Call, began: u64 },
    Answered(Operation),
}

/// The operations of clients, each of which sends one operation at a time.
fn made(seed: u64) -> Vec<Operation> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut servers = Servers::default();
    let mut clients = [Client::Idle; CLIENTS];
    let (mut operations, mut late) = (Vec::new(), Vec::new());
    let mut last = 1;
    for time in (0..END).step_by(2) {
        match random.random_range(0..100) {
            0 => {
                servers.promote();
                operations.push(ended(Call::Promotion, Outcome::Done, time, time + 1));
                continue;
            }
            1 => {
                if let Some(call) = late.pop() {
                    servers.act(call);
                }
                continue;
            }
            _ => {}
        }
        let who = random.random_range(0..CLIENTS);
        let client = clients.get_mut(who).unwrap();
        *client = match *client {
            Client::Idle => Client::Asks {
                call: chosen(&mut random, time + 1, last),
                began: time,
            },
            Client::Asks { call, began } => match random.random_range(0..16) {
                // The client does not learn the outcome.
                chance @ 0..3 if call != Call::Read => {
                    match chance {
                        0 => late.push(call),
                        1 => {
                            servers.act(call);
                        }
                        _ => {}
                    }
                    operations.push(ended(call, Outcome::Unknown, began, time));
                    Client::Idle
                }
                _ => {
                    let outcome = servers.act(call);
                    if let Outcome::Shown(Some(number)) = outcome {
                        last = number;
                    }
                    if call != Call::Read {
                        servers.confirm();
                    }
                    Client::Answered(ended(call, outcome, began, time))
                }
            },
            Client::Answered(operation) => {
                operations.push(Operation {
                    ended: time,
                    ..operation
                });
                Client::Idle
            }
        };
    }
    // Operations that took effect and got no answer.
    operations.extend(clients.iter().filter_map(|client| match client {
        Client::Answered(operation) => Some(Operation {
            ended: u64::MAX,
            ..*operation
        }),
        Client::Idle | Client::Asks { .. } => None,
    }));
    operations
}

fn ended(call: Call, outcome: Outcome, began: u64, ended: u64) -> Operation {
    Operation {
        call,
        outcome,
        began,
        ended,
    }
}

fn chosen(random: &mut StdRng, number: Number, seen: Number) -> Call {
    match random.random_range(0..6) {
        0 => Call::Create(number),
        1 => Call::Put(number),
        2 => Call::PutOver { seen, number },
        3 => Call::Delete,
        4 => Call::DeleteOver { seen },
        _ => Call::Read,
    }
}

#[test]
fn histories_of_an_entry_that_is_kept_have_an_order() {
    for seed in 0..30 {
        assert_eq!(check(&made(seed)), Ok(()), "seed {seed}");
    }
}

#[test]
fn a_read_of_what_was_replaced_is_found_behind_each_of_them() {
    for seed in 0..30 {
        let mut operations = made(seed);
        let (first, second) = (END + 100, END + 101);
        operations.extend([
            // Whether the entry existed is unknown.
            ended(Call::Delete, Outcome::Unknown, END, END + 1),
            ended(Call::Create(first), Outcome::Done, END + 2, END + 3),
            ended(Call::Put(second), Outcome::Done, END + 4, END + 5),
        ]);
        assert_eq!(check(&operations), Ok(()), "seed {seed}");
        let stale = Outcome::Shown(Some(first));
        operations.push(ended(Call::Read, stale, END + 6, END + 7));
        let refuted = check(&operations).unwrap_err();
        assert!(
            matches!(refuted, Refutation::NoOrder { .. }),
            "seed {seed}: {refuted}"
        );
    }
}
