//! Reads everything that later steps decide on. Writes nothing.

mod found;

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, Resource, ResourceExt, api::ListParams};
use serde::de::DeserializeOwned;
use tokio::try_join;

pub use found::{ApiKey, Child, Found, Founder, KeySecret, PendingClaim, SaltSecret};

use super::{founder_mark::FounderMark, salt::Salt, validate::ValidatedCluster};
use crate::{
    names::{
        ANNOTATION_FOUNDER, API_KEY_ENTRY, CLUSTER_KEY_ENTRY, LABEL_INSTANCE, LABEL_MANAGED_BY,
        OPERATOR, SALT_ENTRY, previous_entry,
    },
    service_monitor::ServiceMonitor,
};

/// Reads everything about one cluster.
pub async fn dereference(
    client: &Client,
    cluster: &ValidatedCluster,
) -> Result<Found, kube::Error> {
    let (name, namespace) = (&cluster.name, cluster.namespace.as_str());
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let (api_key_name, api_key_entry) = match &cluster.spec.api_key.secret_ref {
        Some(reference) => (reference.name.clone(), reference.key.clone()),
        None => (name.api_key(), API_KEY_ENTRY.to_owned()),
    };
    let (salt_name, cluster_key_name, no_filter) =
        (name.salt(), name.cluster_key(), ListParams::default());
    let (salt, api_key, cluster_key, claims, monitor) = try_join!(
        secrets.get_opt(&salt_name),
        secrets.get_opt(&api_key_name),
        secrets.get_opt(&cluster_key_name),
        claims.list(&no_filter),
        service_monitor(client, cluster),
    )?;
    // The user's own Secret is his, whatever its labels say.
    let of_user = cluster.spec.api_key.secret_ref.is_some();
    let api_key = api_key.map(|secret| {
        let ours = of_user || is_ours(&secret.metadata, cluster);
        key_secret(&secret, &api_key_entry, ours, cluster)
    });
    let cluster_key = cluster_key.map(|secret| {
        let ours = is_ours(&secret.metadata, cluster);
        key_secret(&secret, CLUSTER_KEY_ENTRY, ours, cluster)
    });
    let (service_monitors_served, monitor) = monitor;
    let (nodes, own) = (name.nodes(), name.as_str());
    let children = try_join!(
        child::<StatefulSet>(client, cluster, own),
        child::<Service>(client, cluster, own),
        child::<Service>(client, cluster, &nodes),
        child::<ConfigMap>(client, cluster, &nodes),
        child::<ServiceAccount>(client, cluster, own),
        child::<NetworkPolicy>(client, cluster, own),
        child::<PodDisruptionBudget>(client, cluster, own),
    )?;
    let children = [
        children.0, children.1, children.2, children.3, children.4, children.5, children.6, monitor,
    ];
    let prefix = name.claim_prefix();
    let claims: Vec<_> = claims
        .items
        .into_iter()
        .filter(|claim| is_claim(&claim.name_any(), &prefix))
        .collect();
    Ok(Found {
        founder: founder(salt.as_ref()),
        salt: salt_of(salt.as_ref()),
        pending_claims: claims.iter().filter_map(pending).collect(),
        claims: claims.iter().map(ResourceExt::name_any).collect(),
        api_key,
        cluster_key,
        children: children.into_iter().flatten().collect(),
        service_monitors_served,
    })
}

fn key_secret(secret: &Secret, entry: &str, ours: bool, cluster: &ValidatedCluster) -> KeySecret {
    let key = |entry: &str| {
        let data = secret.data.as_ref()?.get(entry)?;
        Some(first_line(&data.0)).filter(|key| !key.is_empty())
    };
    // While callers move, the previous one: a node may not have read the new one yet.
    let shown = key(entry).map(|new| key(&previous_entry(entry)).unwrap_or(new));
    KeySecret {
        ours,
        owned: controller(&secret.metadata) == Some(cluster.uid.as_str()),
        key: shown.map(ApiKey),
    }
}

fn founder(secret: Option<&Secret>) -> Founder {
    let metadata = secret.map(|secret| &secret.metadata);
    let text = metadata
        .and_then(|metadata| metadata.annotations.as_ref()?.get(ANNOTATION_FOUNDER))
        .map(String::as_str);
    Founder {
        mark: FounderMark::of(text),
        unmanaged: metadata.is_some_and(|metadata| {
            let labels = metadata.labels.as_ref();
            !labels.is_some_and(|labels| labels.contains_key(LABEL_MANAGED_BY))
        }),
        resource_version: metadata.and_then(|metadata| metadata.resource_version.clone()),
    }
}

