//! A Secret, nodes that read it late and one file at a time, and clients: no node ever refuses a client with a key that it was
//! given.

use super::*;

type Key = &'static [u8];

const OLD: Key = b"old";
const NEW: Key = b"new";

/// A node with the files that it read last.
struct Node {
    current: Vec<Vec<u8>>,
    beside: Vec<Vec<u8>>,
    /// Its files do not change any more.
    stuck: bool,
}

impl Node {
    fn accepts(&self, key: &[u8]) -> bool {
        self.current.iter().chain(&self.beside).any(|it| it == key)
    }
}

struct World {
    asked: Option<&'static str>,
    paused: bool,
    record: KeyRecord,
    keys: StoredKeys,
    nodes: Vec<Node>,
    now: Timestamp,
    made: Vec<Key>,
    told: Option<KeyRotation>,
}

#[expect(clippy::unnecessary_wraps, reason = "as the rules take it")]
fn proof(key: &[u8]) -> Option<String> {
    Some(format!("proof of {}", String::from_utf8_lossy(key)))
}

fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

impl World {
    fn new() -> Self {
        let keys = StoredKeys {
            current: vec![OLD.to_vec()],
            beside: Vec::new(),
        };
        let node = || Node {
            current: keys.current.clone(),
            beside: Vec::new(),
            stuck: false,
        };
        Self {
            asked: None,
            paused: false,
            record: KeyRecord::default(),
            nodes: (0..3).map(|_| node()).collect(),
            keys,
            now: "2026-03-01T12:00:00Z".parse().unwrap(),
            // The operator makes the last of these first.
            made: vec![&b"third"[..], NEW],
            told: None,
        }
    }

    fn asking(nonce: &'static str) -> Self {
        Self {
            asked: Some(nonce),
            ..Self::new()
        }
    }

    /// A reconcile, as one write: an operator that ends before it has done nothing, and one that ends after it has done
    /// everything.
    fn operator_acts(&mut self) -> Step {
        let running: Vec<_> = (0..)
            .zip(&self.nodes)
            .map(|(ordinal, node)| AcceptedKeys {
                node: format!("prod-{ordinal}"),
                proofs: Some(
                    node.current
                        .iter()
                        .chain(&node.beside)
                        .filter_map(|key| proof(key))
                        .collect(),
                ),
            })
            .collect();
        let (step, told) = plan(&Situation {
            asked: self.asked,
            is_paused: self.paused,
            record: &self.record,
            keys: &self.keys,
            running: &running,
            proof: &proof,
            now: self.now,
        });
        self.told = told;
        let phase = match &step {
            Step::Keep => return step,
            Step::Begin => {
                let new = std::str::from_utf8(self.made.pop().unwrap()).unwrap();
                self.keys.beside = lines(&self.keys.beside_with(new));
                self.record.nonce = self.asked.map(str::to_owned);
                KeyPhase::Distributing
            }
            Step::Exchange(new) => {
                self.keys.current = vec![new.clone()];
                KeyPhase::Exchanged
            }
            Step::Note(phase) => *phase,
        };
        self.record.phase = phase;
        self.record.since = Some(self.now);
        step
    }

    /// The same, where this is the only step.
    fn takes(&mut self, expected: &Step) {
        assert_eq!(self.operator_acts(), *expected);
    }

    /// All files arrive, at each node one a moment before the other, and which one comes first differs.
    fn files_arrive(&mut self, given: &[Key]) {
        for ordinal in 0..self.nodes.len() {
            for first in [ordinal % 2 == 0, ordinal % 2 != 0] {
                let node = &mut self.nodes[ordinal];
                if node.stuck {
                    continue;
                }
                if first {
                    node.current = self.keys.current.clone();
                } else {
                    node.beside = self.keys.beside.clone();
                }
                self.check(given);
            }
        }
    }

    /// Every key that callers were given opens every node.
    fn check(&self, given: &[Key]) {
        for (ordinal, node) in self.nodes.iter().enumerate() {
            for key in given {
                let key_text = String::from_utf8_lossy(key);
                assert!(node.accepts(key), "node {ordinal} refuses {key_text}");
            }
        }
    }

    fn passes(&mut self, minutes: i64) {
        self.now += SignedDuration::from_mins(minutes);
    }

    /// A user removes the entry with the previous keys.
    fn previous_is_ended(&mut self) {
        self.keys.beside.clear();
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what the status says, where it says anything"
)]
fn distributing(nodes: &[&str], overdue: bool) -> Option<KeyRotation> {
    let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
    Some(KeyRotation::Distributing(WaitedFor { nodes, overdue }))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what the status says, where it says anything"
)]
fn leaving(nodes: &[&str], overdue: bool) -> Option<KeyRotation> {
    let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
    Some(KeyRotation::Leaving(WaitedFor { nodes, overdue }))
}

const ALL: [&str; 3] = ["prod-0", "prod-1", "prod-2"];

#[test]
fn a_key_is_changed_and_nobody_is_refused() {
    let mut world = World::asking("2027");
    world.takes(&Step::Begin);
    assert_eq!(world.told, distributing(&ALL, false));
    assert_eq!(world.keys.current, [OLD], "callers read the old one");
    world.check(&[OLD]);
    world.takes(&Step::Keep);
    world.files_arrive(&[OLD]);
    world.takes(&Step::Exchange(NEW.to_vec()));
    // From now on clients read the new key, and no node has read the exchange.
    world.check(&[OLD, NEW]);
    world.files_arrive(&[OLD, NEW]);
    for _ in 0..3 {
        world.passes(60 * 24 * 30);
        world.takes(&Step::Keep);
        assert_eq!(world.told, Some(KeyRotation::PreviousAccepted));
    }

    world.previous_is_ended();
    world.takes(&Step::Note(KeyPhase::Ending));
    assert_eq!(world.told, leaving(&ALL, false));
    world.files_arrive(&[NEW]);
    assert!(!world.nodes.iter().any(|node| node.accepts(OLD)));
    world.takes(&Step::Note(KeyPhase::Settled));
    world.takes(&Step::Keep);
    assert_eq!(world.told, Some(KeyRotation::Rotated));

    world.asked = Some("2028");
    world.takes(&Step::Begin);
    world.files_arrive(&[NEW]);
    world.takes(&Step::Exchange(b"third".to_vec()));
}

