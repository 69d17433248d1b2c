//! One look at the object of the wait. The rules are in pure functions.

use std::fmt;

use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::MicroTime};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{ApiResource, DynamicObject},
};
use serde::Deserialize as _;

use crate::cluster::resource::{ClusterStatus, OpenSecureConfCluster};

/// The result of one look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It is ready, in these words.
    Ready(String),
    /// This is missing.
    Missing(String),
}

/// The object of the wait.
pub(super) enum Waited {
    Cluster {
        api: Api<DynamicObject>,
        name: String,
    },
    Operator {
        api: Api<Lease>,
        namespace: String,
        lease: String,
        before: Option<Renewal>,
    },
}

/// The holder who renewed a Lease, and when by its own clock.
type Renewal = (String, Option<MicroTime>);

impl Waited {
    pub(super) fn cluster(client: Client, namespace: &str, name: String) -> Self {
        // Not the type: a newer release may have fields and words that this one cannot read.
        let resource = ApiResource::erase::<OpenSecureConfCluster>(&());
        let api = Api::namespaced_with(client, namespace, &resource);
        Self::Cluster { api, name }
    }

    pub(super) fn operator(client: Client, namespace: &str, lease: String) -> Self {
        Self::Operator {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            lease,
            before: None,
        }
    }

    /// Asks once. An unanswered question counts as missing, like any other state: rights and servers come late, too.
    pub(super) async fn look(&mut self) -> Look {
        match self {
            Self::Cluster { api, name } => match api.get_opt(name).await {
                Ok(Some(cluster)) => cluster_look(&cluster),
                Ok(None) => Look::Missing("there is none".to_owned()),
                Err(error) => Look::Missing(refusal(&error)),
            },
            Self::Operator {
                api, lease, before, ..
            } => match api.get_opt(lease).await {
                Ok(Some(lease)) => lease_look(&lease, before),
                Ok(None) => Look::Missing("no operator has taken the Lease yet".to_owned()),
                Err(error) => Look::Missing(refusal(&error)),
            },
        }
    }
}

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster { name, .. } => write!(f, "cluster {name}"),
            Self::Operator { namespace, .. } => write!(f, "the operator in {namespace}"),
        }
    }
}

fn refusal(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => std::iter::successors(std::error::Error::source(other), |error| error.source())
            .fold(other.to_string(), |text, source| {
                format!("{text}: {source}")
            }),
    }
}

/// Ready in the sense of `kubectl wait --for=condition=Ready`, for the present spec.
fn cluster_look(cluster: &DynamicObject) -> Look {
    if cluster.meta().deletion_timestamp.is_some() {
        return Look::Missing("it is being deleted".to_owned());
    }
    let status = cluster.data.get("status").map(ClusterStatus::deserialize);
    let Some(Ok(status)) = status else {
        return Look::Missing("it has no status that this release understands".to_owned());
    };
    if status.observed_generation != cluster.meta().generation {
        return Look::Missing("its operator has not looked at the newest spec yet".to_owned());
    }
    match status
        .conditions
        .iter()
        .find(|found| found.type_ == "Ready")
    {
        Some(ready) if ready.status == "True" => Look::Ready(ready.message.clone()),
        Some(ready) => Look::Missing(format!("{} ({})", ready.message, ready.reason)),
        None => Look::Missing("it has no condition Ready yet".to_owned()),
    }
}

