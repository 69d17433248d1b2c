//! Acts of users on their cluster: every change that a resource allows, and some mishaps.

use std::time::Duration;

use rand::{RngExt, seq::IndexedRandom};
use serde_json::{Value, json};

use crate::{
    kubernetes::{
        names::{API_KEY, CLIENT_SERVICE, CLUSTER, PEERS, RESOURCE, SALT, claim, pod},
        store::Preconditions,
        workloads::is_ready,
    },
    operators::Operators,
    plots::{Act, Plot, Volumes},
    stage::{Shared, Stage},
};

/// The users' acts, and the time of the next one.
pub(crate) struct Users {
    /// Their acts once the cluster has been bootstrapped.
    menu: &'static [Act],
    next: Duration,
    pause: u64,
    number: u64,
}

impl Users {
    /// Somebody makes a cluster.
    pub(crate) fn begin(stage: &mut Stage, plot: &Plot) -> Self {
        let replicas = *[1, 2, 3, 3, 3].choose(&mut stage.random).unwrap();
        let retention = *["Retain", "Delete"].choose(&mut stage.random).unwrap();
        let pause: u64 = stage.random.random_range(3_000..25_000);
        let go = match plot.volumes {
            Volumes::Stay => false,
            Volumes::GoInSomeWorlds => pause.is_multiple_of(4),
            Volumes::Go => true,
        };
        let when_deleted = if go { "Delete" } else { "Retain" };
        let resource = json!({
            "apiVersion": "opensecureconf.io/v1alpha1", "kind": "OpenSecureConfCluster",
            "metadata": { "name": CLUSTER },
            "spec": {
                "replicas": replicas, "image": "node:0",
                "storage": { "size": "1Gi", "storageClassName": "fast",
                             "retention": { "whenDeleted": when_deleted, "whenScaled": retention } },
            },
        });
        stage.store.create(RESOURCE, resource).unwrap();
        if !plot.has_budget {
            stage.ask(|spec| spec["podDisruptionBudget"] = json!({ "enabled": false }));
        }
        Self {
            menu: plot.menu,
            next: Duration::from_secs(1),
            pause,
            number: 0,
        }
    }

    /// A user may act now.
    pub(crate) fn act(&mut self, shared: &Shared, operators: &mut Operators) {
        let mut stage = shared.lock();
        if stage.world.time < self.next {
            return;
        }
        let pause = stage.random.random_range(self.pause / 4..self.pause * 2);
        self.next = stage.world.time + Duration::from_millis(pause);
        self.number += 1;
        let has_begun = stage.has_begun();
        let menu = if has_begun { self.menu } else { Act::BEGINNING };
        let act = *menu.choose(&mut stage.random).unwrap();
        stage.tell(|| format!("somebody does this: {act:?}"));
        let number = self.number;
        match act {
            Act::Image => stage.ask(|spec| spec["image"] = json!(format!("node:{number}"))),
            Act::OneOfTwoImages => stage.ask(|spec| {
                let is_one = spec["image"] == "node:one";
                spec["image"] = json!(if is_one { "node:other" } else { "node:one" });
            }),
            Act::Restart => stage.ask(|spec| {
                spec["restartedAt"] = json!(format!("2026-01-01T00:00:{:02}Z", number % 60));
            }),
            Act::Scale => {
                let replicas = stage.random.random_range(1..=4);
                stage.ask(|spec| spec["replicas"] = json!(replicas));
            }
            Act::Hibernate => stage.ask(|spec| spec["hibernate"] = json!(true)),
            Act::Wake => stage.ask(|spec| spec["hibernate"] = json!(false)),
            Act::Grow => stage.ask(|spec| {
                spec["storage"]["size"] = json!(format!("{}Gi", number + 1));
            }),
            Act::Rebuild => stage.rebuild(false),
            Act::RebuildByForce => stage.rebuild(true),
            Act::RebuildTheOnlyOne => stage.rebuild_the_only_one(),
            Act::DrainOne => {
                let path = pod(stage.any_node());
                let _ = stage.store.delete(&path, &Preconditions::default(), false);
            }
            Act::DrainByTheBook => stage.drain_by_the_book(),
            Act::CrashOne => {
                let node = stage.any_node();
                stage.world.crash(node);
            }
            Act::LoseSalt => {
                // Nodes have it as long as they run.
                if stage.all_serve_but(None) {
                    stage.store.remove(SALT);
                }
            }
            Act::LoseDisk => stage.lose_disk(),
            Act::Pause => stage.ask(|spec| spec["paused"] = json!(true)),
            Act::GoOn => stage.ask(|spec| spec["paused"] = json!(false)),
            Act::PartNodes => {
                let (one, other) = (stage.any_node(), stage.any_node());
                if one != other {
                    stage.world.network.part(one, other);
                }
            }
            Act::JoinNodes => stage.world.network.heal(),
            Act::NewRelease => stage.node_image = format!("node:{number}"),
            Act::DeleteService => stage.delete_by_hand(CLIENT_SERVICE),
            Act::DeleteKey => stage.delete_by_hand(API_KEY),
            Act::EditFiles => stage.store.change(PEERS, |files| {
                files["data"]["nodes"] = json!("nobody.nowhere:9001");
            }),
            Act::TakeRights => stage.take_rights(),
            Act::GiveRights => stage.forbidden = None,
            Act::NoQuota => stage.store.may_make_pods = false,
            Act::Quota => stage.store.may_make_pods = true,
            Act::RotateKey
            | Act::EndKey
            | Act::NameAnew
            | Act::RotateAuthority
            | Act::LoseAuthority
            | Act::LoseLeaf
            | Act::PassSeason => stage.exchange(act, number),
            Act::RestartOperator
            | Act::AnotherOperator
            | Act::FreezeOperator
            | Act::PassYearAlone => {}
        }
        let now = stage.world.time;
        let is_no_operator = now < stage.no_operator_until;
        let thaws = (act == Act::FreezeOperator).then(|| {
            let millis: u64 = stage.random.random_range(2_000..40_000);
            now + Duration::from_millis(millis)
        });
        drop(stage);
        if let Some(thaws) = thaws {
            operators.freeze_one(shared, thaws);
        }
        if matches!(act, Act::RestartOperator | Act::NewRelease) {
            operators.end_one(shared);
        }
        if act == Act::PassYearAlone {
            operators.stay_away_for_a_year(shared);
        }
        if act == Act::AnotherOperator && operators.count() < 2 && !is_no_operator {
            operators.start(shared);
        }
    }
}

