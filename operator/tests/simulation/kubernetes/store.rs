//! The objects of the API server by their path, each with its identity and version, and the order of all changes.

use std::{collections::BTreeMap, sync::Arc};

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Added,
    Modified,
    Deleted,
}

/// One change.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) path: String,
    pub(crate) what: What,
    pub(crate) object: Value,
    pub(crate) at: Timestamp,
}

/// A controller depends on the objects alone: where it changed none, it has nothing to do until one changes. Half the time of a
/// world went into such rounds.
#[derive(Debug, Default)]
pub(super) struct Settled(Option<(u64, bool)>);

impl Settled {
    /// Whether a round would change nothing.
    pub(super) fn stands(&self, now: (u64, bool)) -> bool {
        self.0 == Some(now)
    }

    /// Notes a round between these states.
    pub(super) fn note(&mut self, before: (u64, bool), after: (u64, bool)) {
        self.0 = Some(after).filter(|_| before == after);
    }
}

/// A status that refuses the request.
pub(crate) type Refused = StatusCode;

/// Which object a deletion is meant for.
#[derive(Debug, Default)]
pub(crate) struct Preconditions {
    pub(crate) uid: Option<String>,
    pub(crate) version: Option<String>,
}

impl Preconditions {
    /// Whether they hold for an object.
    pub(super) fn hold(&self, object: &Value) -> Result<(), Refused> {
        let is_other = |wanted: &Option<String>, field: &str| {
            let wanted = wanted.as_deref();
            wanted.is_some_and(|wanted| object["metadata"][field] != wanted)
        };
        if is_other(&self.uid, "uid") || is_other(&self.version, "resourceVersion") {
            return Err(StatusCode::CONFLICT);
        }
        Ok(())
    }
}

/// The objects.
#[derive(Debug)]
pub(crate) struct Store {
    objects: BTreeMap<String, Value>,
    /// The fields that each manager applied last, by path and manager.
    pub(super) applied: BTreeMap<(String, String), Value>,
    version: u64,
    uids: u64,
    pub(crate) log: Vec<Change>,
    /// Whether the quota allows another pod.
    pub(crate) may_make_pods: bool,
    /// The StatefulSet as its controller saw it last.
    pub(super) known_set: Option<Value>,
    /// The state in which the StatefulSet controller found nothing to do.
    pub(super) settled_set: Settled,
    /// The same of those that look after claims.
    pub(super) settled_claims: Settled,
    /// Wakes the watchers after a change, in the order in which they wait.
    pub(crate) news: Arc<Notify>,
    began: Timestamp,
    now: Timestamp,
}

impl Store {
    pub(crate) fn new() -> Self {
        // A whole second, so that rounding gives the same in every run.
        let began = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
        Self {
            objects: BTreeMap::new(),
            applied: BTreeMap::new(),
            version: 100,
            uids: 0,
            log: Vec::new(),
            may_make_pods: true,
            known_set: None,
            settled_set: Settled::default(),
            settled_claims: Settled::default(),
            news: Arc::default(),
            began,
            now: began,
        }
    }

    /// Lets the clock of this API server show how long the world exists.
    pub(crate) fn tell_time(&mut self, since_beginning: std::time::Duration) {
        let passed = SignedDuration::try_from(since_beginning).unwrap();
        self.now = self.began + passed;
    }

    /// Lets days pass on this clock alone.
    pub(crate) fn pass_days(&mut self, days: i64) {
        let passed = SignedDuration::from_hours(24 * days);
        self.began += passed;
        self.now += passed;
    }

    /// The present time.
    pub(crate) fn time(&self) -> Timestamp {
        self.now
    }

    /// The time in an object's words.
    pub(crate) fn now(&self) -> String {
        self.now
            .round(jiff::Unit::Second)
            .unwrap_or(self.now)
            .to_string()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Everything that controllers go by.
    pub(super) fn state(&self) -> (u64, bool) {
        (self.version, self.may_make_pods)
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        self.objects.get(path)
    }

    /// The objects of a collection.
    pub(crate) fn list<'a>(
        &'a self,
        collection: &str,
    ) -> impl Iterator<Item = (&'a String, &'a Value)> {
        let prefix = format!("{collection}/");
        let all = self.objects.range(prefix.clone()..);
        all.take_while(move |(path, _)| path.starts_with(&prefix))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.objects.iter()
    }