fn salt_of(secret: Option<&Secret>) -> SaltSecret {
    let Some(secret) = secret else {
        return SaltSecret::Missing;
    };
    let data = secret.data.as_ref().and_then(|data| data.get(SALT_ENTRY));
    match data.and_then(|data| Salt::read(&data.0)) {
        Some(salt) => SaltSecret::Present {
            fingerprint: salt.fingerprint(),
        },
        None => SaltSecret::Malformed,
    }
}

fn pending(claim: &PersistentVolumeClaim) -> Option<PendingClaim> {
    let phase = claim.status.as_ref()?.phase.as_deref()?;
    let class = claim.spec.as_ref()?.storage_class_name.clone();
    (phase == "Pending").then(|| PendingClaim {
        name: claim.name_any(),
        class,
    })
}

/// `data-prod-0` is a claim of `prod`, `data-prod-eu-0` is not.
fn is_claim(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|ordinal| !ordinal.is_empty() && ordinal.chars().all(|c| c.is_ascii_digit()))
}

fn first_line(key: &[u8]) -> Vec<u8> {
    key.split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default()
        .trim_ascii()
        .to_vec()
}

async fn child<K>(
    client: &Client,
    cluster: &ValidatedCluster,
    name: &str,
) -> Result<Option<Child>, kube::Error>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), &cluster.namespace);
    let found = api.get_metadata_opt(name).await?;
    Ok(found.map(|object| Child {
        kind: K::kind(&()).into_owned(),
        name: name.to_owned(),
        uid: object.metadata.uid.clone(),
        ours: is_ours(&object.metadata, cluster),
    }))
}

/// Whether this Kubernetes knows ServiceMonitors, and the cluster's own.
async fn service_monitor(
    client: &Client,
    cluster: &ValidatedCluster,
) -> Result<(bool, Option<Child>), kube::Error> {
    let api: Api<ServiceMonitor> = Api::namespaced(client.clone(), &cluster.namespace);
    match api.list_metadata(&ListParams::default().limit(1)).await {
        Ok(_) => Ok((
            true,
            child::<ServiceMonitor>(client, cluster, cluster.name.as_str()).await?,
        )),
        // An unknown group answers in plain text, so only the code tells.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok((false, None)),
        Err(error) => Err(error),
    }
}

/// By owner where there is one, else by labels: what was kept when the resource was deleted is found again.
fn is_ours(metadata: &ObjectMeta, cluster: &ValidatedCluster) -> bool {
    if let Some(owner) = controller(metadata) {
        return owner == cluster.uid;
    }
    let label = |name: &str| {
        metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(name))
            .map(String::as_str)
    };
    label(LABEL_MANAGED_BY) == Some(OPERATOR)
        && label(LABEL_INSTANCE) == Some(cluster.name.as_str())
}

/// Identity of the object that this one belongs to.
fn controller(metadata: &ObjectMeta) -> Option<&str> {
    let mut owners = metadata.owner_references.iter().flatten();
    owners
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{resource::prod, validate::validate};

    #[test]
    fn the_operator_shows_the_previous_key_while_there_is_one() {
        let cluster = validate(&prod("{}"), "node:1").unwrap();
        let shown = |data: serde_json::Value| {
            let secret = serde_json::from_value(serde_json::json!({ "data": data })).unwrap();
            let found = key_secret(&secret, API_KEY_ENTRY, true, &cluster);
            found.key.map(|ApiKey(key)| key)
        };
        let (new, old) = ("bmV3", "b2xk");
        let both = serde_json::json!({ "api-key": new, "api-key-previous": old });
        assert_eq!(shown(both), Some(b"old".to_vec()));
        assert_eq!(
            shown(serde_json::json!({ "api-key": new })),
            Some(b"new".to_vec())
        );
        assert_eq!(
            shown(serde_json::json!({ "api-key-previous": old })),
            None,
            "the key itself is missing"
        );
    }

    #[test]
    fn claims_of_clusters_with_longer_names_are_not_ours() {
        assert!(is_claim("data-prod-0", "data-prod-"));
        assert!(is_claim("data-prod-14", "data-prod-"));
        assert!(!is_claim("data-prod-eu-0", "data-prod-"));
        assert!(!is_claim("data-prod-", "data-prod-"));
        assert!(!is_claim("data-production-0", "data-prod-"));
    }

    #[test]
    fn of_several_api_keys_the_operator_uses_the_first() {
        assert_eq!(first_line(b" one \ntwo\n"), b"one");
    }
}
