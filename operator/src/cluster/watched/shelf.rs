//! The objects of one kind, by the cluster that they belong to.

use std::collections::{BTreeMap, HashMap};

use kube::{Resource, ResourceExt, runtime::watcher};

use super::Place;
use crate::rights;

/// Objects of one kind, or the parts that are kept of them.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    objects: HashMap<Place, BTreeMap<String, T>>,
    /// The objects of a list that is not complete yet.
    incoming: HashMap<Place, BTreeMap<String, T>>,
    /// The place of each object, whose owner may change.
    places: HashMap<(String, String), Place>,
    standing: Standing,
}

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
            places: HashMap::new(),
            standing: Standing::default(),
        }
    }
}

impl<T> Shelf<T> {
    pub(super) fn note<K: Resource<DynamicType = ()>>(
        &mut self,
        event: &Result<watcher::Event<K>, watcher::Error>,
        keep: impl Fn(&K) -> (Place, T),
    ) {
        match event {
            Ok(watcher::Event::Init) => self.incoming.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                let (place, kept) = keep(object);
                let name = object.name_any();
                self.incoming.entry(place).or_default().insert(name, kept);
            }
            Ok(watcher::Event::InitDone) => {
                self.objects = std::mem::take(&mut self.incoming);
                self.places = places(&self.objects);
                self.standing = Standing::Listed;
            }
            Ok(watcher::Event::Apply(object)) => {
                self.take(object);
                let (place, kept) = keep(object);
                let name = object.name_any();
                self.places
                    .insert((place.0.clone(), name.clone()), place.clone());
                self.objects.entry(place).or_default().insert(name, kept);
            }
            Ok(watcher::Event::Delete(object)) => self.take(object),
            Err(
                watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error),
            ) if is_refused(error) => self.standing = Standing::Refused,
            // The watch goes on where it ended.
            Err(_) => {}
        }
    }

    fn take<K: Resource<DynamicType = ()>>(&mut self, object: &K) {
        let name = (object.namespace().unwrap_or_default(), object.name_any());
        let Some(place) = self.places.remove(&name) else {
            return;
        };
        if let Some(objects) = self.objects.get_mut(&place) {
            objects.remove(&name.1);
            if objects.is_empty() {
                self.objects.remove(&place);
            }
        }
    }

    pub(super) fn is_listed(&self) -> bool {
        self.standing == Standing::Listed
    }

    pub(super) fn is_refused(&self) -> bool {
        self.standing == Standing::Refused
    }

    /// The objects of one cluster, in the order of their names.
    pub(super) fn at(&self, place: &Place) -> impl Iterator<Item = (&String, &T)> {
        self.objects.get(place).into_iter().flatten()
    }

    /// All objects, each with the cluster that it belongs to.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Place, &T)> {
        let each = self.objects.iter();
        each.flat_map(|(place, objects)| objects.values().map(move |object| (place, object)))
    }

    pub(super) fn get(&self, place: &Place, name: &str) -> Option<&T> {
        self.objects.get(place)?.get(name)
    }

    /// Names and owners of the objects in a namespace that belong to a cluster.
    pub(super) fn owned_in(&self, namespace: &str) -> impl Iterator<Item = (&str, &str)> {
        let of_clusters = self
            .objects
            .iter()
            .filter(move |((there, cluster), _)| there == namespace && !cluster.is_empty());
        of_clusters.flat_map(|((_, cluster), objects)| {
            objects.keys().map(|name| (name.as_str(), cluster.as_str()))
        })
    }
}

fn places<T>(objects: &HashMap<Place, BTreeMap<String, T>>) -> HashMap<(String, String), Place> {
    let each = objects.iter().flat_map(|(place, objects)| {
        objects
            .keys()
            .map(|name| ((place.0.clone(), name.clone()), place.clone()))
    });
    each.collect()
}

fn is_refused(error: &kube::Error) -> bool {
    let is_unknown = matches!(error, kube::Error::Api(status) if status.code == 404);
    is_unknown || rights::refusal(error).is_some()
}
