//! Changes of the StatefulSet by others: some restart pods, some are taken back.

use super::*;

#[tokio::test]
async fn an_environment_that_somebody_sets_by_hand_restarts_no_pod() {
    let mut story = Story::begin().await;
    let before = story.set()["spec"]["template"].clone();
    let node = "k:{\"name\":\"node\"}";
    let foo = json!({ "k:{\"name\":\"FOO\"}": { ".": {}, "f:name": {}, "f:value": {} } });
    let fields = json!({ "f:spec": { "f:template": { "f:spec": { "f:containers": { node: { "f:env": foo } } } } } });
    story.by_hand("kubectl-set", &fields, |set| {
        let env = &mut set["spec"]["template"]["spec"]["containers"][0]["env"];
        let foo = json!({ "name": "FOO", "value": "bar" });
        env.as_array_mut().unwrap().insert(0, foo);
    });
    story.kubernetes();
    story.turns(5).await;
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());
    assert_eq!(story.set()["spec"]["template"], before);
    let words = "corrected StatefulSet demo: kubectl-set had changed spec.template.spec.containers[node].env[FOO]";
    assert_eq!(story.told(words), 1, "{:?}", story.server.notes());
}

#[tokio::test]
async fn kubectl_rollout_restart_replaces_all_pods() {
    let mut story = Story::begin().await;
    let restarted = "kubectl.kubernetes.io/restartedAt";
    let fields = json!({ "f:spec": { "f:template": { "f:metadata": { "f:annotations": { ".": {}, format!("f:{restarted}"): {} } } } } });
    story.by_hand("kubectl-rollout", &fields, |set| {
        set["spec"]["template"]["metadata"]["annotations"][restarted] =
            "2026-01-01T00:00:00Z".into();
    });
    story.kubernetes();
    story.turns(10).await;
    assert_eq!(story.ordinals_deleted(), [2, 1, 0]);
    let annotations = &story.set()["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations[restarted], "2026-01-01T00:00:00Z");
    assert_eq!(story.told("corrected"), 0);
}

#[tokio::test]
async fn what_an_admission_webhook_sets_again_is_accepted_with_one_event() {
    let mut story = Story::begin().await;
    story.server.intercept(|set| {
        let template = &mut set["spec"]["template"];
        template["metadata"]["annotations"]["mesh"] = "on".into();
        let image = &mut template["spec"]["containers"][0]["image"];
        let name = image.as_str().unwrap().trim_start_matches("mirror/");
        *image = format!("mirror/{name}").into();
    });
    let fields = json!({ "f:spec": { "f:template": { "f:metadata": { "f:annotations": { "f:mesh": {} } } } } });
    story.by_hand("mesh", &fields, |set| {
        set["spec"]["template"]["metadata"]["annotations"]["mesh"] = "on".into();
    });
    story.kubernetes();
    story.turns(12).await;
    assert_eq!(
        story.ordinals_deleted(),
        [2, 1, 0],
        "the image is another one"
    );
    story.turns(3).await;
    assert_eq!(story.server.writes(), Vec::<String>::new());
    for field in ["metadata.annotations.mesh", "spec.containers[node].image"] {
        let words = format!("accepted spec.template.{field} of StatefulSet demo");
        assert_eq!(story.told(&words), 1, "{:?}", story.server.notes());
    }
    assert_eq!(story.told("corrected"), 0, "{:?}", story.server.notes());

    // An accepted difference hides no change that a user asks for.
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(12).await;
    assert_eq!(story.ordinals_deleted(), [2, 1, 0]);
    let image = &story.set()["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, "mirror/node:2");
}

#[tokio::test]
async fn a_set_that_kubernetes_rolled_by_itself_is_changed_once() {
    let mut story = Story::begin().await;
    let mut set = story.set();
    set["spec"]["updateStrategy"] =
        json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } });
    story.server.put(STATEFUL_SET, set);
    story.cluster.spec.image = Some("node:2".to_owned());
    story.operate().await;
    assert_eq!(
        story.set()["spec"]["updateStrategy"],
        json!({ "type": "OnDelete" })
    );
    let patches = |writes: Vec<String>| {
        let patch = format!("PATCH {STATEFUL_SET}");
        writes.iter().filter(|write| **write == patch).count()
    };
    assert_eq!(
        patches(story.server.writes()),
        2,
        "the strategy, then the template"
    );
    story.operate().await;
    assert_eq!(patches(story.server.writes()), 0);
    assert_eq!(story.told("corrected"), 0);
}
