//! The objects of one kind, by the cluster that they belong to. Thousands of clusters have dozens of them, so each name is kept
//! once.

use std::collections::HashMap;

use kube::{Resource, ResourceExt, runtime::watcher};

use super::Place;
use crate::rights;

/// Objects of one kind, or the parts that are kept of them.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    objects: Namespaces<T>,
    /// The objects of a list that is not complete yet.
    incoming: Namespaces<T>,
    standing: Standing,
}

/// By namespace, and by cluster in it.
type Namespaces<T> = HashMap<Box<str>, HashMap<Box<str>, Objects<T>>>;

/// The objects of one cluster, in the order of their names.
#[derive(Debug)]
struct Objects<T>(Vec<(Box<str>, T)>);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// No list is complete yet.
    #[default]
    Unknown,
    /// The watch has reported all there are.
    Listed,
    /// The operator may not watch the kind, or Kubernetes does not know it.
    Refused,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self {
            objects: HashMap::new(),
            incoming: HashMap::new(),
            standing: Standing::default(),
        }
    }
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Objects<T> {
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(other, _)| other.as_ref().cmp(name))
    }

    fn has(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    fn insert(&mut self, name: String, kept: T) {
        match self.find(&name) {
            Ok(at) => {
                if let Some((_, there)) = self.0.get_mut(at) {
                    *there = kept;
                }
            }
            Err(at) => self.0.insert(at, (name.into(), kept)),
        }
    }

    fn remove(&mut self, name: &str) {
        if let Ok(at) = self.find(name) {
            self.0.remove(at);
        }
    }
}

impl<T> Shelf<T> {
    /// Notes an event of the watch: of an object, to whom it belongs and what is kept of it.
    pub(super) fn note<K: Resource<DynamicType = ()>>(
        &mut self,
        event: &Result<watcher::Event<K>, watcher::Error>,
        place: impl Fn(&K) -> Place,
        keep: impl Fn(&K) -> T,
    ) {
        match event {
            Ok(watcher::Event::Init) => self.incoming.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                insert(
                    &mut self.incoming,
                    place(object),
                    object.name_any(),
                    keep(object),
                );
            }
            Ok(watcher::Event::InitDone) => {
                self.objects = std::mem::take(&mut self.incoming);
                self.standing = Standing::Listed;
            }
            Ok(watcher::Event::Apply(object)) => {
                let (place, name) = (place(object), object.name_any());
                if !self.has(&place, &name) {
                    self.take(&place, &name);
                }
                insert(&mut self.objects, place, name, keep(object));
            }
            Ok(watcher::Event::Delete(object)) => self.take(&place(object), &object.name_any()),
            Err(
                watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error),
            ) if is_refused(error) => self.standing = Standing::Refused,
            // The watch goes on where it ended.
            Err(_) => {}
        }
    }

    /// Takes an object away. Its owner may have changed, so it may be another cluster's.
    fn take(&mut self, place: &Place, name: &str) {
        let is_there = self.has(place, name);
        let (namespace, cluster) = place;
        let Some(clusters) = self.objects.get_mut(namespace.as_str()) else {
            return;
        };
        let cluster: Option<Box<str>> = if is_there {
            Some(cluster.as_str().into())
        } else {
            let mut all = clusters.iter();
            let found = all.find(|(_, objects)| objects.has(name));
            found.map(|(cluster, _)| cluster.clone())
        };
        let Some(cluster) = cluster else {
            return;
        };
        if let Some(objects) = clusters.get_mut(&cluster) {
            objects.remove(name);
            if objects.0.is_empty() {
                clusters.remove(&cluster);
            }
        }
        if clusters.is_empty() {
            self.objects.remove(namespace.as_str());
        }
    }

    fn has(&self, place: &Place, name: &str) -> bool {
        let objects = self.of(place);
        objects.is_some_and(|objects| objects.has(name))
    }

    fn of(&self, (namespace, cluster): &Place) -> Option<&Objects<T>> {
        self.objects.get(namespace.as_str())?.get(cluster.as_str())
    }

    pub(super) fn is_listed(&self) -> bool {
        self.standing == Standing::Listed
    }

    pub(super) fn is_refused(&self) -> bool {
        self.standing == Standing::Refused
    }

    /// The objects of one cluster, in the order of their names.
    pub(super) fn at(&self, place: &Place) -> impl Iterator<Item = (&str, &T)> {
        let objects = self.of(place).into_iter();
        let objects = objects.flat_map(|objects| &objects.0);
        objects.map(|(name, object)| (name.as_ref(), object))
    }

    /// All objects, each with the namespace and the cluster that it belongs to.
    pub(super) fn all(&self) -> impl Iterator<Item = ((&str, &str), &T)> {
        self.objects.iter().flat_map(|(namespace, clusters)| {
            clusters.iter().flat_map(move |(cluster, objects)| {
                let place = (namespace.as_ref(), cluster.as_ref());
                objects.0.iter().map(move |(_, object)| (place, object))
            })
        })
    }

    pub(super) fn get(&self, place: &Place, name: &str) -> Option<&T> {
        let objects = self.of(place)?;
        let (_, object) = objects.0.get(objects.find(name).ok()?)?;
        Some(object)
    }

    /// Names and owners of the objects in a namespace that belong to a cluster.
    pub(super) fn owned_in(&self, namespace: &str) -> impl Iterator<Item = (&str, &str)> {
        let clusters = self.objects.get(namespace).into_iter().flatten();
        let owned = clusters.filter(|(cluster, _)| !cluster.is_empty());
        owned.flat_map(|(cluster, objects)| {
            let names = objects.0.iter().map(|(name, _)| name.as_ref());
            names.map(move |name| (name, cluster.as_ref()))
        })
    }
}

fn insert<T>(all: &mut Namespaces<T>, (namespace, cluster): Place, name: String, kept: T) {
    let clusters = all.entry(namespace.into()).or_default();
    let objects = clusters.entry(cluster.into()).or_default();
    objects.insert(name, kept);
}

fn is_refused(error: &kube::Error) -> bool {
    let is_unknown = matches!(error, kube::Error::Api(status) if status.code == 404);
    is_unknown || rights::refusal(error).is_some()
}
