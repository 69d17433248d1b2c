//! Publishes events. kube's own recorder keeps every event as a whole until the next one is published: about 3 kB each, and a new
//! cluster has twenty.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event as Published},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::PartialObjectMeta,
    runtime::events::{Event, EventType, Reporter},
};
use serde_json::json;

/// How long an event of the same content counts as a repetition, as kube's recorder and client-go have it.
const SERIES: SignedDuration = SignedDuration::from_mins(6);

/// Publishes events in the name of one reporter.
pub(crate) struct Recorder {
    client: Client,
    reporter: Reporter,
    /// Only this process knows how it hashes: no user can name two objects so that their events are taken for one.
    hasher: RandomState,
    recent: Mutex<HashMap<u64, Recent>>,
}

/// An event that was published a short while ago. Its name follows from its object and from when it was first published.
#[derive(Debug, Clone, Copy)]
struct Recent {
    first: Timestamp,
    last: Timestamp,
    count: i32,
}

impl Recorder {
    /// For a reporter.
    pub(crate) fn new(client: Client, reporter: Reporter) -> Self {
        Self {
            client,
            reporter,
            hasher: RandomState::new(),
            recent: Mutex::default(),
        }
    }

    /// Publishes an event about an object. One that was published in the last minutes is counted instead.
    ///
    /// # Errors
    /// Where the API server refuses it.
    pub(crate) async fn publish(
        &self,
        event: &Event,
        regarding: &ObjectReference,
    ) -> Result<(), kube::Error> {
        let now = Timestamp::now();
        let key = self.key(event, regarding);
        let namespace = regarding.namespace.as_deref().unwrap_or("default");
        if let Some(earlier) = self.recall(key, now)
            && self.count_again(earlier, regarding, namespace, now).await?
        {
            let count = earlier.count.saturating_add(1);
            let counted = Recent {
                last: now,
                count,
                ..earlier
            };
            self.lock().insert(key, counted);
            return Ok(());
        }
        let events: Api<Published> = Api::namespaced(self.client.clone(), namespace);
        let published = self.event(event, regarding, now);
        events.create(&PostParams::default(), &published).await?;
        let first = Recent {
            first: now,
            last: now,
            count: 1,
        };
        self.lock().insert(key, first);
        Ok(())
    }

    /// Adds one to the count of an event; `false` where the event is gone.
    async fn count_again(
        &self,
        earlier: Recent,
        regarding: &ObjectReference,
        namespace: &str,
        now: Timestamp,
    ) -> Result<bool, kube::Error> {
        let events: Api<PartialObjectMeta<Published>> =
            Api::namespaced(self.client.clone(), namespace);
        let count = earlier.count.saturating_add(1);
        let series = json!({ "series": { "count": count, "lastObservedTime": MicroTime(now) } });
        let name = self.name(regarding, earlier.first);
        let patch = Patch::Merge(&series);
        match events.patch(&name, &PatchParams::default(), &patch).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Forgets events that are over, and returns this one where it is not.
    fn recall(&self, key: u64, now: Timestamp) -> Option<Recent> {
        let mut recent = self.lock();
        recent.retain(|_, event| now.duration_since(event.last) < SERIES);
        if recent.capacity() > 64 && recent.len() < recent.capacity() / 4 {
            recent.shrink_to_fit();
        }
        recent.get(&key).copied()
    }

    fn key(&self, event: &Event, regarding: &ObjectReference) -> u64 {
        let Event {
            type_,
            reason,
            note: _,
            action,
            secondary,
        } = event;
        let about = |object: &ObjectReference| {
            let ObjectReference {
                api_version,
                field_path,
                kind,
                name,
                namespace,
                resource_version,
                uid,
            } = object.clone();
            let version = (api_version, field_path, resource_version);
            (version, kind, name, namespace, uid)
        };
        let objects = (about(regarding), secondary.as_ref().map(about));
        let mut hasher = self.hasher.build_hasher();
        (type_, reason, action, objects).hash(&mut hasher);
        std::hash::Hasher::finish(&hasher)
    }

    fn name(&self, regarding: &ObjectReference, first: Timestamp) -> String {
        let name = regarding.name.as_ref();
        let name = name.unwrap_or(&self.reporter.controller);
        format!("{name}.{:x}", first.as_nanosecond())
    }

    fn event(&self, event: &Event, regarding: &ObjectReference, now: Timestamp) -> Published {
        let Reporter {
            controller,
            instance,
        } = &self.reporter;
        let type_ = match event.type_ {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        };
        Published {
            action: Some(event.action.clone()),
            event_time: Some(MicroTime(now)),
            metadata: ObjectMeta {
                name: Some(self.name(regarding, now)),
                namespace: regarding.namespace.clone(),
                ..ObjectMeta::default()
            },
            note: event.note.clone(),
            reason: Some(event.reason.clone()),
            regarding: Some(regarding.clone()),
            related: event.secondary.clone(),
            reporting_controller: Some(controller.clone()),
            reporting_instance: Some(instance.as_ref().unwrap_or(controller).clone()),
            type_: Some(type_.to_owned()),
            ..Published::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Recent>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use http::{Method, Request, Response, StatusCode};
    use kube::client::Body;
    use serde_json::Value;

    use super::*;

    /// A recorder, and the API server's side of it.
    struct Server {
        recorder: Recorder,
        /// Methods, paths and bodies.
        calls: Arc<Mutex<Vec<(Method, String, Value)>>>,
        /// Whether events that were made are gone.
        forgets: Arc<AtomicBool>,
    }

    impl Server {
        fn start() -> Self {
            let (calls, forgets) = (Arc::default(), Arc::<AtomicBool>::default());
            let (seen, gone) = (Arc::clone(&calls), Arc::clone(&forgets));
            let service = tower::service_fn(move |request: Request<Body>| {
                let (seen, gone) = (Arc::clone(&seen), Arc::clone(&gone));
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect_bytes().await.unwrap();
                    let sent: Value = serde_json::from_slice(&body).unwrap();
                    let is_gone = parts.method == Method::PATCH && gone.load(Ordering::SeqCst);
                    let (status, answer) = if is_gone {
                        let answer = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404,
                                             "reason": "NotFound", "message": "gone" });
                        (StatusCode::NOT_FOUND, answer)
                    } else {
                        let event =
                            json!({ "metadata": {}, "eventTime": "2026-01-01T00:00:00.000000Z" });
                        (StatusCode::OK, event)
                    };
                    let call = (parts.method, parts.uri.path().to_owned(), sent);
                    let seen: &Mutex<Vec<_>> = &seen;
                    seen.lock().unwrap().push(call);
                    let answer = Body::from(serde_json::to_vec(&answer).unwrap());
                    let response = Response::builder().status(status).body(answer);
                    Ok::<_, Infallible>(response.unwrap())
                }
            });
            let reporter = Reporter {
                controller: "operator".to_owned(),
                instance: Some("operator-0".to_owned()),
            };
            Self {
                recorder: Recorder::new(Client::new(service, "shop"), reporter),
                calls,
                forgets,
            }
        }

        /// Publishes an event about a cluster and a child of it, and gives the request for that.
        async fn publish(&self, reason: &str, child: &str) -> (Method, String, Value) {
            let event = Event {
                type_: EventType::Normal,
                reason: reason.to_owned(),
                note: Some("a note".to_owned()),
                action: "Reconcile".to_owned(),
                secondary: Some(object(child)),
            };
            let published = self.recorder.publish(&event, &object("prod")).await;
            published.unwrap();
            self.calls.lock().unwrap().pop().unwrap()
        }
    }

