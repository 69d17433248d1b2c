//! Requests other sizes for claims, and replaces the StatefulSet. Every object is read live, and changed only in the version
//! that was read.

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::PersistentVolumeClaim};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy},
};
use serde_json::json;

use super::{Growth, Kept, VolumeClaim, growth::Ask, is_kept};
use crate::{
    cluster::{
        apply::{self, Done, failed},
        rules::Rule,
        stalled::Stalled,
        validate::{ValidatedCluster, claim_owner},
    },
    names::{ANNOTATION_ASKED_SIZE, FIELD_MANAGER},
};

/// Takes the next step. Returns whether anything was tried, and the step for which the operator lacks a right.
///
/// # Errors
/// Other refusals of the API server.
pub(in crate::cluster) async fn act(
    client: &Client,
    cluster: &ValidatedCluster,
    growth: &Growth,
    there: Option<&StatefulSet>,
    done: &mut Vec<Done>,
) -> Result<(bool, Option<Stalled>), apply::Error> {
    match carry_out(client, cluster, growth, there, done).await {
        Ok(tried) => Ok((tried, None)),
        Err(error) if error.is_attempt_to(&[RESIZE, DELETE]) => {
            let words = error.refusal();
            match words.and_then(|words| growth.forbidden(&cluster.namespace, words)) {
                Some(forbidden) => Ok((true, Some(forbidden))),
                None => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

const RESIZE: &str = "resize";
const DELETE: &str = "delete";

async fn carry_out(
    client: &Client,
    cluster: &ValidatedCluster,
    growth: &Growth,
    there: Option<&StatefulSet>,
    done: &mut Vec<Done>,
) -> Result<bool, apply::Error> {
    match (growth, there) {
        (Growth::Growing { asks, .. }, _) => {
            for ask in asks {
                resize(client, cluster, ask, done).await?;
            }
            Ok(!asks.is_empty())
        }
        (Growth::Following { .. }, Some(set)) => remove(client, cluster, set, done).await,
        _ => Ok(false),
    }
}

/// A claim that changed meanwhile is judged anew.
async fn resize(
    client: &Client,
    cluster: &ValidatedCluster,
    Ask { claim, size }: &Ask,
    done: &mut Vec<Done>,
) -> Result<(), apply::Error> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &cluster.namespace);
    let patch = json!({
        "metadata": {
            "uid": claim.uid, "resourceVersion": claim.resource_version,
            "annotations": { ANNOTATION_ASKED_SIZE: size.to_string() },
        },
        "spec": { "resources": { "requests": { "storage": size.quantity() } } },
    });
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let name = claim.name.as_str();
    match api.patch(name, &parameters, &Patch::Merge(patch)).await {
        Ok(_) => done.push(Done::Resized {
            claim: name.to_owned(),
            size: size.to_string(),
        }),
        Err(kube::Error::Api(status)) if status.code == 409 || status.is_not_found() => {
            tracing::debug!(claim = name, "claim_changed_meanwhile");
        }
        Err(source) => return Err(failed::<PersistentVolumeClaim>(RESIZE, name, source)),
    }
    Ok(())
}

/// Deletes the set and leaves its pods: the next reconcile makes it anew, whichever operator runs it.
async fn remove(
    client: &Client,
    cluster: &ValidatedCluster,
    seen: &StatefulSet,
    done: &mut Vec<Done>,
) -> Result<bool, apply::Error> {
    let rules = cluster.installation.rules;
    let proved = if rules.hold(Rule::VolumesAreKeptInGrowth) {
        is_proved(client, cluster, Kept::WhenDeleted, seen).await?
    } else {
        Some(seen.clone())
    };
    let Some(set) = proved else {
        return Ok(false);
    };
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), &cluster.namespace);
    let name = cluster.name.as_str();
    let leaves = rules.hold(Rule::SetsLeaveTheirPods);
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan).filter(|_| leaves),
        preconditions: Some(Preconditions {
            uid: set.uid(),
            resource_version: set.resource_version(),
        }),
        ..DeleteParams::default()
    };
    match api.delete(name, &parameters).await {
        Ok(_) => done.push(Done::Remade {
            name: name.to_owned(),
        }),
        Err(kube::Error::Api(status)) if status.code == 409 || status.is_not_found() => {
            tracing::debug!(stateful_set = name, "stateful_set_changed_meanwhile");
        }
        Err(source) => return Err(failed::<StatefulSet>(DELETE, name, source)),
    }
    Ok(true)
}

/// The present set, where it is still the one that was observed and nothing deletes claims.
///
/// # Errors
/// Where the API server does not answer.
pub(in crate::cluster) async fn is_proved(
    client: &Client,
    cluster: &ValidatedCluster,
    when: Kept,
    seen: &StatefulSet,
) -> Result<Option<StatefulSet>, apply::Error> {
    let name = cluster.name.as_str();
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &cluster.namespace);
    let set = sets
        .get_opt(name)
        .await
        .map_err(|source| failed::<StatefulSet>("read", name, source))?;
    let Some(set) = set.filter(|set| set.uid() == seen.uid()) else {
        return Ok(None);
    };
    // After the set: once its controller has observed that, it gives claims to no pod any more.
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &cluster.namespace);
    let claims = claims
        .list(&ListParams::default())
        .await
        .map_err(|source| failed::<PersistentVolumeClaim>("list", name, source))?;
    let own: Vec<_> = claims
        .items
        .iter()
        .filter(|claim| claim_owner(&claim.name_any()) == Some(name))
        .filter_map(VolumeClaim::read)
        .collect();
    Ok(Some(set).filter(|set| is_kept(when, set, &own)))
}
