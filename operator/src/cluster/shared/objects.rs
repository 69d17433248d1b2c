//! Reads the objects that only clusters with a shared database have. Writes nothing.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use kube::{Api, Client};
use tokio::try_join;

use super::address::NamedSecrets;
use crate::cluster::{
    dereference::{self, DereferencedObjects, child_of, is_ours, user_secret},
    resource::DatabaseSpec,
    rollout::Accepted,
    secrets::ObservedSecret,
    validate::ValidatedCluster,
};

/// The existing objects.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct SharedObjects {
    /// The objects of every cluster. It has no claims: those of an earlier cluster of this name are useless here.
    pub(super) found: DereferencedObjects,
    /// The nodes' Deployment, where it is this cluster's.
    pub(super) deployment: Option<Deployment>,
    /// The Secret with the addresses, whatever made it.
    pub(super) addresses: Option<ObservedSecret>,
    database: Option<ObservedSecret>,
    authorities: Option<ObservedSecret>,
    migration: Option<ObservedSecret>,
}

impl SharedObjects {
    /// Whether no other owner has any of its names.
    pub(super) fn is_ours(&self) -> bool {
        let mut children = self.found.children.iter();
        children.all(|child| child.ours) && self.addresses.as_ref().is_none_or(|there| there.ours)
    }

    /// The same without large parts that are kept elsewhere while nothing changes.
    pub(super) fn without_what_is_kept_elsewhere(self) -> Self {
        Self {
            found: self.found.without_what_is_kept_elsewhere(),
            deployment: None,
            ..self
        }
    }

    /// The same with the Deployment as a watch shows it, and the accepted template.
    pub(super) fn with_kept(&self, kept: (Option<Deployment>, Option<Accepted>)) -> Self {
        let mut whole = self.clone();
        (whole.deployment, whole.found.accepted) = kept;
        whole
    }

    /// The Secrets that the resource names.
    pub(super) fn named(&self) -> NamedSecrets<'_> {
        NamedSecrets {
            database: self.database.as_ref(),
            authorities: self.authorities.as_ref(),
            migration: self.migration.as_ref(),
        }
    }
}

/// Reads every object of one cluster.
pub(super) async fn read(
    client: &Client,
    cluster: &ValidatedCluster,
    database: &DatabaseSpec,
) -> Result<SharedObjects, kube::Error> {
    let name = cluster.name.as_str();
    let authorities = database.ca_secret_ref.as_ref();
    let migration = database.migration_secret_ref.as_ref();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &cluster.namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &cluster.namespace);
    let own = cluster.name.database();
    let named = |name: Option<String>| user_secret(client, cluster, name);
    let (mut found, deployment, addresses, database, authorities, migration) = try_join!(
        dereference::dereference(client, cluster),
        deployments.get_opt(name),
        secrets.get_opt(&own),
        named(Some(database.secret_ref.name.clone())),
        named(authorities.map(|reference| reference.name.clone())),
        named(migration.map(|reference| reference.name.clone())),
    )?;
    let child = deployment
        .as_ref()
        .map(|there| child_of::<Deployment, _>(cluster, name, there));
    // A template without a ConfigMap is that of the running workload.
    let live = child.as_ref().and_then(|child| child.live.as_ref());
    let runs = || Accepted::adopt(cluster, live?);
    found.accepted = found.accepted.take().or_else(runs);
    found.children.extend(child);
    found.claims.clear();
    found.prunable_claims.clear();
    found.volumes.clear();
    found.pending_claims.clear();
    Ok(SharedObjects {
        found,
        deployment: deployment.filter(|there| is_ours(&there.metadata, cluster)),
        addresses: addresses.map(|secret| {
            let ours = is_ours(&secret.metadata, cluster);
            ObservedSecret::read(secret, ours, &cluster.uid)
        }),
        database,
        authorities,
        migration,
    })
}