    fn object(name: &str) -> ObjectReference {
        ObjectReference {
            name: Some(name.to_owned()),
            namespace: Some("shop".to_owned()),
            ..ObjectReference::default()
        }
    }

    #[tokio::test]
    async fn an_event_that_comes_again_is_counted_and_another_one_is_made() {
        let server = Server::start();
        let (method, path, made) = server.publish("Created", "salt").await;
        assert_eq!(method, Method::POST);
        assert_eq!(path, "/apis/events.k8s.io/v1/namespaces/shop/events");
        assert_eq!(made["note"], "a note");
        assert_eq!(made["reportingInstance"], "operator-0");
        let name = made["metadata"]["name"].as_str().unwrap();
        assert!(name.starts_with("prod."), "{name}");
        for count in 2..5 {
            let (method, path, counted) = server.publish("Created", "salt").await;
            assert_eq!(method, Method::PATCH);
            assert!(path.ends_with(&format!("/events/{name}")), "{path}");
            assert_eq!(counted["series"]["count"], count);
        }
        for (reason, child) in [("Created", "key"), ("Deleted", "salt")] {
            let (method, ..) = server.publish(reason, child).await;
            assert_eq!(method, Method::POST, "{reason} {child}");
        }
    }

    #[tokio::test]
    async fn an_event_that_is_gone_is_made_anew() {
        let server = Server::start();
        server.publish("Created", "salt").await;
        server.forgets.store(true, Ordering::SeqCst);
        let (method, _, made) = server.publish("Created", "salt").await;
        assert_eq!(method, Method::POST);
        assert_eq!(made["series"], Value::Null, "it begins again");
        server.forgets.store(false, Ordering::SeqCst);
        let (_, _, counted) = server.publish("Created", "salt").await;
        assert_eq!(counted["series"]["count"], 2);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.unwrap();
        let _within = runtime.enter();
        let recorder = Server::start().recorder;
        let at = |minute: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
        for key in 0..1000 {
            let event = Recent {
                first: at(0),
                last: at(0),
                count: 1,
            };
            recorder.lock().insert(key, event);
        }
        assert!(recorder.recall(7, at(5)).is_some());
        assert!(recorder.recall(7, at(6)).is_none());
        assert!(recorder.lock().capacity() < 64);
    }
}
