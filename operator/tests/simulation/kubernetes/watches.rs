//! Watches: changes with a delay, until the connection ends.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::json;
use tokio::{sync::Notify, time::sleep};

use super::{
    server::{Answer, is_selected},
    store::{Change, What},
};
use crate::stage::Shared;

struct Watch {
    stage: Shared,
    prefix: String,
    selector: String,
    /// The version up to which the watch has sent changes.
    told: u64,
    news: Arc<Notify>,
}

/// Answers with a stream of the changes in a collection.
pub(crate) fn open(
    stage: Shared,
    collection: &str,
    selector: &str,
    after: u64,
) -> Response<Answer> {
    let news = Arc::clone(&stage.lock().store.news);
    let watch = Watch {
        stage,
        prefix: format!("{collection}/"),
        selector: selector.to_owned(),
        told: after,
        news,
    };
    let events = stream::unfold(watch, |mut watch| async move {
        let lines = watch.next().await?;
        Some((
            Ok::<_, std::io::Error>(Frame::data(Bytes::from(lines))),
            watch,
        ))
    });
    Response::new(StreamBody::new(events).boxed_unsync())
}

/// Answers that the API server no longer knows the changes since that version.
pub(crate) fn gone() -> Response<Answer> {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
                         "message": "too old resource version" });
    let line = format!("{}\n", json!({ "type": "ERROR", "object": status }));
    let body = Full::new(Bytes::from(line)).map_err(|never| match never {});
    Response::new(body.boxed_unsync())
}

impl Watch {
    /// The next changes, as lines; `None` where the connection ends.
    async fn next(&mut self) -> Option<String> {
        loop {
            let news = self.news.notified();
            if self.stage.lock().store.version() <= self.told {
                news.await;
            }
            let lag: Duration = self.stage.lock().lag_of_a_watch();
            sleep(lag).await;
            let mut stage = self.stage.lock();
            if stage.a_watch_ends() {
                return None;
            }
            let lines: String = stage
                .store
                .log
                .iter()
                .rev()
                .take_while(|change| change.version > self.told)
                .filter(|change| change.path.starts_with(&self.prefix))
                .filter(|change| is_selected(&self.selector, &change.object))
                .map(line)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .collect();
            self.told = stage.store.version();
            drop(stage);
            if !lines.is_empty() {
                return Some(lines);
            }
        }
    }
}

fn line(change: &Change) -> String {
    let what = match change.what {
        What::Added => "ADDED",
        What::Modified => "MODIFIED",
        What::Deleted => "DELETED",
    };
    format!("{}\n", json!({ "type": what, "object": change.object }))
}
