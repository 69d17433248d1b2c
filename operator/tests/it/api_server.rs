//! An API server for one namespace, in memory: it keeps all objects, and remembers every request.

mod evictions;
mod json_patches;
mod patches;
mod rights;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Once},
};

use http::{Method, Request, Response, StatusCode};
use kube::{Client, client::Body};
use opensecureconf_operator::{cluster::context::Context, metrics::Metrics};
use serde_json::{Value, json};

use json_patches::How;
use rights::{Attempt, review};
use tower_test::mock::{self, Handle};

type Call = (Method, String);

/// The server's side of a client.
#[derive(Clone, Default)]
pub(crate) struct ApiServer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Objects by their path.
    objects: BTreeMap<String, Value>,
    calls: Vec<Call>,
    /// The cluster that the selector of the call names.
    selected: Option<String>,
    /// A call that is answered with this status and these words once.
    refusal: Option<(Call, StatusCode, String)>,
    /// Objects as reads show them, where that is not as they are.
    stale: BTreeMap<String, Value>,
    /// A call that is carried out once and not answered.
    unanswered: Option<Call>,
    /// The changes of an admission webhook to each written StatefulSet.
    webhook: Option<fn(&mut Value)>,
    /// What another client does right after the next question whether a pod may go.
    after_a_question: Option<fn(&mut BTreeMap<String, Value>)>,
    /// Rights that the test took from the operator: verbs and kinds.
    denied: Vec<(String, String)>,
    /// Whether the namespace is being deleted: the server accepts no new objects.
    is_ending: bool,
    /// Whether the server refuses reviews of a caller's own rights.
    is_silent: bool,
    /// Whether callers are the operator's service account, and the server says so.
    has_account: bool,
    /// The number of such reviews of rights.
    reviews: usize,
}

impl ApiServer {
    /// Starts the server; the context is the one that reconciles run with.
    pub(crate) fn start() -> (Self, Context) {
        let server = Self::default();
        let context = server.context();
        (server, context)
    }

    /// The context of another operator's reconciles.
    pub(crate) fn context(&self) -> Context {
        self.context_with("opensecureconf-node:tested")
    }

    /// The same for an operator with this node image.
    pub(crate) fn context_with(&self, node_image: &str) -> Context {
        http_client();
        let (service, handle) = mock::pair::<Request<Body>, Response<Body>>();
        tokio::spawn(self.clone().answer(handle));
        let client = Client::new(service, "team");
        let metrics = Metrics::new().unwrap();
        Context::new(client, metrics, node_image.to_owned())
    }

    /// Starts the server for tests that need only a client.
    pub(crate) fn for_client() -> (Self, Client) {
        http_client();
        let (service, handle) = mock::pair::<Request<Body>, Response<Body>>();
        let server = Self::default();
        tokio::spawn(server.clone().answer(handle));
        (server, Client::new(service, "team"))
    }

    async fn answer(self, mut handle: Handle<Request<Body>, Response<Body>>) {
        while let Some((request, respond)) = handle.next_request().await {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            let how = parts.headers.get("content-type");
            let how = How::read(how.map_or("", |kind| kind.to_str().unwrap()));
            self.0.lock().unwrap().selected = parts.uri.query().and_then(selected);
            let is_question = parts
                .uri
                .query()
                .is_some_and(|query| query.contains(&QUESTION[1..]));
            let path = (parts.uri.path(), is_question);
            let (status, answer) = self.handle(&parts.method, path, how, &body);
            let response = Response::builder()
                .status(status)
                .body(Body::from(serde_json::to_vec(&answer).unwrap()))
                .unwrap();
            respond.send_response(response);
        }
    }

