//! The files that kubelets bring into the folders of pods: each Secret and ConfigMap as a whole, and to each pod at a time of
//! its own.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::Value;

use super::names::{API_KEY, CLUSTER_KEY, NODE_TLS, PEERS, is_secret};
use crate::{stage::Stage, world::NodeId};

/// The Secrets that pods have as folders and that may change.
const SECRETS: [&str; 3] = [API_KEY, CLUSTER_KEY, NODE_TLS];
/// The longest time of a kubelet, by Kubernetes' defaults: its sync period, and its cache of a Secret.
const ROUND: Duration = Duration::from_secs(90);
const QUICK: Duration = Duration::from_secs(3);

/// How soon kubelets bring changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Within seconds.
    Quick,
    /// Within the longest time that Kubernetes allows.
    Slow,
    /// One of these at random.
    Any,
}

/// The entries of an object, as files.
pub(crate) type Entries = BTreeMap<String, Vec<u8>>;

/// A folder of a pod.
#[derive(Debug, Clone, Default)]
struct Folder {
    /// The version of the object that it holds.
    version: String,
    entries: Entries,
    /// When the kubelet brings the version that is then the newest.
    due: Option<Duration>,
}

/// All kubelets, and the files that they have brought.
#[derive(Debug)]
pub(crate) struct Kubelets {
    /// Separate from the world's random numbers, which mounts must not disturb.
    random: StdRng,
    slowest: Duration,
    folders: BTreeMap<(NodeId, &'static str), Folder>,
}

impl Kubelets {
    pub(crate) fn new(seed: u64, pace: Pace) -> Self {
        let mut random = StdRng::seed_from_u64(!seed);
        let slowest = match pace {
            Pace::Quick => QUICK,
            Pace::Slow => ROUND,
            Pace::Any => *[QUICK, QUICK, Duration::from_secs(20), ROUND]
                .choose(&mut random)
                .unwrap(),
        };
        Self {
            random,
            slowest,
            folders: BTreeMap::new(),
        }
    }

    /// The files of a folder.
    pub(crate) fn files(&self, node: NodeId, path: &'static str) -> Entries {
        let folder = self.folders.get(&(node, path));
        folder
            .map(|folder| folder.entries.clone())
            .unwrap_or_default()
    }

    /// A moment of less than so many milliseconds.
    pub(crate) fn moment(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.random.random_range(0..most))
    }

    /// Whether an event of this probability happens now.
    pub(crate) fn happens(&mut self, how_often: f64) -> bool {
        self.random.random_bool(how_often)
    }

    /// Removes the folders of a pod.
    pub(crate) fn clear(&mut self, node: NodeId) {
        self.folders.retain(|(of, _), _| *of != node);
    }
}

impl Stage {
    /// Gives a starting container the newest files; gives whether all its folders exist. A container that restarts in its pod
    /// keeps files whose objects are gone.
    pub(crate) fn fill_folders(&mut self, node: NodeId) -> bool {
        let store = &self.store;
        let folders = &mut self.kubelets.folders;
        for path in SECRETS.into_iter().chain([PEERS]) {
            match store.get(path) {
                Some(object) => drop(folders.insert((node, path), folder(path, object))),
                // The list of nodes may be empty.
                None if path == PEERS || folders.contains_key(&(node, path)) => {}
                None => return false,
            }
        }
        true
    }

    /// One round of all kubelets over the mounted objects; `at_once` brings all changes, where time enough has passed.
    pub(crate) fn bring_files(&mut self, at_once: bool) {
        let now = self.world.time;
        let Kubelets {
            random,
            slowest,
            folders,
        } = &mut self.kubelets;
        let mut brought = Vec::new();
        for (number, running) in &self.running {
            if !running.has_started() {
                continue;
            }
            for path in SECRETS.into_iter().chain([PEERS]) {
                let Some(object) = self.store.get(path) else {
                    continue;
                };
                let there = folders.entry((*number, path)).or_default();
                if object["metadata"]["resourceVersion"] == there.version.as_str() {
                    there.due = None;
                    continue;
                }
                let most = u64::try_from(slowest.as_millis()).unwrap();
                let due = *there.due.get_or_insert_with(|| {
                    now + Duration::from_millis(random.random_range(0..most))
                });
                if now >= due || at_once {
                    let before = std::mem::replace(there, folder(path, object));
                    brought.push((*number, path, before.entries));
                }
            }
        }
        for (number, path, before) in brought {
            let name = path.rsplit('/').next().unwrap_or_default();
            self.tell(|| format!("node {number} has another {name}"));
            if path == PEERS {
                let list = self.peers();
                if self.world.nodes[number].engine.is_some() {
                    self.world.list(number, list);
                }
            } else {
                self.note_new_files(number, path, &before);
            }
        }
    }
}

fn folder(path: &str, object: &Value) -> Folder {
    let version = object["metadata"]["resourceVersion"].as_str();
    Folder {
        version: version.unwrap_or_default().to_owned(),
        entries: entries(path, object),
        due: None,
    }
}

/// The entries of an object.
pub(crate) fn entries(path: &str, object: &Value) -> Entries {
    let data = object["data"].as_object().into_iter().flatten();
    data.filter_map(|(name, value)| {
        let text = value.as_str()?;
        let bytes = if is_secret(path) {
            STANDARD.decode(text).ok()?
        } else {
            text.as_bytes().to_vec()
        };
        Some((name.clone(), bytes))
    })
    .collect()
}
