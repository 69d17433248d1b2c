//! The StatefulSet controller: creates pods and claims, deletes pods from the highest ordinal down, and replaces none by
//! itself.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use super::{
    names::{CLUSTER, PODS, STATEFUL_SET, claim, ordinal, pod},
    store::{Preconditions, Store, owners},
};

impl Store {
    /// One round of the controller.
    pub(crate) fn control_the_set(&mut self) {
        let before = self.state();
        if !self.settled_set.stands(before) {
            self.reconcile_the_set();
            let after = self.state();
            self.settled_set.note(before, after);
        }
    }

    fn reconcile_the_set(&mut self) {
        let Some(set) = self.get(STATEFUL_SET).cloned() else {
            // Its write may still be under way by what it knew, after the garbage collector has freed what the set owned.
            if let Some(known) = self.known_set.take() {
                self.own_claims(&known, replicas_of(&known));
            }
            return;
        };
        let revision = revision(&set["spec"]["template"]);
        let replicas = replicas_of(&set);
        self.adopt_pods(&set);
        self.own_claims(&set, replicas);
        for number in 0..replicas {
            if self.get(&pod(number)).is_none() && self.may_make_pods {
                self.make_pod(&set, number, &revision);
            }
        }
        let beyond: Vec<_> = self
            .list(PODS)
            .filter(|(path, object)| {
                ordinal(path).is_some_and(|number| number >= replicas)
                    && object["metadata"].get("deletionTimestamp").is_none()
                    && is_controlled_by(object, &set)
            })
            .map(|(path, _)| path.clone())
            .collect();
        for path in beyond {
            self.delete(&path, &Preconditions::default(), false)
                .unwrap();
        }
        self.tell_of_the_set(&set, &revision);
        self.known_set = Some(set);
    }

    fn tell_of_the_set(&mut self, set: &Value, revision: &str) {
        let pods: Vec<_> = self
            .list(PODS)
            .map(|(_, object)| object)
            .filter(|object| is_controlled_by(object, set))
            .collect();
        let updated = pods.iter().filter(|pod| {
            pod["metadata"]["labels"]["controller-revision-hash"].as_str() == Some(revision)
        });
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        let status = json!({
            "observedGeneration": set["metadata"]["generation"], "replicas": pods.len(), "readyReplicas": ready,
            "updatedReplicas": updated.count(), "updateRevision": revision, "currentRevision": "the first one, for ever",
        });
        self.change(STATEFUL_SET, |object| object["status"] = status);
    }

    /// Pods without an owner that have the labels are its own.
    fn adopt_pods(&mut self, set: &Value) {
        let labels = &set["spec"]["selector"]["matchLabels"];
        let is_meant = |object: &Value| {
            let labels = labels.as_object().into_iter().flatten();
            labels
                .clone()
                .all(|(name, value)| object["metadata"]["labels"][name] == *value)
        };
        let orphans: Vec<_> = self
            .list(PODS)
            .filter(|(_, object)| owners(object).next().is_none() && is_meant(object))
            .map(|(path, _)| path.clone())
            .collect();
        for path in orphans {
            self.change(&path, |object| {
                object["metadata"]["ownerReferences"] = json!([owner(set)]);
            });
        }
    }

    /// Claims are deleted with the set or with their pods where the set's policy says so.
    fn own_claims(&mut self, set: &Value, replicas: usize) {
        let policy = &set["spec"]["persistentVolumeClaimRetentionPolicy"];
        let claims: Vec<_> = self
            .list(super::names::CLAIMS)
            .map(|(path, _)| path.clone())
            .collect();
        for path in claims {
            let number = ordinal(&path).unwrap();
            let pod_uid = self
                .get(&pod(number))
                .map(|pod| pod["metadata"]["uid"].clone());
            let goes_with_its_pod = policy["whenScaled"] == "Delete" && number >= replicas;
            let mut wanted = Vec::new();
            if let Some(uid) = pod_uid.filter(|_| goes_with_its_pod) {
                wanted.push(json!({ "apiVersion": "v1", "kind": "Pod", "name": format!("{CLUSTER}-{number}"), "uid": uid }));
            } else if policy["whenDeleted"] == "Delete" && !goes_with_its_pod {
                wanted.push(owner(set));
            }
            // The owner that took it along is gone already: the garbage collector has it.
            let is_condemned = goes_with_its_pod
                && wanted.is_empty()
                && self
                    .get(&path)
                    .is_some_and(|claim| owners(claim).any(|owner| owner["kind"] == "Pod"));
            if !is_condemned {
                self.change(&path, |claim| {
                    claim["metadata"]["ownerReferences"] = wanted.into();
                });
            }
        }
    }

    fn make_pod(&mut self, set: &Value, number: usize, revision: &str) {
        let path = claim(number);
        match self.get(&path) {
            Some(there) if there["metadata"].get("deletionTimestamp").is_some() => return,
            Some(_) => {}
            None => {
                let mut object = set["spec"]["volumeClaimTemplates"][0].clone();
                object["metadata"]["name"] = json!(format!("data-{CLUSTER}-{number}"));
                object["status"] = json!({ "phase": "Pending" });
                self.create(&path, object).unwrap();
            }
        }
        let name = format!("{CLUSTER}-{number}");
        let mut object = set["spec"]["template"].clone();
        object["metadata"]["name"] = json!(name);
        object["metadata"]["labels"]["controller-revision-hash"] = json!(revision);
        object["metadata"]["ownerReferences"] = json!([owner(set)]);
        object["status"] = json!({ "phase": "Pending" });
        self.create(&pod(number), object).unwrap();
    }
}

fn replicas_of(set: &Value) -> usize {
    usize::try_from(set["spec"]["replicas"].as_u64().unwrap_or(1)).unwrap()
}

fn owner(set: &Value) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": CLUSTER, "controller": true, "uid": set["metadata"]["uid"] })
}

fn is_controlled_by(object: &Value, set: &Value) -> bool {
    owners(object).any(|owner| owner["uid"] == set["metadata"]["uid"])
}

/// How Kubernetes names a pod template.
pub(crate) fn revision(template: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    template.hash(&mut hasher);
    format!("{CLUSTER}-{:x}", hasher.finish())
}

/// Whether a pod serves, by its conditions.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
