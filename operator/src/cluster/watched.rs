//! The objects in the watches. Of most objects only a number is kept that changes with them: enough to know that a cluster is
//! unchanged since the last whole read. Pods and workloads, from which its status is made, are kept themselves.

mod kept;
mod shelf;

use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Resource, ResourceExt, runtime::watcher};
use tokio::sync::watch;

use super::{
    Workload,
    known::Guarded,
    packed::Packed,
    secrets::ManagedSecret,
    validate::{ValidatedCluster, claim_owner, names_secrets},
};
use crate::names::{LABEL_INSTANCE, LABEL_MANAGED_BY, OPERATOR};
use kept::{Kept, KeptCluster};
use shelf::Shelf;

/// A namespace, and a cluster in it; an empty name stands for objects that belong to none.
type Place = (String, String);

/// Kinds that are watched for their numbers.
const KINDS: [&str; 11] = [
    "StatefulSet",
    "Deployment",
    "Service",
    "ConfigMap",
    "ServiceAccount",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Secret",
    "PersistentVolumeClaim",
    "ServiceMonitor",
    "Certificate",
];

/// The objects in the watches of one scope: of a namespace, or of all of them.
#[derive(Debug, Default)]
pub struct Watched {
    state: Mutex<State>,
    /// Notified whenever other clusters may be rolled out.
    moves: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    versions: HashMap<String, Shelf<u64>>,
    stateful_sets: Shelf<Kept<StatefulSet>>,
    deployments: Shelf<Kept<Deployment>>,
    pods: Shelf<Packed<Pod>>,
    clusters: Shelf<Standing>,
    resources: Shelf<KeptCluster>,
    /// By namespace and cluster, the Secrets that it looks for by their names, whatever made them.
    named: HashMap<String, HashMap<String, Box<[String]>>>,
}

/// Whether a cluster stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Stays,
    /// It is being deleted.
    Goes,
}

impl Standing {
    fn of(metadata: &ObjectMeta) -> Self {
        match metadata.deletion_timestamp {
            Some(_) => Self::Goes,
            None => Self::Stays,
        }
    }
}

impl Watched {
    /// Empty; notifies whenever other clusters may be rolled out.
    pub(super) fn telling(moves: &watch::Sender<()>) -> Self {
        Self {
            state: Mutex::default(),
            moves: moves.clone(),
        }
    }

    /// Notes an event of a watch of one kind.
    pub fn note<K>(&self, event: &Result<watcher::Event<K>, watcher::Error>)
    where
        K: Resource<DynamicType = ()>,
    {
        let kind = K::kind(&());
        let mut state = self.lock();
        let shelf = state.versions.entry(kind.into_owned()).or_default();
        shelf.note(event, place, |object| version(object.meta()));
    }

    /// The same of `StatefulSets`.
    pub fn note_stateful_set(&self, event: &Result<watcher::Event<StatefulSet>, watcher::Error>) {
        self.note(event);
        self.lock().stateful_sets.note(event, place, Kept::new);
        if !matches!(event, Ok(watcher::Event::InitApply(_))) {
            self.moves.send_replace(());
        }
    }

    /// The same of Deployments.
    pub fn note_deployment(&self, event: &Result<watcher::Event<Deployment>, watcher::Error>) {
        self.note(event);
        self.lock().deployments.note(event, place, Kept::new);
        if !matches!(event, Ok(watcher::Event::InitApply(_))) {
            self.moves.send_replace(());
        }
    }

    /// The same of pods.
    pub fn note_pod(&self, event: &Result<watcher::Event<Pod>, watcher::Error>) {
        self.lock().pods.note(event, place, Packed::new);
    }

    /// The same of clusters, of which only names count, and whether they stay.
    pub fn note_cluster<K>(&self, event: &Result<watcher::Event<K>, watcher::Error>)
    where
        K: Resource<DynamicType = ()>,
    {
        let mut state = self.lock();
        let keep = |cluster: &K| Standing::of(cluster.meta());
        state.clusters.note(event, among_clusters, keep);
        if let Ok(watcher::Event::Delete(gone)) = event
            && let Some(named) = state.named.get_mut(&gone.namespace().unwrap_or_default())
        {
            named.remove(&gone.name_any());
        }
        drop(state);
        let is_of_no_interest = match event {
            Ok(watcher::Event::Apply(cluster)) => Standing::of(cluster.meta()) == Standing::Stays,
            Ok(watcher::Event::InitApply(_)) => true,
            _ => false,
        };
        if !is_of_no_interest {
            self.moves.send_replace(());
        }
    }