#[test]
fn a_running_node_that_proves_nothing_stops_it_and_one_that_does_not_run_does_not() {
    let mut world = World::asking("2027");
    world.takes(&Step::Begin);
    world.nodes[1].stuck = true;
    world.files_arrive(&[OLD]);
    world.passes(9);
    world.takes(&Step::Keep);
    assert_eq!(world.told, distributing(&["prod-1"], false));
    world.passes(60 * 24 * 365);
    world.takes(&Step::Keep);
    assert_eq!(world.told, distributing(&["prod-1"], true));
    assert_eq!(world.keys.current, [OLD]);

    // Its pod is deleted: it reads the newest files when it starts.
    world.nodes.remove(1);
    world.takes(&Step::Exchange(NEW.to_vec()));
    world.check(&[OLD, NEW]);
}

#[test]
fn a_node_that_does_not_forget_the_old_key_is_named() {
    let mut world = World::asking("2027");
    world.takes(&Step::Begin);
    world.files_arrive(&[OLD]);
    world.takes(&Step::Exchange(NEW.to_vec()));
    world.files_arrive(&[OLD, NEW]);
    world.nodes[2].stuck = true;
    world.previous_is_ended();
    world.takes(&Step::Note(KeyPhase::Ending));
    world.files_arrive(&[NEW]);
    world.passes(11);
    world.takes(&Step::Keep);
    assert_eq!(world.told, leaving(&["prod-2"], true));
}

#[test]
fn another_change_waits_until_the_last_one_is_ended() {
    let mut world = World::asking("2027");
    world.takes(&Step::Begin);
    world.files_arrive(&[OLD]);
    // A user asks again before a client has the new key, and after that.
    world.asked = Some("2028");
    world.takes(&Step::Exchange(NEW.to_vec()));
    world.files_arrive(&[OLD, NEW]);
    world.takes(&Step::Keep);
    assert_eq!(world.told, Some(KeyRotation::EarlierAccepted));
    world.previous_is_ended();
    world.takes(&Step::Note(KeyPhase::Ending));
    world.files_arrive(&[NEW]);
    world.takes(&Step::Note(KeyPhase::Settled));
    world.takes(&Step::Begin);
    assert_eq!(world.record.nonce.as_deref(), Some("2028"));
}

#[test]
fn it_begins_and_is_exchanged_only_while_the_resource_is_not_paused() {
    let mut world = World::asking("2027");
    world.paused = true;
    world.takes(&Step::Keep);
    assert_eq!(world.told, Some(KeyRotation::Paused));
    world.paused = false;
    world.takes(&Step::Begin);
    world.files_arrive(&[OLD]);
    world.paused = true;
    world.takes(&Step::Keep);
    assert_eq!(world.told, Some(KeyRotation::Paused));
    world.paused = false;
    world.takes(&Step::Exchange(NEW.to_vec()));
}

#[test]
fn without_nodes_it_is_exchanged_at_once() {
    let mut world = World::asking("2027");
    world.nodes.clear();
    world.takes(&Step::Begin);
    world.takes(&Step::Exchange(NEW.to_vec()));
}

#[test]
fn a_change_by_hand_is_left_to_its_author() {
    let mut world = World::new();
    world.keys.current = vec![b"mine".to_vec()];
    world.keys.beside = vec![OLD.to_vec()];
    world.takes(&Step::Keep);
    assert_eq!(world.told, None, "no user asked the operator");
    world.asked = Some("2027");
    world.takes(&Step::Keep);
    assert_eq!(world.told, Some(KeyRotation::EarlierAccepted));
    world.previous_is_ended();
    world.takes(&Step::Begin);
    assert_eq!(world.keys.beside, [&b"mine"[..], NEW]);

    // In the middle of a change a user exchanges the keys by hand.
    world.keys.current = vec![b"by hand".to_vec()];
    world.takes(&Step::Note(KeyPhase::Exchanged));
    assert_eq!(world.told, Some(KeyRotation::PreviousAccepted));
}

#[test]
fn a_new_key_that_somebody_took_away_is_made_again_unless_nobody_asks_any_more() {
    for still_asked in [true, false] {
        let mut world = World::asking("2027");
        world.takes(&Step::Begin);
        world.previous_is_ended();
        if still_asked {
            world.takes(&Step::Begin);
            assert_eq!(world.keys.new_key(), Some(&b"third"[..]));
        } else {
            world.asked = None;
            world.takes(&Step::Note(KeyPhase::Settled));
            assert_eq!(world.told, None);
        }
        assert_eq!(world.keys.current, [OLD]);
    }
}

#[test]
fn all_keys_that_callers_read_stay_accepted() {
    let mut world = World::asking("2027");
    let several = vec![OLD.to_vec(), b"another".to_vec()];
    world.keys.current.clone_from(&several);
    world.files_arrive(&[OLD]);
    world.takes(&Step::Begin);
    world.files_arrive(&[OLD, b"another"]);
    world.takes(&Step::Exchange(NEW.to_vec()));
    world.files_arrive(&[OLD, b"another", NEW]);
}