/// A leader is alive if it renews its Lease between two looks: clocks of two machines are not compared.
fn lease_look(lease: &Lease, before: &mut Option<Renewal>) -> Look {
    let spec = lease.spec.as_ref();
    let holder = spec
        .and_then(|spec| spec.holder_identity.clone())
        .filter(|holder| !holder.is_empty());
    let Some(holder) = holder else {
        *before = None;
        return Look::Missing(format!("no operator holds the Lease {}", lease.name_any()));
    };
    let renewal = (holder, spec.and_then(|spec| spec.renew_time.clone()));
    let look = match before {
        Some((holder, time)) if *holder == renewal.0 && *time != renewal.1 => {
            Look::Ready(format!("{holder} leads"))
        }
        _ => Look::Missing(format!("{} has yet to renew its Lease", renewal.0)),
    };
    *before = Some(renewal);
    look
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cluster(change: impl FnOnce(&mut Value)) -> DynamicObject {
        let mut cluster = json!({
            "apiVersion": "opensecureconf.io/v1alpha1", "kind": "OpenSecureConfCluster",
            "metadata": { "name": "prod", "generation": 2 },
            "spec": {},
            "status": { "observedGeneration": 2, "conditions": [{
                "type": "Ready", "status": "True", "reason": "AllNodesReady", "message": "3 of 3 nodes are ready",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }] },
        });
        change(&mut cluster);
        serde_json::from_value(cluster).unwrap()
    }

    #[test]
    fn a_cluster_is_ready_when_its_newest_spec_is() {
        let look = cluster_look(&cluster(|_| {}));
        assert_eq!(look, Look::Ready("3 of 3 nodes are ready".to_owned()));
    }

    #[test]
    fn a_later_release_may_say_more() {
        let look = cluster_look(&cluster(|cluster| {
            cluster["spec"] = json!({ "mode": "Unheard", "new": true });
            cluster["status"]["new"] = json!([1]);
        }));
        assert!(matches!(look, Look::Ready(_)), "{look:?}");
    }

    #[test]
    fn a_status_of_an_earlier_spec_is_not_believed() {
        for seen in [json!(1), json!(-1), Value::Null] {
            let look = cluster_look(&cluster(|cluster| {
                cluster["status"]["observedGeneration"] = seen;
            }));
            assert_eq!(
                look,
                Look::Missing("its operator has not looked at the newest spec yet".to_owned())
            );
        }
    }

    #[test]
    fn what_is_missing_is_what_ready_says() {
        let look = cluster_look(&cluster(|cluster| {
            let ready = &mut cluster["status"]["conditions"][0];
            ready["status"] = json!("False");
            ready["reason"] = json!("NodesStarting");
            ready["message"] = json!("1 of 3 nodes is ready");
        }));
        assert_eq!(
            look,
            Look::Missing("1 of 3 nodes is ready (NodesStarting)".to_owned())
        );
    }

    #[test]
    fn a_cluster_that_goes_and_one_without_status_are_not_ready() {
        for change in [
            |cluster: &mut Value| {
                cluster["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            },
            |cluster: &mut Value| cluster["status"] = json!({ "observedGeneration": 2 }),
            |cluster: &mut Value| {
                cluster.as_object_mut().unwrap().remove("status");
            },
        ] {
            let look = cluster_look(&cluster(change));
            assert!(matches!(look, Look::Missing(_)), "{look:?}");
        }
    }

    fn lease(holder: &str, renewed: &str) -> Lease {
        serde_json::from_value(json!({
            "metadata": { "name": "opensecureconf-operator" },
            "spec": { "holderIdentity": holder, "renewTime": renewed },
        }))
        .unwrap()
    }

    const FIRST: &str = "2026-01-01T00:00:00.000000Z";
    const LATER: &str = "2026-01-01T00:00:02.000000Z";

    #[test]
    fn an_operator_is_ready_once_it_is_seen_to_renew() {
        let mut before = None;
        for renewed in [FIRST, FIRST] {
            let look = lease_look(&lease("a", renewed), &mut before);
            assert!(matches!(look, Look::Missing(_)), "{look:?}");
        }
        let look = lease_look(&lease("a", LATER), &mut before);
        assert_eq!(look, Look::Ready("a leads".to_owned()));
    }

    #[test]
    fn a_lease_that_changes_hands_is_looked_at_anew() {
        let mut before = None;
        for (holder, renewed) in [("a", FIRST), ("", LATER), ("b", LATER), ("a", FIRST)] {
            let look = lease_look(&lease(holder, renewed), &mut before);
            assert!(matches!(look, Look::Missing(_)), "{look:?}");
        }
    }
}
