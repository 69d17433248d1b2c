//! Argo CD deletes objects that have its label and are not in git, and with an application all objects with its label, except
//! for those that an annotation keeps. No object that a cluster needs is deleted, even where the application has the cluster's
//! name, so that the operator's own labels match.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    ONE_NODE,
    api_server::ApiServer,
    reconcile::{CORE, STATEFUL_SET, condition, reconcile},
    resource,
    warnings::Warnings,
};

const CLAIM: &str = "/api/v1/namespaces/team/persistentvolumeclaims/data-demo-0";
const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
const COMPARE_OPTIONS: &str = "argocd.argoproj.io/compare-options";
const OPTIONS: &str = "Prune=false,Delete=false";
const NOTHING: [String; 0] = [];
const INSTANCE: &str = "app.kubernetes.io/instance";

/// A claim as the StatefulSet's controller makes it.
fn make_claim(server: &ApiServer) {
    let set = server.object(STATEFUL_SET).unwrap();
    let template = &set["spec"]["volumeClaimTemplates"][0]["metadata"];
    let mut metadata = template.clone();
    metadata["name"] = "data-demo-0".into();
    server.put(CLAIM, json!({ "metadata": metadata }));
}

fn take_annotations(server: &ApiServer, path: &str) {
    let mut object = server.object(path).unwrap();
    object["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("annotations");
    server.put(path, object);
}

fn annotation(server: &ApiServer, path: &str, name: &str) -> Value {
    server.object(path).unwrap()["metadata"]["annotations"][name].clone()
}

/// The objects of an application that tracks by label: they have the label, and no owner (gitops-engine, `GetManagedLiveObjs`).
/// Git has the resource alone, so all of them are extraneous.
fn extraneous(server: &ApiServer, application: &str) -> Vec<(String, Value)> {
    let objects = server.objects().into_iter();
    objects
        .filter(|(_, object)| object["metadata"]["labels"][INSTANCE] == application)
        .filter(|(_, object)| object["metadata"]["ownerReferences"].is_null())
        .collect()
}

fn has_option(object: &Value, annotation: &str, option: &str) -> bool {
    let options = object["metadata"]["annotations"][annotation].as_str();
    options.is_some_and(|options| options.split(',').any(|other| other.trim() == option))
}

fn without_option(objects: &[(String, Value)], annotation: &str, option: &str) -> Vec<String> {
    let objects = objects.iter();
    objects
        .filter(|(_, object)| !has_option(object, annotation, option))
        .map(|(path, _)| path.rsplit('/').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn neither_a_prune_by_label_nor_the_deletion_of_an_application_takes_anything() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    make_claim(&server);
    let at_risk = extraneous(&server, "demo");
    let names = without_option(&at_risk, "none", "of them");
    assert_eq!(
        names,
        [
            "data-demo-0",
            "demo-api-key",
            "demo-cluster-key",
            "demo-node-ca",
            "demo-salt"
        ],
        "what only annotations keep"
    );

    // The checks of gitops-engine's sync, and of its deletion of an application (Argo CD 3.2, `shouldBeDeleted`, which reads
    // another option).
    let (pruned, deleted) = ("Prune=false", "Delete=false");
    assert_eq!(without_option(&at_risk, SYNC_OPTIONS, pruned), NOTHING);
    assert_eq!(without_option(&at_risk, SYNC_OPTIONS, deleted), NOTHING);
    let differs = without_option(&at_risk, COMPARE_OPTIONS, "IgnoreExtraneous");
    assert_eq!(differs, NOTHING, "the application would be OutOfSync");
}

#[tokio::test]
async fn claims_of_an_older_set_and_secrets_that_were_put_back_by_hand_get_their_annotations_once()
{
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    make_claim(&server);
    let salt = format!("{CORE}/secrets/demo-salt");
    let key = format!("{CORE}/secrets/demo-api-key");
    take_annotations(&server, CLAIM);
    take_annotations(&server, &key);
    let mut other = server.object(CLAIM).unwrap();
    other["metadata"]["name"] = "data-other-0".into();
    let others = CLAIM.replace("demo", "other");
    server.put(&others, other.clone());
    server.writes();

    reconcile(&server, &mut cluster, &context).await;

    for path in [CLAIM, &key, &salt] {
        assert_eq!(annotation(&server, path, SYNC_OPTIONS), OPTIONS, "{path}");
        assert_eq!(
            annotation(&server, path, COMPARE_OPTIONS),
            "IgnoreExtraneous",
            "{path}"
        );
    }
    assert_eq!(server.object(&others), Some(other), "another cluster's");
    let wanted = "annotated PersistentVolumeClaim data-demo-0, so that Argo CD does not prune it";
    assert!(
        server.notes().iter().any(|note| note == wanted),
        "{:#?}",
        server.notes()
    );
    server.writes();

    reconcile(&server, &mut cluster, &context).await;

    let writes = server.writes();
    let again =
        |write: &&String| write.contains("persistentvolumeclaims") || write.contains("secrets");
    assert_eq!(writes.iter().find(again), None);
}

#[tokio::test]
async fn an_operator_that_may_not_touch_claims_does_the_rest() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    make_claim(&server);
    take_annotations(&server, CLAIM);
    server.refuse(Method::PATCH, CLAIM, StatusCode::FORBIDDEN);
    let warnings = Warnings::listen();

    reconcile(&server, &mut cluster, &context).await;

    assert_eq!(annotation(&server, CLAIM, SYNC_OPTIONS), Value::Null);
    let told = warnings.count("not_protected_from_pruning");
    assert_eq!(told, 1, "{}", warnings.text());
    assert_eq!(condition(&server, "Ready")["reason"], "NodesNotReady");
}

#[tokio::test]
async fn the_claim_template_of_a_set_that_is_there_stays_as_it_is() {
    let (server, context) = ApiServer::start();
    let mut cluster = resource(ONE_NODE);
    reconcile(&server, &mut cluster, &context).await;
    let template = |server: &ApiServer| {
        let set = server.object(STATEFUL_SET).unwrap();
        set["spec"]["volumeClaimTemplates"][0]["metadata"].clone()
    };
    assert_eq!(
        template(&server)["annotations"][SYNC_OPTIONS],
        OPTIONS,
        "a new set"
    );
    // A StatefulSet of a release that knew no annotations, and used other labels.
    let mut older = server.object(STATEFUL_SET).unwrap();
    let metadata = &mut older["spec"]["volumeClaimTemplates"][0]["metadata"];
    metadata.as_object_mut().unwrap().remove("annotations");
    metadata["labels"] = json!({ "older": "yes" });
    let kept = metadata.clone();
    server.put(STATEFUL_SET, older);

    reconcile(&server, &mut cluster, &context).await;

    assert_eq!(
        template(&server),
        kept,
        "Kubernetes refuses a set whose template differs"
    );
}
