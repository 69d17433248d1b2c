//! How far Kubernetes has come with a Deployment. Pure.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};

/// Kubernetes' word for a Deployment whose new pods do not come up.
const NO_PROGRESS: &str = "ProgressDeadlineExceeded";

/// How far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) enum Progress {
    /// All pods are of the template that is wanted.
    Finished,
    /// Kubernetes has not observed the present Deployment.
    Unseen,
    /// So many pods are of the template that is wanted.
    UnderWay {
        /// They.
        updated: i32,
    },
    /// This many are new, and no other one has come up for a long time.
    Blocked {
        /// They.
        updated: i32,
    },
}

/// Reads the progress; a missing Deployment has nothing to replace.
pub(in crate::cluster) fn progress(deployment: Option<&Deployment>) -> Progress {
    let Some(deployment) = deployment else {
        return Progress::Finished;
    };
    let Some(status) = &deployment.status else {
        return Progress::Unseen;
    };
    if status.observed_generation < deployment.metadata.generation {
        return Progress::Unseen;
    }
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let (wanted, updated) = (wanted.unwrap_or(1), status.updated_replicas.unwrap_or(0));
    let there = status.replicas.unwrap_or(0);
    if updated >= wanted && there <= updated {
        return Progress::Finished;
    }
    let is_stuck = condition(deployment, "Progressing")
        .is_some_and(|told| told.reason.as_deref() == Some(NO_PROGRESS));
    if is_stuck {
        Progress::Blocked { updated }
    } else {
        Progress::UnderWay { updated }
    }
}

/// Why Kubernetes may not make its pods, in the words of the refusal.
pub(in crate::cluster) fn refusal(deployment: Option<&Deployment>) -> Option<&str> {
    let told = condition(deployment?, "ReplicaFailure")?;
    told.message.as_deref().filter(|_| told.status == "True")
}

fn condition<'a>(deployment: &'a Deployment, type_: &str) -> Option<&'a DeploymentCondition> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|told| told.type_ == type_)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(generation: i64, status: &Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": { "generation": generation },
            "spec": { "replicas": 3, "selector": {}, "template": {} },
            "status": status,
        }))
        .unwrap()
    }

    fn of(generation: i64, status: &Value) -> Progress {
        progress(Some(&deployment(generation, status)))
    }

    #[test]
    fn it_ends_when_all_pods_are_new_and_no_old_one_is_left() {
        let status = |updated: i32, all: i32| {
            json!({
                "observedGeneration": 2, "updatedReplicas": updated, "replicas": all,
            })
        };
        assert_eq!(of(2, &status(3, 3)), Progress::Finished);
        assert_eq!(of(2, &status(3, 4)), Progress::UnderWay { updated: 3 });
        assert_eq!(of(2, &status(1, 4)), Progress::UnderWay { updated: 1 });
        assert_eq!(of(3, &status(3, 3)), Progress::Unseen);
        assert_eq!(progress(None), Progress::Finished);
    }

    #[test]
    fn what_keeps_pods_from_coming_up_is_told() {
        let stuck = json!({
            "observedGeneration": 2, "updatedReplicas": 1, "replicas": 4, "conditions": [
                { "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" },
                { "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: few" },
            ],
        });
        assert_eq!(of(2, &stuck), Progress::Blocked { updated: 1 });
        assert_eq!(
            refusal(Some(&deployment(2, &stuck))),
            Some("exceeded quota: few")
        );
    }
}
