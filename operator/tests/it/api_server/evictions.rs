//! Evictions, as the API server carries them out: the disruption budget is asked and counted first, then the pod is deleted with
//! the preconditions of the request.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use super::{delete, failure};

const BUDGETS: &str = "/apis/policy/v1/namespaces/team/poddisruptionbudgets/";

/// The answer to an eviction.
pub(super) fn evict(
    objects: &mut BTreeMap<String, Value>,
    path: &str,
    sent: &Value,
) -> (StatusCode, Value) {
    let Some(pod) = objects.get(path).cloned() else {
        return (StatusCode::NOT_FOUND, failure(StatusCode::NOT_FOUND));
    };
    let ends = pod["metadata"].get("deletionTimestamp").is_some();
    if !ends && let Err(refused) = count(objects, &pod) {
        return refused;
    }
    let (status, answer) = delete(objects, path, &sent["deleteOptions"]);
    if status != StatusCode::OK {
        return (status, answer);
    }
    let success = json!({ "kind": "Status", "apiVersion": "v1", "status": "Success", "code": 201 });
    (StatusCode::CREATED, success)
}

/// Counts a disruption in the pod's budget. One without a status lets go: no controller counts pods here unless a test does.
fn count(objects: &mut BTreeMap<String, Value>, pod: &Value) -> Result<(), (StatusCode, Value)> {
    let is_meant = |(path, budget): &(&String, &mut Value)| {
        let labels = budget["spec"]["selector"]["matchLabels"].as_object();
        let mut labels = labels.into_iter().flatten();
        path.starts_with(BUDGETS)
            && labels.all(|(name, value)| pod["metadata"]["labels"][name] == *value)
    };
    let mut budgets: Vec<_> = objects.iter_mut().filter(is_meant).collect();
    if budgets.len() > 1 {
        let mut answer = failure(StatusCode::INTERNAL_SERVER_ERROR);
        answer["message"] = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.".into();
        return Err((StatusCode::INTERNAL_SERVER_ERROR, answer));
    }
    let Some((_, budget)) = budgets.pop() else {
        return Ok(());
    };
    if budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" && !serves(pod) {
        return Ok(());
    }
    let name = budget["metadata"]["name"].as_str().unwrap().to_owned();
    let number = |value: &Value| value.as_i64().unwrap_or_default();
    let Some(status) = budget.get("status").filter(|status| !status.is_null()) else {
        return Ok(());
    };
    if number(&status["observedGeneration"]) < number(&budget["metadata"]["generation"]) {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(refusal(&why));
    }
    let allowed = number(&status["disruptionsAllowed"]);
    if allowed == 0 {
        let [wanted, has] = ["desiredHealthy", "currentHealthy"].map(|part| number(&status[part]));
        return Err(refusal(&format!(
            "The disruption budget {name} needs {wanted} healthy pods and has {has} currently"
        )));
    }
    budget["status"]["disruptionsAllowed"] = (allowed - 1).into();
    let pod = pod["metadata"]["name"].as_str().unwrap();
    budget["status"]["disruptedPods"][pod] = jiff::Timestamp::now().to_string().into();
    Ok(())
}

fn serves(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|told| told["type"] == "Ready" && told["status"] == "True")
}

fn refusal(why: &str) -> (StatusCode, Value) {
    let mut answer = failure(StatusCode::TOO_MANY_REQUESTS);
    answer["message"] = "Cannot evict pod as it would violate the pod's disruption budget.".into();
    answer["details"] = json!({ "causes": [{ "reason": "DisruptionBudget", "message": why }] });
    (StatusCode::TOO_MANY_REQUESTS, answer)
}
