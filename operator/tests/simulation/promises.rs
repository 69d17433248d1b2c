//! Rules that hold after every step, whatever faults an operator meets, and rules that hold once all faults have ended.

use std::time::Duration;

use opensecureconf_node::cluster::{MemberState, State};
use serde_json::Value;

use crate::{
    kubernetes::{
        names::{
            API_KEY, AUTHORITY, BUDGET, CLAIMS, CLIENT_SERVICE, LEASE, NODE_TLS, PEERS, PODS,
            RESOURCE, SALT, STATEFUL_SET, claim, is_secret, ordinal,
        },
        store::{Change, What, owners},
        workloads::{is_ready, revision},
    },
    operators::identity,
    stage::{OperatorId, Stage},
};

/// How long an operator may stand still and still act on its earlier knowledge.
const LONGEST_STANDSTILL: Duration = Duration::from_secs(10);

impl Stage {
    /// The operator that holds the Lease.
    pub(crate) fn holder(&self) -> Option<String> {
        let holder = self.store.get(LEASE)?["spec"]["holderIdentity"].as_str()?;
        (!holder.is_empty()).then(|| holder.to_owned())
    }

    /// Among elected operators only the leader sends requests.
    pub(crate) fn check_that_leads(&mut self, operator: OperatorId, what: &str) {
        let holder = self.holder();
        if self.are_elected && holder.as_ref() != Some(&identity(operator)) {
            self.world.break_off(format!(
                "operator {operator} sends {what} while {holder:?} leads"
            ));
        }
    }

    /// Whether operators currently lack the right to write this object.
    pub(crate) fn is_forbidden(&self, path: &str) -> bool {
        self.forbidden
            .is_some_and(|kind| path.split('/').any(|part| part == kind))
    }

    /// Checks the writes of one call of an operator.
    pub(crate) fn check_writes_of(&mut self, operator: OperatorId, since: u64) {
        let written: Vec<_> = self
            .store
            .log
            .iter()
            .rev()
            .take_while(|change| change.version > since)
            .cloned()
            .collect();
        for change in written {
            if change.path == SALT || is_secret(&change.path) && change.what == What::Deleted {
                self.check_secret(&change);
            } else if change.path == AUTHORITY {
                self.check_authority(&change);
            } else if change.path == NODE_TLS {
                self.check_leaf(&change);
            } else if change.path.starts_with(CLAIMS) {
                self.check_claim(&change);
            } else if change.path.starts_with(PODS) {
                self.check_pod(&change);
            } else if change.path == STATEFUL_SET && change.what == What::Deleted {
                self.check_set(&change.object);
            }
        }
        if let Some(broken) = &self.world.broken {
            let broken = broken.clone();
            self.tell(|| format!("operator {operator} did it: {broken}"));
        }
    }

    pub(crate) fn before(&self, change: &Change) -> Option<Value> {
        let mut earlier = self.store.log.iter().rev();
        let earlier =
            earlier.find(|other| other.path == change.path && other.version < change.version);
        earlier
            .filter(|earlier| earlier.what != What::Deleted)
            .map(|earlier| earlier.object.clone())
    }

    /// No Secret is deleted, and the salt never changes.
    fn check_secret(&mut self, change: &Change) {
        if change.what == What::Deleted {
            self.world.break_off(format!("{} is deleted", change.path));
        }
        let salt = change.object["data"]["salt"].as_str();
        self.salts.extend(salt.map(str::to_owned));
        if self.salts.len() > 1 {
            self.world.break_off("the Secret had two salts");
        }
    }

    /// An operator deletes a claim only where a user gave up its incarnation, and where other members hold its rows unless the
    /// user forced it.
    fn check_claim(&mut self, change: &Change) {
        let was_ending = self
            .before(change)
            .is_some_and(|before| before["metadata"].get("deletionTimestamp").is_some());
        let is_ending = change.object["metadata"].get("deletionTimestamp").is_some();
        if was_ending || !is_ending && change.what != What::Deleted {
            return;
        }
        let number = ordinal(&change.path).unwrap();
        if self.volumes.contains_key(&number) {
            self.check_life_that_goes(number, "an operator deletes the claim");
            self.check_that_others_hold(number);
        }
    }

    /// A user may give up by force the rows of one node, not those of all: another member must stay.
    fn check_that_others_hold(&mut self, number: usize) {
        let is_member = |number: usize| {
            let contents = self.world.nodes[number].disk.durable();
            contents.state(self.world.rules) == Some(State::Member)
        };
        let stays = |number: usize| {
            let claim = self.store.get(&claim(number));
            claim.is_some_and(|claim| claim["metadata"].get("deletionTimestamp").is_none())
        };
        let mut others = (0..self.world.nodes.len()).filter(|other| *other != number);
        let is_last = !others.any(|other| is_member(other) && stays(other));
        if is_member(number) && is_last && self.world.is_ready(number) {
            self.world
                .break_off(format!("node {number}, the last one, is given up"));
        }
    }

    fn check_life_that_goes(&mut self, number: usize, how: &str) {
        let contents = self.world.nodes[number].disk.durable().clone();
        let state = contents.state(self.world.rules);
        // This includes a joining node: other members would wait for it for ever.
        let holds = state
            .is_some_and(|state| matches!(state, State::Joining | State::Member | State::Leaving));
        let given_up = self.given_up.get(&contents.incarnation).copied();
        if holds && given_up != Some(true) {
            self.world.break_off(format!(
                "{how} of node {number}, on which {} lives as {}",
                contents.incarnation,
                state.map_or("nothing", State::text)
            ));
        }
        if given_up == Some(true) {
            self.world
                .history
                .void(contents.incarnation, "its volume was given up by force");
        }
    }