    fn handle(
        &self,
        method: &Method,
        (path, is_question): (&str, bool),
        how: How,
        body: &[u8],
    ) -> (StatusCode, Value) {
        let mut state = self.0.lock().unwrap();
        let sent = || serde_json::from_slice::<Value>(body).unwrap();
        let path = &match method {
            // A new object's path ends with its name; events are given theirs by the server.
            &Method::POST if !path.ends_with(EVICTION) => format!(
                "{path}/{}",
                sent()["metadata"]["name"].as_str().unwrap_or("event")
            ),
            _ => path.to_owned(),
        };
        let asked = if is_question { QUESTION } else { "" };
        let call = (method.clone(), format!("{path}{asked}"));
        if state
            .refusal
            .as_ref()
            .is_some_and(|(refused, ..)| *refused == call)
        {
            let (_, status, message) = state.refusal.take().unwrap();
            let mut answer = failure(status);
            answer["message"] = message.into();
            return (status, answer);
        }
        if path.starts_with("/apis/authorization.k8s.io/") {
            state.reviews += 1;
            return review(&state);
        }
        if path.starts_with("/apis/authentication.k8s.io/") && state.has_account {
            return (StatusCode::CREATED, rights::account());
        }
        if let Some(attempt) = Attempt::read(method, path)
            && !attempt.is_granted(&state.denied)
        {
            return (StatusCode::FORBIDDEN, attempt.refusal());
        }
        state.calls.push(call.clone());
        let makes = *method == Method::POST
            || *method == Method::PATCH && how == How::Apply && !path.ends_with("/status");
        if state.is_ending && makes && !state.objects.contains_key(path) {
            return (StatusCode::FORBIDDEN, terminating(path));
        }
        let is_lost = state.unanswered.as_ref() == Some(&call);
        let answer = Self::carry_out(&mut state, method, &call.1, how, body);
        if is_lost {
            state.unanswered = None;
            return (
                StatusCode::GATEWAY_TIMEOUT,
                failure(StatusCode::GATEWAY_TIMEOUT),
            );
        }
        answer
    }

    fn carry_out(
        state: &mut State,
        method: &Method,
        path: &str,
        how: How,
        body: &[u8],
    ) -> (StatusCode, Value) {
        let sent = || serde_json::from_slice::<Value>(body).unwrap();
        let path = &path.to_owned();
        match (method, is_collection(path)) {
            (&Method::GET, true) => {
                let prefix = format!("{path}/");
                let items: Vec<_> = state
                    .objects
                    .iter()
                    .filter(|(path, _)| path.starts_with(&prefix))
                    .filter(|(_, object)| is_selected(state.selected.as_deref(), object))
                    .map(|(path, object)| state.stale.get(path).unwrap_or(object).clone())
                    .filter(|shown| !shown.is_null())
                    .collect();
                (StatusCode::OK, json!({ "metadata": {}, "items": items }))
            }
            (&Method::GET, false) => {
                let stale = state.stale.get(path);
                let shown = stale.or_else(|| state.objects.get(path));
                found(shown.filter(|shown| !shown.is_null()).cloned())
            }
            (&Method::POST, _) if path.ends_with(QUESTION) => {
                let pod = path.strip_suffix(QUESTION).unwrap();
                let pod = pod.strip_suffix(EVICTION).unwrap();
                let answer = evictions::evict(&mut state.objects.clone(), pod, &sent());
                if let Some(happens) = state.after_a_question.take() {
                    happens(&mut state.objects);
                }
                answer
            }
            (&Method::POST, _) if path.ends_with(EVICTION) => {
                let pod = path.strip_suffix(EVICTION).unwrap();
                evictions::evict(&mut state.objects, pod, &sent())
            }
            (&Method::POST, _) if state.objects.contains_key(path) => {
                (StatusCode::CONFLICT, failure(StatusCode::CONFLICT))
            }
            (&Method::POST, _) => {
                state.objects.insert(path.clone(), sent());
                (StatusCode::CREATED, sent())
            }
            (&Method::PATCH, _) => patch(state, path, sent(), how),
            (&Method::DELETE, _) => delete(&mut state.objects, path, &sent()),
            _ => (
                StatusCode::METHOD_NOT_ALLOWED,
                failure(StatusCode::METHOD_NOT_ALLOWED),
            ),
        }
    }