impl Stage {
    /// Whether the cluster has come into being.
    fn has_begun(&self) -> bool {
        let resource = self.store.get(RESOURCE).unwrap();
        let conditions = resource["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        !self.world.cluster_uids.is_empty()
            && (self.given_up.len() + self.steps_of_users() > 0
                || conditions.any(|told| told["type"] == "Ready" && told["status"] == "True"))
    }

    fn steps_of_users(&self) -> usize {
        let resource = self.store.get(RESOURCE).unwrap();
        usize::from(resource["metadata"]["generation"] != 1)
    }

    /// Changes the spec of the resource.
    pub(crate) fn ask(&mut self, how: impl FnOnce(&mut Value)) {
        self.store
            .change(RESOURCE, |resource| how(&mut resource["spec"]));
    }

    pub(crate) fn all_serve_but(&self, one: Option<usize>) -> bool {
        let wanted = 0..self.replicas();
        wanted
            .filter(|number| Some(*number) != one)
            .all(|number| number < self.world.nodes.len() && self.world.is_ready(number))
    }

    /// The same, and no user has given up another node.
    fn all_stay_but(&self, one: usize) -> bool {
        let most = self.replicas().min(self.world.nodes.len());
        let mut others = (0..most).filter(|number| *number != one);
        self.all_serve_but(Some(one))
            && !others.any(|number| {
                let lives = self.world.nodes[number].disk.durable().incarnation;
                self.given_up.contains_key(&lives)
            })
    }

    /// A user restores a salt that operators could not get from nodes, as their status advises.
    pub(crate) fn put_salt_back(&mut self) {
        if let Some(salt) = self.salts.first().cloned()
            && self.store.get(SALT).is_none()
        {
            self.tell(|| "somebody puts the salt back".to_owned());
            let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": format!("{CLUSTER}-salt") },
                "data": { "salt": salt } });
            self.store.create(SALT, secret).unwrap();
        }
    }

    fn take_rights(&mut self) {
        let kinds = [
            "secrets",
            "statefulsets",
            "pods",
            "configmaps",
            "persistentvolumeclaims",
        ];
        let kind = *kinds.choose(&mut self.random).unwrap();
        self.tell(|| format!("no operator may write {kind} any more"));
        self.forbidden = Some(kind);
    }

    fn any_node(&mut self) -> usize {
        let most = self.replicas().min(self.world.nodes.len());
        self.random.random_range(0..most)
    }

    fn delete_by_hand(&mut self, path: &str) {
        let _ = self.store.delete(path, &Preconditions::default(), false);
    }

    /// An administrator drains a machine as Kubernetes asks for it: by an eviction.
    fn drain_by_the_book(&mut self) {
        let number = self.any_node();
        let path = pod(number);
        let served = self.store.get(&path).is_some_and(is_ready);
        let all = Preconditions::default();
        let goes = self.store.evict(&path, &all, false).is_ok();
        if served && goes {
            self.drained.insert(number);
        }
    }

    /// A machine is lost with a disk: a user deletes the claim and the pod of a node whose rows the others have.
    fn lose_disk(&mut self) {
        let number = self.any_node();
        if self.replicas() < 2 || !self.all_stay_but(number) {
            return;
        }
        let incarnation = self.world.nodes[number].disk.durable().incarnation;
        self.given_up.insert(incarnation, true);
        for path in [claim(number), pod(number)] {
            let _ = self.store.delete(&path, &Preconditions::default(), false);
        }
    }

    /// Somebody wants a node anew.
    fn rebuild(&mut self, force: bool) {
        let number = self.any_node();
        // A user who gives up the last copy by force has no copy left.
        if force && (self.replicas() < 2 || !self.all_stay_but(number)) {
            return;
        }
        self.ask_for_rebuild(number, force);
    }

    /// Somebody forces the only node to give up what no other has.
    fn rebuild_the_only_one(&mut self) {
        if self.replicas() == 1 {
            self.ask_for_rebuild(0, true);
        }
    }

    fn ask_for_rebuild(&mut self, number: usize, force: bool) {
        let incarnation = self.world.nodes[number].disk.durable().incarnation;
        self.given_up
            .entry(incarnation)
            .and_modify(|forced| *forced |= force)
            .or_insert(force);
        let entry = json!({ "name": format!("{CLUSTER}-{number}"), "incarnation": incarnation.to_string(), "force": force });
        self.ask(|spec| spec["rebuildMembers"] = json!([entry]));
    }
}
