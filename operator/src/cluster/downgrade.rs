//! Nodes of an earlier release than the one that wrote their databases. They change nothing there and end. Pure.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::ResourceExt;
use opensecureconf_contract::EXIT_NEWER_DATABASE;

use super::{
    observe,
    resource::{ClusterStatus, WrittenBy},
    stalled::Stalled,
    status::last_words,
    validate::ValidatedCluster,
};
use crate::{names::NODE_CONTAINER, node::NodeDetails};

/// The reason where a node refuses its database because a later release wrote it.
pub(super) const DATABASE_NEWER: &str = "DatabaseNewer";

/// The release that wrote the databases as they are: the one of a node with the latest schema that was ever reported. As long as
/// some node of the image that was noted first has it, that one stays.
pub(super) fn written_by(
    pods: &[(Pod, Option<NodeDetails>)],
    before: &ClusterStatus,
) -> Option<WrittenBy> {
    let answers = pods.iter().filter_map(|(pod, details)| {
        let details = details.as_ref()?;
        Some(WrittenBy {
            schema: details.schema?,
            version: details.version.clone(),
            image: image(pod)?.to_owned(),
        })
    });
    let answers: Vec<_> = answers.collect();
    let known = before.written_by.as_ref();
    let latest = answers.iter().max_by_key(|answer| answer.schema);
    let Some(latest) = latest else {
        return known.cloned();
    };
    let stays = |known: &&WrittenBy| {
        known.schema > latest.schema
            || known.schema == latest.schema
                && answers.iter().any(|answer| answer.image == known.image)
    };
    Some(known.filter(stays).unwrap_or(latest).clone())
}

/// That a node refuses its database, and the image to return to; `None` where none does.
pub(super) fn refused(
    cluster: &ValidatedCluster,
    pods: &[(Pod, Option<NodeDetails>)],
    before: &ClusterStatus,
) -> Option<Stalled> {
    let stays = |pod: &Pod| {
        let ordinal = observe::ordinal(pod).and_then(|ordinal| i32::try_from(ordinal).ok());
        let wanted = ordinal.is_some_and(|ordinal| ordinal < cluster.spec.replicas);
        wanted && pod.metadata.deletion_timestamp.is_none()
    };
    let (pod, words) = pods
        .iter()
        .map(|(pod, _)| pod)
        .filter(|pod| stays(pod))
        .find_map(|pod| Some((pod, refusal(pod)?)))?;
    let (name, namespace) = (&cluster.name, &cluster.namespace);
    let refusing = image(pod).unwrap_or_default();
    let wrote = written_by(pods, before).filter(|wrote| wrote.image != refusing);
    let step = match wrote {
        Some(WrittenBy { version, image, .. }) => format!(
            "Release {version} wrote it. Choose its image again: `kubectl patch osc {name} -n {namespace} --type merge -p \
             '{{\"spec\":{{\"image\":\"{image}\"}}}}'`"
        ),
        None => "Choose the image of the release that wrote it, or of a later one, in spec.image"
            .to_owned(),
    };
    Some(Stalled {
        reason: DATABASE_NEWER,
        message: format!(
            "pod {} does not start with image {refusing}: {words}. It changed nothing there, and no other pod is replaced meanwhile. {step}; this \
             pod is replaced first then",
            pod.name_any()
        ),
    })
}

/// The words with which a pod's node refused its database, where it did when it last ended and does not serve since.
fn refusal(pod: &Pod) -> Option<String> {
    let mut containers = pod.status.as_ref()?.container_statuses.iter().flatten();
    let node = containers.find(|container| container.name == NODE_CONTAINER && !container.ready)?;
    let ended = last_end(node)?;
    (ended.exit_code == i32::from(EXIT_NEWER_DATABASE)).then(|| {
        last_words(ended).unwrap_or_else(|| "a later release wrote its database".to_owned())
    })
}

fn last_end(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let now = container.state.as_ref();
    let before = container.last_state.as_ref();
    now.and_then(|state| state.terminated.as_ref())
        .or_else(|| before?.terminated.as_ref())
}

