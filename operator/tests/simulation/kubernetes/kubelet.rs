//! Kubelets: they run pods as processes of nodes, and report whether those serve.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use opensecureconf_node::crypto::Salt;
use rand::RngExt;
use serde_json::{Value, json};

use super::{
    claims::uid,
    names::{PEERS, PODS, SALT, claim, ordinal},
    workloads::is_ready,
};
use crate::{disk::Disk, stage::Stage, world::NodeId};

/// A kubelet's knowledge of a pod.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) pod: String,
    /// When it starts, or has started.
    from: Duration,
    started: bool,
    /// When it is gone, once it was deleted.
    until: Option<Duration>,
}

impl Running {
    pub(crate) fn has_started(&self) -> bool {
        self.started
    }
}

impl Stage {
    /// One round of all kubelets.
    pub(crate) fn look_after_pods(&mut self) {
        let pods: Vec<_> = self
            .store
            .list(PODS)
            .map(|(path, pod)| (path.clone(), pod.clone()))
            .collect();
        for (path, pod) in pods {
            let number = ordinal(&path).unwrap();
            while self.world.nodes.len() <= number {
                let name = format!("{}-{}", super::names::CLUSTER, self.world.nodes.len());
                self.world.add_node(&name);
            }
            let uid = uid(&pod);
            if self
                .running
                .get(&number)
                .is_none_or(|running| running.pod != uid)
            {
                let wait = Duration::from_millis(self.random.random_range(100..3000));
                let running = Running {
                    pod: uid,
                    from: self.world.time + wait,
                    started: false,
                    until: None,
                };
                self.kubelets.clear(number);
                self.running.insert(number, running);
            }
            if pod["metadata"].get("deletionTimestamp").is_some() {
                self.end_pod(&path, number);
            } else {
                self.run_pod(&path, number, &pod);
            }
        }
    }

    fn end_pod(&mut self, path: &str, number: NodeId) {
        let now = self.world.time;
        let takes = Duration::from_millis(self.random.random_range(100..4000));
        let Some(running) = self.running.get_mut(&number) else {
            return;
        };
        let until = *running.until.get_or_insert(now + takes);
        if now >= until {
            self.running.remove(&number);
            self.kubelets.clear(number);
            self.world.crash(number);
            self.store.remove(path);
        }
    }

    fn run_pod(&mut self, path: &str, number: NodeId, pod: &Value) {
        let Some(running) = self.running.get(&number).cloned() else {
            return;
        };
        if !running.started {
            if self.world.time < running.from || !self.mount(number) {
                return;
            }
            if let Some(running) = self.running.get_mut(&number) {
                running.started = true;
            }
            self.store.change(path, |pod| {
                pod["status"]["phase"] = json!("Running");
                pod["status"]["podIP"] = json!(format!("10.0.0.{}", number + 1));
            });
            self.start_process(number);
        } else if self.world.nodes[number].engine.is_none() && self.random.random_bool(0.1) {
            // The process ended by itself: it is started again, in the same pod.
            self.fill_folders(number);
            self.world.nodes[number].list = self.peers();
            self.start_process(number);
        }
        self.tell_of_container(path, number, pod);
        let serves = self.world.is_ready(number);
        if serves != is_ready(pod) {
            let status = if serves { "True" } else { "False" };
            let now = self.store.now();
            self.store.change(path, |pod| {
                pod["status"]["conditions"] =
                    json!([{ "type": "Ready", "status": status, "lastTransitionTime": now }]);
            });
            if serves {
                self.note_pod_that_serves(number);
            }
        }
    }

    fn start_process(&mut self, number: NodeId) {
        self.world.start(number);
        self.read_files_at_start(number);
    }

    /// Reports whether the process runs.
    fn tell_of_container(&mut self, path: &str, number: NodeId, pod: &Value) {
        let runs = self.world.nodes[number].engine.is_some();
        let state = if runs {
            json!({ "running": {} })
        } else {
            json!({ "waiting": { "reason": "CrashLoopBackOff" } })
        };
        if pod["status"]["containerStatuses"][0]["state"] != state {
            self.store.change(path, |pod| {
                pod["status"]["containerStatuses"] = json!([{
                    "name": "node", "image": "", "imageID": "", "ready": runs, "restartCount": 0, "state": state,
                }]);
            });
        }
    }

    /// Gives a node its volume and its files; gives whether all of them exist.
    fn mount(&mut self, number: NodeId) -> bool {
        let volume = self.store.get(&claim(number));
        let Some(volume) = volume
            .filter(|claim| claim["status"]["phase"] == "Bound")
            .map(uid)
        else {
            return false;
        };
        let salt = self
            .store
            .get(SALT)
            .and_then(|secret| secret["data"]["salt"].as_str());
        let Some(salt) = salt.and_then(|salt| Salt::from_bytes(&STANDARD.decode(salt).ok()?))
        else {
            return false;
        };
        if !self.fill_folders(number) {
            return false;
        }
        if self.volumes.get(&number) != Some(&volume) {
            let fresh = Disk::new(self.world.fresh_incarnation(), self.world.profile.page);
            self.world.nodes[number].disk = fresh;
            self.volumes.insert(number, volume);
        }
        self.world.mounted = Some(salt);
        self.world.nodes[number].retired = false;
        let list = self.peers();
        self.world.nodes[number].list = list;
        true
    }

    /// The list of nodes as the ConfigMap has it.
    pub(super) fn peers(&self) -> Vec<opensecureconf_node::cluster::Address> {
        let files = self.store.get(PEERS);
        let list = files.and_then(|files| files["data"]["nodes"].as_str());
        let hosts = list.unwrap_or_default().lines();
        let numbers = hosts.filter_map(|host| ordinal(host.split('.').next()?));
        numbers
            .filter_map(|number| Some(self.world.nodes.get(number)?.address.clone()))
            .collect()
    }
}