    /// Makes an object.
    pub(crate) fn create(&mut self, path: &str, mut object: Value) -> Result<Value, Refused> {
        if self.objects.contains_key(path) {
            return Err(StatusCode::CONFLICT);
        }
        self.uids += 1;
        let uid = format!("00000000-0000-4000-8000-{:012}", self.uids);
        let metadata = &mut object["metadata"];
        metadata["uid"] = json!(uid);
        metadata["namespace"] = json!(super::names::NAMESPACE);
        metadata["creationTimestamp"] = json!(self.now());
        if has_generation(path) {
            metadata["generation"] = json!(1);
        }
        Ok(self.keep(path, object, What::Added))
    }

    /// Replaces the state of an object; an equal state changes nothing.
    pub(crate) fn replace(&mut self, path: &str, mut object: Value) -> Result<Value, Refused> {
        let Some(there) = self.objects.get(path) else {
            return Err(StatusCode::NOT_FOUND);
        };
        for kept in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "generation",
            "namespace",
        ] {
            match there["metadata"].get(kept) {
                Some(value) => object["metadata"][kept] = value.clone(),
                None => drop(object["metadata"].as_object_mut().unwrap().remove(kept)),
            }
        }
        if object == *there {
            return Ok(object);
        }
        if has_generation(path) && object["spec"] != there["spec"] {
            let generation = there["metadata"]["generation"].as_i64().unwrap_or(1);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        Ok(self.keep(path, object, What::Modified))
    }

    /// Changes an object as its controller does; an absent object stays absent.
    pub(crate) fn change(&mut self, path: &str, how: impl FnOnce(&mut Value)) {
        let Some(mut object) = self.objects.get(path).cloned() else {
            return;
        };
        how(&mut object);
        self.replace(path, object).unwrap();
    }

    /// Deletes an object: pods end first, and a claim stays while a pod uses it.
    pub(crate) fn delete(
        &mut self,
        path: &str,
        wanted: &Preconditions,
        orphans: bool,
    ) -> Result<Value, Refused> {
        let there = self.objects.get(path).ok_or(StatusCode::NOT_FOUND)?.clone();
        let metadata = &there["metadata"];
        wanted.hold(&there)?;
        if self.is_held(path) {
            if metadata.get("deletionTimestamp").is_none() {
                let now = self.now();
                self.change(path, |object| {
                    object["metadata"]["deletionTimestamp"] = json!(now);
                });
            }
            return Ok(self.objects[path].clone());
        }
        if orphans {
            self.orphan(&there["metadata"]["uid"]);
        }
        self.remove(path);
        Ok(there)
    }

    fn is_held(&self, path: &str) -> bool {
        use super::names::{CLAIMS, PODS, ordinal, pod};
        if path.starts_with(PODS) {
            return true;
        }
        let user = path
            .starts_with(CLAIMS)
            .then(|| ordinal(path).map(pod))
            .flatten();
        user.is_some_and(|pod| self.objects.contains_key(&pod))
    }

    /// Removes an object, in spite of its finalizers.
    pub(crate) fn remove(&mut self, path: &str) {
        if let Some(object) = self.objects.get(path).cloned() {
            self.keep(path, object, What::Deleted);
            self.objects.remove(path);
            self.applied.retain(|(of, _), _| of != path);
        }
    }

    fn orphan(&mut self, owner: &Value) {
        let theirs: Vec<_> = self
            .objects
            .iter()
            .filter(|(_, object)| owners(object).any(|reference| reference["uid"] == *owner))
            .map(|(path, _)| path.clone())
            .collect();
        for path in theirs {
            self.change(&path, |object| {
                let references = object.pointer_mut("/metadata/ownerReferences");
                let references = references.and_then(Value::as_array_mut).unwrap();
                references.retain(|reference| reference["uid"] != *owner);
            });
        }
    }

    fn keep(&mut self, path: &str, mut object: Value, what: What) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.log.push(Change {
            version: self.version,
            path: path.to_owned(),
            what,
            object: object.clone(),
            at: self.now,
        });
        self.objects.insert(path.to_owned(), object.clone());
        self.news.notify_waiters();
        object
    }
}

/// The owner references of an object.
pub(crate) fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    let references = object.pointer("/metadata/ownerReferences");
    references.and_then(Value::as_array).into_iter().flatten()
}

/// Whether the API server counts changes of the spec of such objects.
fn has_generation(path: &str) -> bool {
    path.starts_with("/apis/") && !path.contains("/events/")
}