    /// A volume goes for good.
    pub(crate) fn check_volume_that_goes(&mut self, number: usize) {
        self.tell(|| format!("the volume of node {number} goes"));
        self.check_life_that_goes(number, "Kubernetes deletes the volume");
    }

    /// At most one serving node is away by the operator's own doing, none beside a drain where there is a disruption budget, and
    /// the operator takes none away while the others are apart.
    fn check_pod(&mut self, change: &Change) {
        let Some(before) = self.before(change) else {
            return;
        };
        let ends_now = before["metadata"].get("deletionTimestamp").is_none()
            && change.object["metadata"].get("deletionTimestamp").is_some();
        if !ends_now || !is_ready(&before) {
            return;
        }
        let number = ordinal(&change.path).unwrap();
        let incarnation = self.world.nodes[number].disk.durable().incarnation;
        if self.given_up.contains_key(&incarnation) {
            return;
        }
        let wanted = self.replicas();
        self.away.retain(|away| *away < wanted);
        self.away.insert(number);
        if self.away.len() > 1 {
            self.world.break_off(format!(
                "nodes {:?} are away by the operators' doing",
                self.away
            ));
        }
        self.drained.retain(|drained| *drained < wanted);
        if !self.drained.is_empty() && self.store.get(BUDGET).is_some() {
            self.world.break_off(format!(
                "node {number} is taken away while {:?} are drained",
                self.drained
            ));
        }
        let mut limit = self.faults.longest_reconcile();
        if self.are_elected {
            limit += LONGEST_STANDSTILL;
        }
        let now = self.world.time;
        if self.apart_since.is_some_and(|since| now > since + limit) {
            self.world.break_off(format!(
                "node {number} is replaced while others do not reach each other"
            ));
        }
    }

    pub(crate) fn note_pod_that_serves(&mut self, number: usize) {
        self.away.remove(&number);
        self.drained.remove(&number);
    }

    /// A set that is made anew leaves its pods.
    fn check_set(&mut self, set: &Value) {
        let uid = &set["metadata"]["uid"];
        let takes = self
            .store
            .list(PODS)
            .any(|(_, pod)| owners(pod).any(|owner| owner["uid"] == *uid));
        if takes {
            self.world.break_off("the StatefulSet takes its pods along");
        }
    }

    /// Checks the rules that hold at any moment.
    pub(crate) fn check_everything(&mut self) {
        let apart = (0..self.replicas()).any(|number| {
            let is_there = self.running.contains_key(&number);
            let view = is_there.then(|| self.world.view(number)).flatten();
            view.is_some_and(|view| {
                view.members.iter().any(|member| {
                    let number = ordinal(&member.name);
                    let stays = number.is_some_and(|number| {
                        number < self.replicas()
                            && self
                                .world
                                .nodes
                                .get(number)
                                .is_some_and(|node| node.engine.is_some())
                    });
                    member.state == MemberState::Member && stays && !member.reachable
                })
            })
        });
        let now = self.world.time;
        self.apart_since = apart.then(|| self.apart_since.unwrap_or(now));
    }

    /// Why the cluster is not in its final state; `None` where it is.
    pub(crate) fn unfinished(&self) -> Option<String> {
        let resource = self.store.get(RESOURCE)?;
        let status = &resource["status"];
        let generation = &resource["metadata"]["generation"];
        if status["observedGeneration"] != *generation {
            return Some(format!("generation {generation} is not observed"));
        }
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        let has = |type_: &str, is: &str| {
            let mut conditions = conditions.clone();
            conditions.any(|told| told["type"] == type_ && told["status"] == is)
        };
        if !has("Ready", "True") || has("Reconciling", "True") || has("Stalled", "True") {
            let told: Vec<_> = conditions
                .by_ref()
                .map(|told| {
                    format!(
                        "{}={} {}: {}",
                        told["type"], told["status"], told["reason"], told["message"]
                    )
                })
                .collect();
            return Some(told.join("\n"));
        }
        let wanted = self.replicas();
        let Some(set) = self.store.get(STATEFUL_SET) else {
            return Some("there is no StatefulSet".to_owned());
        };
        for made in [API_KEY, CLIENT_SERVICE] {
            if self.store.get(made).is_none() {
                return Some(format!("{made} is missing"));
            }
        }
        let files = self
            .store
            .get(PEERS)
            .map(|files| files["data"]["nodes"].to_string());
        if files.is_none_or(|files| files.contains("nowhere")) {
            return Some("the list of nodes is what somebody made of it".to_owned());
        }
        let revision = revision(&set["spec"]["template"]);
        for number in 0..wanted {
            let Some(pod) = self.store.get(&crate::kubernetes::names::pod(number)) else {
                return Some(format!("pod {number} is missing"));
            };
            if pod["metadata"]["labels"]["controller-revision-hash"] != revision.as_str() {
                return Some(format!("pod {number} is of another template"));
            }
        }
        self.unfinished_exchange()
            .or_else(|| self.world.unsettled())
    }
}