/// The image of a pod's node.
fn image(pod: &Pod) -> Option<&str> {
    let mut containers = pod.spec.as_ref()?.containers.iter();
    containers
        .find(|container| container.name == NODE_CONTAINER)?
        .image
        .as_deref()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::{resource::prod, validate::validate};

    const COMPLAINT: &str = "osc-node: the database has schema 9, this release knows up to 7; use the release that wrote it or a later one\n";

    fn cluster() -> ValidatedCluster {
        let mut cluster = prod("{replicas: 3}");
        cluster.metadata.namespace = Some("shop".to_owned());
        validate(&cluster, "node:1").unwrap()
    }

    fn pod(ordinal: usize, image: &str, container: &Value) -> Pod {
        let mut status = json!({ "name": "node", "image": image, "imageID": "", "restartCount": 1, "ready": false });
        for (member, value) in container.as_object().unwrap() {
            status[member] = value.clone();
        }
        serde_json::from_value(json!({
            "metadata": { "name": format!("prod-{ordinal}") },
            "spec": { "containers": [{ "name": "other", "image": "other:1" }, { "name": "node", "image": image }] },
            "status": { "containerStatuses": [status] },
        }))
        .unwrap()
    }

    fn serves(ordinal: usize, image: &str, schema: i64) -> (Pod, Option<NodeDetails>) {
        let details = NodeDetails {
            version: image.replace("node:", "") + ".0.0",
            schema: Some(schema),
            ..NodeDetails::default()
        };
        (
            pod(ordinal, image, &json!({ "ready": true })),
            Some(details),
        )
    }

    fn ended(code: i32) -> Value {
        json!({ "terminated": { "exitCode": code, "message": COMPLAINT } })
    }

    fn refuses(ordinal: usize, image: &str) -> (Pod, Option<NodeDetails>) {
        let waits = json!({ "state": { "waiting": { "reason": "CrashLoopBackOff" } }, "lastState": ended(4) });
        (pod(ordinal, image, &waits), None)
    }

    fn known(schema: i64, image: &str) -> ClusterStatus {
        ClusterStatus {
            written_by: Some(WrittenBy {
                schema,
                version: image.replace("node:", "") + ".0.0",
                image: image.to_owned(),
            }),
            ..ClusterStatus::default()
        }
    }

    fn noted(pods: &[(Pod, Option<NodeDetails>)], before: &ClusterStatus) -> Option<(i64, String)> {
        written_by(pods, before).map(|wrote| (wrote.schema, wrote.image))
    }

    #[test]
    fn the_latest_schema_is_noted_with_the_image_of_a_node_that_has_it() {
        let nothing = ClusterStatus::default();
        assert_eq!(noted(&[refuses(0, "node:1")], &nothing), None);
        let two = [serves(0, "node:2", 7), serves(1, "node:3", 9)];
        assert_eq!(noted(&two, &nothing), Some((9, "node:3".into())));
        let earlier = known(7, "node:2");
        assert_eq!(noted(&two, &earlier), Some((9, "node:3".into())));
        // The node that has it does not answer.
        let later = known(9, "node:3");
        assert_eq!(noted(&two[..1], &later), Some((9, "node:3".into())));
        assert_eq!(noted(&[], &later), Some((9, "node:3".into())));
    }

    #[test]
    fn of_two_images_with_one_schema_the_first_stays_until_no_node_has_it() {
        let before = known(9, "node:2");
        let both = [serves(0, "node:2", 9), serves(1, "node:3", 9)];
        assert_eq!(noted(&both, &before), Some((9, "node:2".into())));
        assert_eq!(noted(&both[1..], &before), Some((9, "node:3".into())));
    }

    #[test]
    fn a_node_that_refuses_its_database_is_told_of_with_the_image_to_return_to() {
        let pods = [
            serves(0, "node:3", 9),
            serves(1, "node:3", 9),
            refuses(2, "node:1"),
        ];
        let told = refused(&cluster(), &pods, &ClusterStatus::default()).unwrap();
        assert_eq!(told.reason, DATABASE_NEWER);
        for words in [
            "pod prod-2 does not start with image node:1: the database has schema 9, this release knows up to 7",
            "Release 3.0.0 wrote it",
            "`kubectl patch osc prod -n shop --type merge -p '{\"spec\":{\"image\":\"node:3\"}}'`",
        ] {
            assert!(told.message.contains(words), "{}", told.message);
        }
    }

    #[test]
    fn the_image_of_an_only_node_is_remembered() {
        let told = refused(&cluster(), &[refuses(0, "node:1")], &known(9, "node:3")).unwrap();
        assert!(told.message.contains("\"node:3\""), "{}", told.message);
        let unknown = [ClusterStatus::default(), known(9, "node:1")];
        for before in unknown {
            let told = refused(&cluster(), &[refuses(0, "node:1")], &before).unwrap();
            assert!(told.message.contains("in spec.image"), "{}", told.message);
        }
    }

    #[test]
    fn what_ended_otherwise_serves_again_or_goes_refuses_nothing() {
        let says = |container: &Value| {
            let pods = [(pod(2, "node:1", container), None)];
            refused(&cluster(), &pods, &known(9, "node:3")).is_some()
        };
        assert!(says(&json!({ "state": ended(4) })));
        assert!(says(
            &json!({ "state": { "running": {} }, "lastState": ended(4) })
        ));
        assert!(!says(&json!({ "state": ended(1), "lastState": ended(4) })));
        assert!(!says(&json!({ "ready": true, "lastState": ended(4) })));
        assert!(!says(&json!({})));

        let mut ending = refuses(2, "node:1");
        ending.0.metadata.deletion_timestamp =
            serde_json::from_value("2026-01-01T00:00:00Z".into()).unwrap();
        let leaving = refuses(3, "node:1");
        assert_eq!(
            refused(&cluster(), &[ending, leaving], &known(9, "node:3")),
            None
        );
    }
}