    /// Puts an object there, as another user would.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.0
            .lock()
            .unwrap()
            .objects
            .insert(path.to_owned(), object);
    }

    /// Deletes an object, as another user would.
    pub(crate) fn remove(&self, path: &str) {
        self.0.lock().unwrap().objects.remove(path).unwrap();
    }

    /// The present state of an object.
    pub(crate) fn object(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    /// Whether the operator has read this object.
    pub(crate) fn has_read(&self, path: &str) -> bool {
        let state = self.0.lock().unwrap();
        let mut calls = state.calls.iter();
        calls.any(|(method, called)| *method == Method::GET && called == path)
    }

    /// All objects as they are now, with their paths.
    pub(crate) fn objects(&self) -> BTreeMap<String, Value> {
        self.0.lock().unwrap().objects.clone()
    }

    /// The words of the events so far.
    pub(crate) fn notes(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let events = state
            .objects
            .iter()
            .filter(|(path, _)| path.contains("/events/"));
        events
            .map(|(_, event)| event["note"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Answers the next call of this kind with a failure, without carrying it out.
    pub(crate) fn refuse(&self, method: Method, path: &str, status: StatusCode) {
        self.refuse_with(method, path, status, "scripted");
    }

    /// The same in these words.
    pub(crate) fn refuse_with(
        &self,
        method: Method,
        path: &str,
        status: StatusCode,
        message: &str,
    ) {
        let call = (method, path.to_owned());
        self.0.lock().unwrap().refusal = Some((call, status, message.to_owned()));
    }

    /// Reads show the present state of an object from now on, whatever changes later, until `thaw`.
    pub(crate) fn freeze(&self, path: &str) {
        let mut state = self.0.lock().unwrap();
        let now = state.objects.get(path).cloned().unwrap();
        state.stale.insert(path.to_owned(), now);
    }

    /// Reads show no such object from now on, until `thaw`.
    pub(crate) fn hide(&self, path: &str) {
        let mut state = self.0.lock().unwrap();
        state.stale.insert(path.to_owned(), Value::Null);
    }

    /// Reads show the true state again.
    pub(crate) fn thaw(&self) {
        self.0.lock().unwrap().stale.clear();
    }

    /// Carries out the next call of this kind, and does not answer it.
    pub(crate) fn lose_answer(&self, method: Method, path: &str) {
        self.0.lock().unwrap().unanswered = Some((method, path.to_owned()));
    }

    /// Another client does this right after the next question whether a pod may go.
    pub(crate) fn after_a_question(&self, happens: fn(&mut BTreeMap<String, Value>)) {
        self.0.lock().unwrap().after_a_question = Some(happens);
    }

    /// An admission webhook changes each StatefulSet that is written from now on.
    pub(crate) fn intercept(&self, webhook: fn(&mut Value)) {
        self.0.lock().unwrap().webhook = Some(webhook);
    }

    /// Takes a right from the operator: a verb on a kind with its subresource.
    pub(crate) fn deny(&self, verb: &str, kind: &str) {
        let denied = (verb.to_owned(), kind.to_owned());
        self.0.lock().unwrap().denied.push(denied);
    }

    /// Gives all rights back.
    pub(crate) fn allow_all(&self) {
        self.0.lock().unwrap().denied.clear();
    }

    /// A user deletes the namespace: its objects go, and the server accepts no new ones.
    pub(crate) fn end_namespace(&self) {
        let mut state = self.0.lock().unwrap();
        state.is_ending = true;
        state.objects.clear();
    }

    /// The server refuses reviews of a caller's own rights from now on.
    pub(crate) fn refuse_reviews(&self) {
        self.0.lock().unwrap().is_silent = true;
    }

    /// Callers are the operator's service account from now on.
    pub(crate) fn has_account(&self) {
        self.0.lock().unwrap().has_account = true;
    }

    /// How many reviews of its own rights a caller has requested.
    pub(crate) fn reviews(&self) -> usize {
        self.0.lock().unwrap().reviews
    }

    /// All calls so far except those for events; forgets them.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
            .into_iter()
            .filter(|(_, path)| !path.contains("/events"))
            .map(|(method, path)| format!("{method} {path}"))
            .collect()
    }

    /// The calls so far that write, without events and questions; forgets them.
    pub(crate) fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
            .into_iter()
            .filter(|(method, path)| *method != Method::GET && !path.contains("/events"))
            .filter(|(_, path)| !path.ends_with(QUESTION))
            .map(|(method, path)| format!("{method} {path}"))
            .collect()
    }
}

/// The end of the path of an eviction.
const EVICTION: &str = "/eviction";

/// The end of a request that changes nothing: it asks what would become of it.
const QUESTION: &str = "?dryRun=All";

/// The path of the object that a write takes away.
pub(crate) fn taken_away(write: &str) -> Option<&str> {
    let evicted = || write.strip_prefix("POST ")?.strip_suffix(EVICTION);
    write.strip_prefix("DELETE ").or_else(evicted)
}

const INSTANCE: &str = "app.kubernetes.io/instance";

/// Which cluster a query's label selector names.
fn selected(query: &str) -> Option<String> {
    let query = query
        .replace("%2F", "/")
        .replace("%3D", "=")
        .replace("%2C", ",");
    let (_, rest) = query.split_once(&format!("{INSTANCE}="))?;
    let end = rest.find([',', '&']).unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}

/// Every cluster sees objects that belong to none.
fn is_selected(cluster: Option<&str>, object: &Value) -> bool {
    let label = object["metadata"]["labels"][INSTANCE].as_str();
    cluster.is_none() || label.is_none() || cluster == label
}

/// A patch, as long as it names the present version or none.
fn patch(state: &mut State, path: &str, sent: Value, how: How) -> (StatusCode, Value) {
    let there = state.objects.get(path);
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    let current = there.map(version).filter(|current| !current.is_null());
    if current.is_some_and(|current| !version(&sent).is_null() && current != version(&sent)) {
        return (StatusCode::CONFLICT, failure(StatusCode::CONFLICT));
    }
    let mut object = match how.patch(there, sent) {
        Ok(object) => object,
        Err(status) => return (status, failure(status)),
    };
    if let Some(webhook) = state.webhook.filter(|_| path.contains("/statefulsets/")) {
        webhook(&mut object);
    }
    if let Some(generation) = there.and_then(|there| there["metadata"]["generation"].as_i64())
        && there.is_some_and(|there| there["spec"] != object["spec"])
    {
        object["metadata"]["generation"] = (generation + 1).into();
    }
    object["metadata"]["uid"] = json!(format!("uid of {path}"));
    if let Some(before) = object["metadata"]["resourceVersion"].as_str() {
        object["metadata"]["resourceVersion"] = json!(format!("{before}+"));
    }
    state.objects.insert(path.to_owned(), object.clone());
    // The answer to a status is the whole resource, with the spec that it has.
    if let Some(resource) = path.strip_suffix("/status") {
        object["spec"] = state
            .objects
            .get(resource)
            .map_or_else(|| json!({}), |resource| resource["spec"].clone());
    }
    (StatusCode::OK, object)
}

/// A deletion, with its preconditions.
fn delete(objects: &mut BTreeMap<String, Value>, path: &str, sent: &Value) -> (StatusCode, Value) {
    let there = objects.get(path).map(|object| &object["metadata"]["uid"]);
    let wanted = &sent["preconditions"];
    if there.is_some_and(|uid| wanted["uid"] != *uid) {
        return (StatusCode::CONFLICT, failure(StatusCode::CONFLICT));
    }
    let there = objects.get(path);
    let version = there.map(|object| &object["metadata"]["resourceVersion"]);
    let demanded = &wanted["resourceVersion"];
    let is_demanded = !demanded.is_null() || path.contains("/pods/");
    if version.is_some_and(|version| is_demanded && demanded != version) {
        return (StatusCode::CONFLICT, failure(StatusCode::CONFLICT));
    }
    let gone = objects.remove(path);
    if let Some(gone) = &gone {
        let keeps = sent["propagationPolicy"] == "Orphan";
        collect(objects, &gone["metadata"]["uid"], keeps);
    }
    found(gone)
}

/// The garbage collector's work when an owner is gone: deletes its objects, or removes the reference from them.
fn collect(objects: &mut BTreeMap<String, Value>, owner: &Value, keeps: bool) {
    objects.retain(|_, object| {
        let owners = object.pointer_mut("/metadata/ownerReferences");
        let Some(owners) = owners.and_then(Value::as_array_mut) else {
            return true;
        };
        let before = owners.len();
        owners.retain(|reference| reference["uid"] != *owner);
        keeps || owners.len() == before
    });
}

/// The refusal of the admission plugin `NamespaceLifecycle`.
fn terminating(path: &str) -> Value {
    let mut answer = failure(StatusCode::FORBIDDEN);
    answer["message"] = format!(
        "{path} is forbidden: unable to create new content in namespace team because it is being terminated"
    )
    .into();
    answer["details"] = json!({ "causes": [{
        "reason": "NamespaceTerminating", "field": "metadata.namespace",
        "message": "namespace team is being terminated",
    }] });
    answer
}

/// `.../namespaces/team/secrets` is a collection, `.../namespaces/team/secrets/prod-salt` is not.
fn is_collection(path: &str) -> bool {
    path.split_once("/namespaces/team/")
        .is_some_and(|(_, rest)| !rest.contains('/'))
}

fn found(object: Option<Value>) -> (StatusCode, Value) {
    object.map_or_else(
        || (StatusCode::NOT_FOUND, failure(StatusCode::NOT_FOUND)),
        |object| (StatusCode::OK, object),
    )
}

fn failure(status: StatusCode) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status.as_u16(),
            "reason": status.canonical_reason().unwrap().replace(' ', ""), "message": "scripted" })
}

/// An HTTP client, in whatever order the tests run.
pub(crate) fn http_client() -> reqwest::Client {
    install_provider();
    reqwest::Client::new()
}

/// Makes TLS clients possible, once.
pub(crate) fn install_provider() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .unwrap();
    });
}
