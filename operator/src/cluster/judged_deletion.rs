//! Deletes the very object that was judged, in the state of that moment; a pod that serves, only as far as its disruption
//! budget allows it.

use k8s_openapi::{
    api::{core::v1::Pod, policy::v1::Eviction},
    apimachinery::pkg::apis::meta::v1 as meta,
};
use kube::{
    Api, Resource,
    api::{DeleteParams, PostParams, Preconditions},
    core::Status,
};
use serde::de::DeserializeOwned;

use super::{
    apply::{self, failed},
    rules::Rule,
    validate::ValidatedCluster,
};

/// Deletes an object. Returns whether it was this very one.
///
/// # Errors
/// Where the API server refuses.
pub(super) async fn delete<K>(
    cluster: &ValidatedCluster,
    api: &Api<K>,
    name: &str,
    judged: Preconditions,
) -> Result<bool, apply::Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let rules = cluster.installation.rules;
    let parameters = DeleteParams {
        preconditions: Some(judged).filter(|_| rules.hold(Rule::NothingElseIsDeleted)),
        ..DeleteParams::default()
    };
    match api.delete(name, &parameters).await {
        Ok(_) => Ok(true),
        // The object is another one by now, or gone.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(false),
        Err(source) => Err(failed::<K>("delete", name, source)),
    }
}

/// The answer to an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The pod goes.
    Goes,
    /// The pod is another one by now, was changed, or is gone.
    IsAnother,
    /// The disruption budget does not let it go now, in the words of the API server.
    Held(String),
    /// The pod has several budgets: the API server evicts no such pod.
    NotJudged,
}

/// Asks the API server whether it would evict a pod now, and changes nothing: it counts a disruption before it looks at the
/// preconditions, so that an eviction in vain holds every pod of the budget for two minutes.
///
/// # Errors
/// Where the API server refuses for another cause.
pub(super) async fn may_go(
    cluster: &ValidatedCluster,
    api: &Api<Pod>,
    name: &str,
    judged: Preconditions,
) -> Result<Answer, apply::Error> {
    send(cluster, api, (name, judged), true).await
}

/// Evicts a pod: the API server itself counts it against its disruption budget, beside all drains.
///
/// # Errors
/// Where the API server refuses for another cause.
pub(super) async fn evict(
    cluster: &ValidatedCluster,
    api: &Api<Pod>,
    name: &str,
    judged: Preconditions,
) -> Result<Answer, apply::Error> {
    send(cluster, api, (name, judged), false).await
}

async fn send(
    cluster: &ValidatedCluster,
    api: &Api<Pod>,
    (name, judged): (&str, Preconditions),
    dry_run: bool,
) -> Result<Answer, apply::Error> {
    let rules = cluster.installation.rules;
    let judged = Some(judged).filter(|_| rules.hold(Rule::NothingElseIsDeleted));
    let preconditions = judged.map(|judged| meta::Preconditions {
        uid: judged.uid,
        resource_version: judged.resource_version,
    });
    // `Api::evict` of kube spells `deleteOptions` otherwise, and the API server would not see the preconditions.
    let eviction = Eviction {
        metadata: meta::ObjectMeta {
            name: Some(name.to_owned()),
            ..meta::ObjectMeta::default()
        },
        delete_options: Some(meta::DeleteOptions {
            preconditions,
            ..meta::DeleteOptions::default()
        }),
    };
    let parameters = PostParams {
        dry_run,
        ..PostParams::default()
    };
    let answer = api.create_subresource::<_, Status>("eviction", name, &parameters, &eviction);
    match answer.await {
        Ok(_) => Ok(Answer::Goes),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
            Ok(Answer::IsAnother)
        }
        // An admission webhook that takes no such question: the eviction itself finds out.
        Err(kube::Error::Api(status)) if dry_run && status.code == 400 => Ok(Answer::Goes),
        Err(source) => match refusal(&source) {
            Some(answer) => Ok(answer),
            None => Err(failed::<Pod>("evict", name, source)),
        },
    }
}

/// The answer of an API server that does not let a pod go because of its budgets. It answers 429 for other causes, too.
fn refusal(error: &kube::Error) -> Option<Answer> {
    const OF_A_BUDGET: &str = "DisruptionBudget";
    /// In the words of Kubernetes, which has no cause for this one.
    const OF_SEVERAL: &str = "more than one PodDisruptionBudget";
    let kube::Error::Api(status) = error else {
        return None;
    };
    if status.code == 500 && status.message.contains(OF_SEVERAL) {
        return Some(Answer::NotJudged);
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut causes = causes
        .filter(|cause| cause.reason == OF_A_BUDGET)
        .map(|cause| cause.message.as_str())
        .peekable();
    if status.code != 429 || causes.peek().is_none() {
        return None;
    }
    let words = [status.message.as_str()].into_iter().chain(causes);
    Some(Answer::Held(words.collect::<Vec<_>>().join(" ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(answer: serde_json::Value) -> kube::Error {
        kube::Error::Api(Box::new(serde_json::from_value(answer).unwrap()))
    }

    #[test]
    fn a_pod_is_held_by_its_budgets_and_by_nothing_else() {
        let busy =
            error(json!({ "code": 429, "message": "too many requests, please try again later" }));
        assert_eq!(refusal(&busy), None);
        let budget = error(json!({
            "code": 429, "message": "Cannot evict pod as it would violate the pod's disruption budget.",
            "details": { "causes": [{
                "reason": "DisruptionBudget", "message": "The disruption budget prod needs 2 healthy pods and has 2 currently",
            }] },
        }));
        assert_eq!(
            refusal(&budget).unwrap(),
            Answer::Held(
                "Cannot evict pod as it would violate the pod's disruption budget. The disruption budget prod needs 2 healthy pods and \
                 has 2 currently"
                    .to_owned()
            )
        );
        let two = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        assert_eq!(
            refusal(&error(json!({ "code": 500, "message": two }))),
            Some(Answer::NotJudged)
        );
        assert_eq!(
            refusal(&error(json!({ "code": 500, "message": "etcd" }))),
            None
        );
    }
}
