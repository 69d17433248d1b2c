//! Two operators and two pods in every order of their steps, with deletions that arrive whenever they like.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::*;

/// The number of a pod, and which object of that name in which state.
type Named = (usize, u8);

/// How often each pod changes by itself.
const CHANGES: u8 = 1;

/// Two pods that two operators want to replace: each another one, as for two templates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct World {
    /// Which object in which state each pod is, and whether it serves.
    pods: [(u8, bool); 2],
    /// The version of the record, and the pod that it names.
    record: (u8, Option<Named>),
    operators: [Operator; 2],
    /// Deletions that were sent and have not arrived.
    under_way: BTreeSet<Named>,
}

/// How far an operator is in a reconcile, and how many it does after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operator {
    Begins {
        more: u8,
    },
    HasReadTheRecord {
        more: u8,
        record: (u8, Option<Named>),
    },
    HasReadThePods {
        more: u8,
        record: (u8, Option<Named>),
        chosen: Named,
    },
    Ended,
}

impl World {
    fn new() -> Self {
        Self {
            pods: [(0, true); 2],
            record: (0, None),
            operators: [Operator::Begins { more: 2 }; 2],
            under_way: BTreeSet::new(),
        }
    }

    fn away(&self) -> usize {
        self.pods.iter().filter(|(_, serves)| !serves).count()
    }

    /// All worlds that are one step away.
    fn next(&self, is_recorded: bool) -> Vec<Self> {
        let mut next = Vec::new();
        for which in 0..2 {
            let mut world = self.clone();
            world.step(which, is_recorded);
            next.push(world);
        }
        for late in &self.under_way {
            let mut world = self.clone();
            world.under_way.remove(late);
            let (number, object) = *late;
            let pod = &mut world.pods[number];
            if pod.0 == object {
                pod.1 = false;
            }
            next.push(world);
        }
        // A pod comes back as another one, or changes: no deletion is for it any more.
        for (number, (object, serves)) in self.pods.into_iter().enumerate() {
            if !serves || object < CHANGES {
                let mut world = self.clone();
                world.pods[number] = (object + 1, true);
                next.push(world);
            }
        }
        next
    }

    fn step(&mut self, which: usize, is_recorded: bool) {
        self.operators[which] = match self.operators[which] {
            Operator::Ended => Operator::Ended,
            Operator::Begins { more } => Operator::HasReadTheRecord {
                more,
                record: self.record,
            },
            Operator::HasReadTheRecord { more, record } => {
                if self.away() == 0 {
                    let chosen = self.chosen(which, record.1.filter(|_| is_recorded));
                    Operator::HasReadThePods {
                        more,
                        record,
                        chosen,
                    }
                } else {
                    again(more)
                }
            }
            Operator::HasReadThePods {
                more,
                record,
                chosen,
            } => {
                let is_named = record.1 == Some(chosen);
                if !is_named && self.record.0 == record.0 {
                    self.record = (record.0 + 1, Some(chosen));
                    self.under_way.insert(chosen);
                } else if is_named || !is_recorded {
                    self.under_way.insert(chosen);
                }
                again(more)
            }
        };
    }

    fn chosen(&self, planned: usize, record: Option<Named>) -> Named {
        let record = record.map(|named| Record::of(&pod(named)).unwrap());
        let pods = self.pods.iter().enumerate();
        let pods: Vec<_> = pods
            .map(|(number, (object, _))| pod((number, *object)))
            .collect();
        let all: Vec<_> = pods.iter().collect();
        let chosen = next(record.as_ref(), &all, &pods[planned]).name_any();
        let number = chosen.rsplit('-').next().unwrap().parse().unwrap();
        (number, self.pods[number].0)
    }
}

fn again(more: u8) -> Operator {
    match more {
        0 => Operator::Ended,
        more => Operator::Begins { more: more - 1 },
    }
}

fn pod((number, object): Named) -> Pod {
    let metadata = ObjectMeta {
        name: Some(format!("demo-{number}")),
        uid: Some(format!("uid-{object}")),
        resource_version: Some(object.to_string()),
        ..ObjectMeta::default()
    };
    Pod {
        metadata,
        ..Pod::default()
    }
}

/// The most pods that are away at a time, and how many worlds there are.
fn explore(is_recorded: bool) -> (usize, usize) {
    let mut seen = BTreeSet::from([World::new()]);
    let mut open = vec![World::new()];
    let mut most = 0;
    while let Some(world) = open.pop() {
        most = most.max(world.away());
        for world in world.next(is_recorded) {
            if seen.insert(world.clone()) {
                open.push(world);
            }
        }
    }
    (most, seen.len())
}

#[test]
fn in_no_order_of_steps_do_two_operators_take_two_pods_away() {
    let (most, worlds) = explore(true);
    assert_eq!(most, 1);
    assert!(worlds > 1000, "only {worlds} worlds");
}

#[test]
fn without_the_record_they_do() {
    assert_eq!(explore(false).0, 2);
}

#[test]
fn what_somebody_else_wrote_there_names_no_pod() {
    let read = |text: &str| {
        let config_map = json!({ "metadata": { "annotations": { ANNOTATION_REPLACING: text } } });
        let config_map: ConfigMap = serde_json::from_value(config_map).unwrap();
        Record::read(&LiveChild::of(&config_map))
    };
    let record = Record::of(&pod((1, 7)));
    assert_eq!(read(&record.clone().unwrap().text()), record);
    assert_eq!(read(""), None);
    assert_eq!(read("demo-1"), None);
}
