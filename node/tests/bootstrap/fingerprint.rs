//! Two worlds are the same where the same can happen in both.
//!
//! A node counts as its `Debug` output. In it, names made of random numbers count by the order in which they appear, clocks by
//! their order, moments by their age, and the numbers of greetings by their order in each life.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use opensecureconf_node::{cluster::Engine, domain::Clock};

use crate::{
    air::{Body, Content},
    disk::Disk,
    process::{Second, now},
    world::World,
};

/// A part of the printed text.
#[derive(Debug)]
pub(crate) enum Part {
    Text(u64),
    /// A random number that serves as a name.
    Name(u64),
    Clock(i64),
    /// The number of a greeting: the life of its sender, and the node that hears it.
    Turn(u64, u64),
    /// Milliseconds since the beginning.
    Moment(i64),
}

/// The fingerprints of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Print {
    /// Everything.
    pub(crate) whole: u64,
    /// The part that survives crashes.
    pub(crate) durable: u64,
}

/// The printed text of a node after its last change.
pub(crate) struct Printed {
    disk: Vec<Part>,
    engine: Vec<Part>,
}

impl Printed {
    pub(crate) fn of(node: usize, disk: &Disk, engine: Option<&Engine>) -> Self {
        let engine = engine.map(|engine| read(&format!("{engine:?}"), node));
        Self {
            disk: read(&format!("{disk:?}"), node),
            engine: engine.unwrap_or_default(),
        }
    }
}

impl Content {
    pub(crate) fn new(body: Body, hearer: usize) -> Self {
        let parts = read(&format!("{body:?}"), hearer);
        Self { body, parts }
    }
}

impl World {
    pub(crate) fn print(&mut self) -> Print {
        let printed: Vec<_> = self
            .all()
            .map(|node| self.nodes[node].printed(node))
            .collect();
        let shape: Vec<_> = self
            .nodes
            .iter()
            .map(|node| (node.is_up(), node.knows_full_list, node.behind))
            .collect();
        let owner = read(
            &format!("{shape:?}{:?}{:?}", self.owner, self.cluster_uids),
            0,
        );
        let durable = || {
            owner
                .iter()
                .chain(printed.iter().flat_map(|printed| &printed.disk))
        };
        self.air
            .sort_by_key(|message| (message.asker, message.asked, message.late));
        let around: Vec<_> = self
            .air
            .iter()
            .map(|message| {
                let waits = message.until.map(|until| until - self.second);
                let (asker, asked, exchange) = (message.asker, message.asked, message.exchange);
                read(
                    &format!("{asker} {asked} {} {waits:?} {exchange:?}", message.late),
                    asker,
                )
            })
            .collect();
        let whole = || {
            let engines = printed.iter().flat_map(|printed| &printed.engine);
            let contents = self.air.iter().flat_map(|message| &message.content.parts);
            durable()
                .chain(engines)
                .chain(around.iter().flatten())
                .chain(contents)
        };
        Print {
            whole: count(whole, self.second),
            durable: count(durable, self.second),
        }
    }
}

/// Hashes the parts as they relate to each other.
fn count<'p, I: Iterator<Item = &'p Part>>(parts: impl Fn() -> I, second: Second) -> u64 {
    let mut clocks = vec![Clock::at(now(second, 0).wall).raw()];
    let mut turns = Vec::new();
    for part in parts() {
        match part {
            Part::Clock(clock) => clocks.push(*clock),
            Part::Turn(process_epoch, turn) => turns.push((*process_epoch, *turn)),
            _ => {}
        }
    }
    clocks.sort_unstable();
    clocks.dedup();
    turns.sort_unstable();
    turns.dedup();
    let mut names: HashMap<u64, usize> = HashMap::new();
    let mut hasher = DefaultHasher::new();
    let place = |clock: i64| clocks.partition_point(|other| *other < clock);
    place(Clock::at(now(second, 0).wall).raw()).hash(&mut hasher);
    for part in parts() {
        match part {
            Part::Text(text) => text.hash(&mut hasher),
            Part::Name(name) => {
                let next = names.len();
                names.entry(*name).or_insert(next).hash(&mut hasher);
            }
            Part::Clock(clock) => place(*clock).hash(&mut hasher),
            Part::Turn(process_epoch, turn) => {
                let first = turns.partition_point(|other| other.0 < *process_epoch);
                let here = turns.partition_point(|other| *other < (*process_epoch, *turn));
                (here - first).hash(&mut hasher);
            }
            Part::Moment(millis) => {
                let ahead = millis - i64::from(second) * 1000;
                // No rule looks further ahead than ten seconds, and time passes in whole seconds.
                ahead
                    .div_euclid(1000)
                    .saturating_add(i64::from(ahead % 1000 != 0))
                    .clamp(-10, 10)
                    .hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}

/// Splits the printed text of a node, or of a message to it, into parts.
fn read(text: &str, node: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let bytes = text.as_bytes();
    let (mut at, mut literal, mut word) = (0, 0, "");
    let mut process_epoch = 0;
    let mut after_epoch = false;
    let flush = |from: usize, to: usize, parts: &mut Vec<Part>| {
        if from < to {
            let mut hasher = DefaultHasher::new();
            bytes[from..to].hash(&mut hasher);
            parts.push(Part::Text(hasher.finish()));
        }
    };
    while at < bytes.len() {
        let start = at;
        if bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_' {
            while at < bytes.len()
                && (bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'_' | b'.'))
            {
                at += 1;
            }
            let token = &text[start..at];
            let part = if token.len() == 16 && token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                u64::from_str_radix(token, 16).ok().map(Part::Name)
            } else if token.as_bytes()[0].is_ascii_digit() {
                number(token, word, node, process_epoch, after_epoch)
            } else {
                word = token;
                None
            };
            if let (b'0'..=b'9', "ProcessEpoch") = (token.as_bytes()[0], word) {
                process_epoch = token.parse::<u64>().unwrap_or(0) >> 3;
                after_epoch = true;
            } else if token.as_bytes()[0].is_ascii_digit() {
                after_epoch = false;
            }
            if let Some(part) = part {
                flush(literal, start, &mut parts);
                literal = at;
                parts.push(part);
            }
        } else {
            at += 1;
        }
    }
    flush(literal, at, &mut parts);
    parts
}

/// What a number after a word stands for; `None` where it stands for itself.
fn number(
    token: &str,
    word: &str,
    node: usize,
    process_epoch: u64,
    after_epoch: bool,
) -> Option<Part> {
    let nothing = Some(Part::Text(0));
    match word {
        "turn" if after_epoch => {
            return Some(Part::Turn(
                process_epoch * 8 + node as u64,
                token.parse().ok()?,
            ));
        }
        // Counters and clocks on which no decision depends.
        "exchanges" | "purge_due" | "Timestamp" | "offset_micros" | "turn" => return nothing,
        "Clock" => return Some(Part::Clock(token.parse().ok()?)),
        "ExchangeId" => return Some(Part::Name(token.parse::<u64>().ok()? * 8 + node as u64)),
        "Incarnation" | "ProcessEpoch" | "ClusterUid" | "roster" | "roster_fingerprint" => {
            return Some(Part::Name(token.parse().ok()?));
        }
        _ => {}
    }
    let millis = if let Some(millis) = token.strip_suffix("ms") {
        millis.parse::<f64>().ok()?
    } else {
        token.strip_suffix('s')?.parse::<f64>().ok()? * 1000.0
    };
    #[expect(clippy::cast_possible_truncation, reason = "a few hours")]
    Some(Part::Moment(millis.ceil() as i64))
}
