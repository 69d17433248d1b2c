//! Evictions, as the API server carries them out: the disruption budget is asked first, then the pod is deleted with the
//! preconditions of the request. The controller of budgets counts at once here.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    names::{BUDGET, STATEFUL_SET, pod},
    store::{Preconditions, Refused, Store},
    workloads::is_ready,
};

impl Store {
    /// Evicts a pod, or only tells what would become of it.
    pub(crate) fn evict(
        &mut self,
        path: &str,
        wanted: &Preconditions,
        is_question: bool,
    ) -> Result<Value, Refused> {
        let there = self.get(path).ok_or(StatusCode::NOT_FOUND)?;
        // The budget always lets a pod go that does not serve.
        if serves(there) && self.get(BUDGET).is_some() && !self.all_serve() {
            return Err(StatusCode::TOO_MANY_REQUESTS);
        }
        if is_question {
            wanted.hold(there)?;
        } else {
            self.delete(path, wanted, false)?;
        }
        // The answer is no pod: a client would not understand one.
        Ok(json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" }))
    }

    /// Whether no pod of those that there are to be is away.
    fn all_serve(&self) -> bool {
        let Some(set) = self.get(STATEFUL_SET) else {
            return false;
        };
        let replicas = usize::try_from(set["spec"]["replicas"].as_u64().unwrap_or(1)).unwrap();
        (0..replicas).all(|number| self.get(&pod(number)).is_some_and(serves))
    }
}

fn serves(pod: &Value) -> bool {
    is_ready(pod) && pod["metadata"].get("deletionTimestamp").is_none()
}