    /// Keeps the resources of clusters, by an event of their watch.
    pub fn keep_cluster(&self, event: &Result<watcher::Event<Guarded>, watcher::Error>) {
        let mut state = self.lock();
        state
            .resources
            .note(event, among_clusters, KeptCluster::new);
    }

    /// The resource of a cluster; `None` where there is none.
    pub(super) fn cluster(&self, namespace: &str, name: &str) -> Option<Guarded> {
        let state = self.lock();
        state.resources.get(&nobodys(namespace), name)?.open()
    }

    /// Notes the Secrets that a cluster looks for by their names: the user's own, and its own, which a user may restore without
    /// labels.
    pub(super) fn note_named(&self, cluster: &ValidatedCluster) {
        let mut state = self.lock();
        let namespace = state.named.entry(cluster.namespace.clone()).or_default();
        let name = cluster.name.as_str().to_owned();
        namespace.insert(name, named_secrets(cluster).collect());
    }

    /// The clusters that a Secret belongs to, or that name it.
    pub(super) fn clusters_of_secret<K>(&self, secret: &K) -> BTreeSet<String>
    where
        K: Resource<DynamicType = ()>,
    {
        let (namespace, owner) = place(secret);
        let name = secret.name_any();
        let state = self.lock();
        let named = state.named.get(&namespace).into_iter().flatten();
        let named = named.filter(|(_, secrets)| secrets.contains(&name));
        let named = named.map(|(cluster, _)| cluster.clone());
        let owner = Some(owner).filter(|owner| !owner.is_empty());
        named.chain(owner).collect()
    }

    /// A number that stays the same while no object of a cluster changes; `None` while that is not known.
    pub(super) fn fingerprint(&self, cluster: &ValidatedCluster) -> Option<u64> {
        let state = self.lock();
        if !state.pods.is_listed() || !state.stateful_sets.is_listed() {
            return None;
        }
        let is_shared = matches!(cluster.workload(), Workload::Deployment(_));
        let namespace = &cluster.namespace;
        let own = (namespace.clone(), cluster.name.as_str().to_owned());
        let mut hasher = DefaultHasher::new();
        for kind in KINDS {
            let shelf = state.versions.get(kind)?;
            // Kubernetes need not know these kinds, or the operator may not read them.
            let may_be_unknown = match kind {
                "ServiceMonitor" | "Certificate" => true,
                "Deployment" => !is_shared,
                _ => false,
            };
            let is_known = shelf.is_listed() || may_be_unknown && shelf.is_refused();
            if !is_known {
                return None;
            }
            (kind, shelf.is_listed()).hash(&mut hasher);
            shelf.at(&own).for_each(|object| object.hash(&mut hasher));
        }
        let secrets = state.versions.get("Secret")?;
        let nobodys = nobodys(namespace);
        for name in named_secrets(cluster) {
            (&name, secrets.get(&nobodys, &name)).hash(&mut hasher);
        }
        // The owners of these depend on the other objects in the namespace.
        if !cluster.additions.references.is_empty() || names_secrets(&cluster.spec) {
            if !state.clusters.is_listed() {
                return None;
            }
            let names = state.clusters.at(&nobodys).map(|(name, _)| name);
            names.for_each(|name| name.hash(&mut hasher));
            let mut owned: Vec<_> = secrets.owned_in(namespace).collect();
            owned.sort_unstable();
            owned.hash(&mut hasher);
            let claims = state.versions.get("PersistentVolumeClaim")?;
            let mut owned: Vec<_> = claims.owned_in(namespace).collect();
            owned.sort_unstable();
            owned.hash(&mut hasher);
        }
        Some(hasher.finish())
    }

    /// The StatefulSet of a cluster.
    pub(super) fn stateful_set(&self, cluster: &ValidatedCluster) -> Option<StatefulSet> {
        let own = (cluster.namespace.clone(), cluster.name.as_str().to_owned());
        let state = self.lock();
        let set = state.stateful_sets.get(&own, cluster.name.as_str());
        set.and_then(|set| set.packed.open())
    }

    /// The Deployment of a cluster.
    pub(super) fn deployment(&self, cluster: &ValidatedCluster) -> Option<Deployment> {
        let own = (cluster.namespace.clone(), cluster.name.as_str().to_owned());
        let state = self.lock();
        let deployment = state.deployments.get(&own, cluster.name.as_str());
        deployment.and_then(|deployment| deployment.packed.open())
    }

