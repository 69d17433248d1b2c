//! Before a serving pod is deleted, a record names it: the deletion of an earlier leader may still arrive.

use super::*;

const RECORD: &str = "opensecureconf.io/replacing";

fn config_map() -> String {
    format!("{CORE}/configmaps/demo-template")
}

impl Story {
    /// Another operator has recorded that it deletes a pod in this state, and its deletion has not arrived.
    fn record(&self, ordinal: u64, resource_version: &str) {
        let uid = self.pod(ordinal)["metadata"]["uid"].clone();
        let mut object = self.server.object(&config_map()).unwrap();
        let record = format!(
            "demo-{ordinal}/{}/{resource_version}",
            uid.as_str().unwrap()
        );
        object["metadata"]["annotations"][RECORD] = record.into();
        self.server.put(&config_map(), object);
    }

    /// Three nodes of which all are to be replaced, and none is yet.
    async fn before_a_rollout() -> Self {
        let mut story = Self::begin().await;
        story.cluster.spec.image = Some("node:2".to_owned());
        story.turns(1).await;
        assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());
        story
    }
}

#[tokio::test]
async fn a_pod_is_named_before_it_is_deleted() {
    let mut story = Box::pin(Story::before_a_rollout()).await;
    let uid = story.pod(2)["metadata"]["uid"].clone();
    story.operate().await;
    let patch = format!("PATCH {}", config_map());
    let deletion = format!("POST {}", eviction(2));
    let writes = story.server.writes();
    let place = |wanted: &str| writes.iter().position(|write| write == wanted);
    assert!(place(&patch).unwrap() < place(&deletion).unwrap());
    let record =
        story.server.object(&config_map()).unwrap()["metadata"]["annotations"][RECORD].clone();
    assert_eq!(record, format!("demo-2/{}/1", uid.as_str().unwrap()));
}

#[tokio::test]
async fn a_deletion_that_may_still_arrive_is_carried_out_first() {
    let mut story = Box::pin(Story::before_a_rollout()).await;
    story.record(0, "1");
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), [0], "and not the highest one");
    assert_eq!(story.told("demo-0: its replacement had begun"), 1);
    story.turns(8).await;
    assert_eq!(story.ordinals_deleted(), [2, 1]);
    assert!(story.all_current());
}

#[tokio::test]
async fn a_deletion_that_can_do_nothing_any_more_holds_nothing_up() {
    let mut story = Box::pin(Story::before_a_rollout()).await;
    story.record(0, "0");
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), [2]);
}

#[tokio::test]
async fn whoever_finds_another_record_than_it_read_deletes_nothing() {
    let mut story = Box::pin(Story::before_a_rollout()).await;
    story
        .server
        .refuse(Method::PATCH, &config_map(), StatusCode::CONFLICT);
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), [2]);
}

#[tokio::test]
async fn a_pod_that_does_not_serve_is_repaired_whatever_may_still_arrive() {
    let mut story = Story::begin().await;
    story.bad = vec!["node:bad"];
    story.cluster.spec.image = Some("node:bad".to_owned());
    story.turns(8).await;
    assert_eq!(story.ordinals_deleted(), [2]);

    story.record(0, "1");
    story.cluster.spec.image = Some("node:good".to_owned());
    story.turns(2).await;
    assert_eq!(story.ordinals_deleted(), [2]);
}
