//! A pod goes only in the state in which it was judged, and once.

use super::*;

#[tokio::test]
async fn a_pod_that_changed_since_it_was_read_is_judged_anew() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(1).await;
    let path = pod_path(2);
    story
        .server
        .refuse(Method::POST, &eviction(2), StatusCode::CONFLICT);
    story.operate().await;
    assert!(story.server.object(&path).is_some());
    story.set_pod(1, |pod| {
        pod["metadata"]["deletionTimestamp"] = jiff::Timestamp::now().to_string().into();
    });
    story.operate().await;
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());
}

#[tokio::test]
async fn what_a_watch_still_shows_deletes_nothing() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(1).await;
    // The watches stop here: they show three pods of the old template that serve.
    show(&story.server, &story.context);
    story.turns(3).await;
    assert_eq!(story.ordinals_deleted(), [2, 1, 0]);
    story.turns(3).await;
    assert_eq!(story.ordinals_deleted(), Vec::<usize>::new());
    assert!(story.all_current());
}

#[tokio::test]
async fn a_deletion_that_was_not_answered_is_not_done_twice() {
    let mut story = Story::begin().await;
    story.cluster.spec.image = Some("node:2".to_owned());
    story.turns(1).await;
    story.server.lose_answer(Method::POST, &eviction(2));
    let outcome = reconcile_cluster(&story.cluster, &story.context).await;
    outcome.unwrap_err();
    assert_eq!(story.ordinals_deleted(), [2]);
    story.operate().await;
    assert_eq!(
        story.ordinals_deleted(),
        Vec::<usize>::new(),
        "nobody made it anew yet"
    );
    story.turns(8).await;
    assert_eq!(story.ordinals_deleted(), [1, 0]);
}