    /// The clusters of an operator whose `StatefulSets` are marked as being rolled out; `None` while that is not known. Remains
    /// of clusters that are gone or being deleted, and objects that the operator may not read, do not count.
    pub(super) fn rolling_out(&self, operator: &str) -> Option<Vec<Place>> {
        let state = self.lock();
        if state.stateful_sets.is_refused() || state.clusters.is_refused() {
            return Some(Vec::new());
        }
        if !state.stateful_sets.is_listed() || !state.clusters.is_listed() {
            return None;
        }
        let stays = |(namespace, name): &(&str, &str)| {
            let standing = state.clusters.get(&nobodys(namespace), name);
            standing == Some(&Standing::Stays)
        };
        let sets = state.stateful_sets.all();
        let sets = sets.map(|(place, set)| (place, &set.rolled_out_by));
        // The operator can do without these: an unlisted one holds nothing up.
        let deployments = state.deployments.all();
        let deployments = deployments.map(|(place, kept)| (place, &kept.rolled_out_by));
        let all = sets.chain(deployments);
        let marked = all.filter(|(_, by)| by.as_deref() == Some(operator));
        let places = marked.map(|(place, _)| place).filter(stays);
        let owned = places.map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
        Some(owned.collect())
    }

    /// Whether all clusters were listed, and this one is not among them.
    pub(super) fn has_no_cluster(&self, namespace: &str, name: &str) -> bool {
        let state = self.lock();
        state.clusters.is_listed() && state.clusters.get(&nobodys(namespace), name).is_none()
    }

    /// Its pods; `None` where that is not known.
    pub(super) fn pods(&self, cluster: &ValidatedCluster) -> Option<Vec<Pod>> {
        let own = (cluster.namespace.clone(), cluster.name.as_str().to_owned());
        let state = self.lock();
        let pods = state.pods.at(&own);
        pods.map(|(_, pod)| pod.open()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of objects that belong to no cluster.
fn nobodys(namespace: &str) -> Place {
    (namespace.to_owned(), String::new())
}

/// The place of a cluster's own resource.
fn among_clusters<K: Resource<DynamicType = ()>>(cluster: &K) -> Place {
    nobodys(&cluster.namespace().unwrap_or_default())
}

/// Secrets that the operator reads by their names.
fn named_secrets(cluster: &ValidatedCluster) -> impl Iterator<Item = String> {
    let api_key = cluster.spec.api_key.secret_ref.as_ref();
    let api_key = api_key.map(|reference| reference.name.clone());
    let own = ManagedSecret::ALL.map(|which| which.name(&cluster.name));
    let address = cluster.spec.database.is_some();
    let address = address.then(|| cluster.name.database());
    let database = cluster.spec.database.iter().flat_map(|database| {
        let authorities = database.ca_secret_ref.as_ref().map(|ca| ca.name.clone());
        let migration = database.migration_secret_ref.as_ref();
        let migration = migration.map(|secret| secret.name.clone());
        let named = [
            Some(database.secret_ref.name.clone()),
            authorities,
            migration,
        ];
        named.into_iter().flatten()
    });
    api_key
        .into_iter()
        .chain(database)
        .chain(address)
        .chain(cluster.client_certificate_secret())
        .chain(own)
}

/// By the label, or by the name of a volume claim, as they are found when they are read.
fn place<K: Resource<DynamicType = ()>>(object: &K) -> Place {
    let name = object.name_any();
    let cluster = if K::kind(&()) == "PersistentVolumeClaim" {
        claim_owner(&name)
    } else {
        let labels = object.labels();
        let is_ours = K::kind(&()) == "Pod"
            || labels.get(LABEL_MANAGED_BY).map(String::as_str) == Some(OPERATOR);
        labels
            .get(LABEL_INSTANCE)
            .filter(|_| is_ours)
            .map(String::as_str)
    };
    (
        object.namespace().unwrap_or_default(),
        cluster.unwrap_or_default().to_owned(),
    )
}

/// A number that changes with an object. Where the API server counts changes of the spec, changes of the status do not count.
fn version(metadata: &ObjectMeta) -> u64 {
    let mut hasher = DefaultHasher::new();
    metadata.uid.hash(&mut hasher);
    match metadata.generation {
        None => metadata.resource_version.hash(&mut hasher),
        Some(generation) => {
            generation.hash(&mut hasher);
            metadata.labels.hash(&mut hasher);
            metadata.annotations.hash(&mut hasher);
            metadata.deletion_timestamp.is_some().hash(&mut hasher);
            let owners = metadata.owner_references.iter().flatten();
            for owner in owners {
                (&owner.uid, owner.controller).hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
