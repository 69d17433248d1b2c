//! Annotations that protect objects from Argo CD. Secrets are made with them, and claims by the StatefulSet's template; here
//! objects without them get them: claims of an older StatefulSet, and Secrets that were restored by hand.

use std::{collections::BTreeMap, fmt::Debug};

use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{PersistentVolumeClaim, Secret},
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{
    apply::Done, dereference::DereferencedObjects, secrets::Lifetime, validate::ValidatedCluster,
};
use crate::names::{FIELD_MANAGER, RETAINED};

/// The annotations that an object lacks, beside its options of other kinds; `None` where none is missing. A user who wrote
/// another value of the same option has decided.
pub(super) fn missing(annotations: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    let kind = |option: &str| {
        option
            .split('=')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let missing: BTreeMap<_, _> = RETAINED
        .into_iter()
        .filter_map(|(name, wanted)| {
            let there = annotations.get(name).map_or("", String::as_str);
            let there: Vec<_> = there
                .split(',')
                .map(str::trim)
                .filter(|option| !option.is_empty())
                .collect();
            let decided = |wanted: &&str| there.iter().any(|option| kind(option) == kind(wanted));
            let lacks: Vec<_> = wanted
                .split(',')
                .filter(|wanted| !decided(wanted))
                .collect();
            (!lacks.is_empty()).then(|| (name.to_owned(), [there, lacks].concat().join(",")))
        })
        .collect();
    (!missing.is_empty()).then_some(missing)
}

/// Gives kept objects the annotations that they lack. A failure is logged and stops nothing: nodes need none of them.
pub(super) async fn complete(
    client: &Client,
    cluster: &ValidatedCluster,
    found: &DereferencedObjects,
    done: &mut Vec<Done>,
) {
    let kept = found
        .secrets
        .iter()
        .filter(|(which, secret)| secret.ours && which.lifetime(cluster) == Lifetime::Forever);
    for (which, secret) in kept {
        if let Some(missing) = &secret.prunable {
            annotate::<Secret>(client, cluster, &which.name(&cluster.name), missing, done).await;
        }
    }
    for (name, missing) in &found.prunable_claims {
        annotate::<PersistentVolumeClaim>(client, cluster, name, missing, done).await;
    }
}

async fn annotate<K>(
    client: &Client,
    cluster: &ValidatedCluster,
    name: &str,
    missing: &BTreeMap<String, String>,
    done: &mut Vec<Done>,
) where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let (kind, name) = (K::kind(&()).into_owned(), name.to_owned());
    let api: Api<K> = Api::namespaced(client.clone(), &cluster.namespace);
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({ "metadata": { "annotations": missing } }));
    match api.patch_metadata(&name, &parameters, &patch).await {
        Ok(_) => done.push(Done::Protected { kind, name }),
        // It went meanwhile.
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(error) => {
            tracing::warn!(error = %error, namespace = cluster.namespace, kind, name, "not_protected_from_pruning");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(of: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        missing(&of.iter().map(own).collect())
            .unwrap_or_default()
            .into_iter()
            .collect()
    }

    #[test]
    fn options_of_the_users_own_stay_and_his_word_on_pruning_counts() {
        let [(sync, _), (compare, ignore_extraneous)] = RETAINED;
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let compared = pair(compare, ignore_extraneous);
        let with_sync = |options: &str| vec![compared.clone(), pair(sync, options)];
        assert_eq!(lacks(&RETAINED), []);
        assert_eq!(lacks(&[]), with_sync("Prune=false,Delete=false"));
        for (there, wanted) in [
            ("Replace=true", "Replace=true,Prune=false,Delete=false"),
            ("Prune=false", "Prune=false,Delete=false"),
            (
                "Delete=confirm, Replace=true",
                "Delete=confirm,Replace=true,Prune=false",
            ),
        ] {
            assert_eq!(lacks(&[(sync, there)]), with_sync(wanted), "{there}");
        }
        assert_eq!(lacks(&[(sync, "Delete=false, Prune=confirm")]), [compared]);
        assert_eq!(
            lacks(&[RETAINED[0], (compare, "ServerSideDiff=true")]),
            [pair(compare, "ServerSideDiff=true,IgnoreExtraneous")]
        );
    }
}
