//! The API server's entry: requests of one operator, each with its outcome.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use kube::{Client, client::Body};
use opensecureconf_operator::rights::RIGHTS;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::{BoxError, service_fn};

use super::{
    json_patches::How,
    store::{Preconditions, Refused, Store},
    watches,
};
use crate::{
    faults::{Outcome, WatchStart},
    stage::{OperatorId, Shared},
};

/// The page size with which a watcher lists; no other caller uses it.
const PAGE: &str = "500";

/// The end of the path of an eviction.
pub(crate) const EVICTION: &str = "/eviction";

/// The body of an answer.
pub(super) type Answer = UnsyncBoxBody<Bytes, std::io::Error>;

/// A client for one operator.
pub(crate) fn client(stage: &Shared, operator: OperatorId) -> Client {
    let stage = stage.clone();
    let service = service_fn(move |request: Request<Body>| serve(stage.clone(), operator, request));
    Client::new(service, super::names::NAMESPACE)
}

async fn serve(
    stage: Shared,
    operator: OperatorId,
    request: Request<Body>,
) -> Result<Response<Answer>, BoxError> {
    let (parts, body) = request.into_parts();
    let body = body.collect_bytes().await?;
    if goes_on(&stage, operator).await {
        return Err("nothing was sent: the machine stood still".into());
    }
    if query(&parts, "watch").is_some() {
        let after = query(&parts, "resourceVersion").and_then(|version| version.parse().ok());
        let selector = query(&parts, "labelSelector").unwrap_or_default();
        let beginning = stage.lock().beginning_of_a_watch();
        match beginning {
            WatchStart::Begins => {}
            WatchStart::Refused => {
                return Ok(response(Err(StatusCode::SERVICE_UNAVAILABLE)));
            }
            WatchStart::Gone => return Ok(watches::gone()),
        }
        return Ok(watches::open(
            stage,
            parts.uri.path(),
            &selector,
            after.unwrap_or_default(),
        ));
    }
    // A request that was sent arrives, even if its operator is gone by then.
    let sent_to = stage.clone();
    let carried_out =
        tokio::spawn(async move { carry_out(sent_to, operator, parts, body.to_vec()).await });
    let answer = carried_out.await?;
    goes_on(&stage, operator).await;
    answer
}

/// Waits while an operator stands still; gives whether it did.
pub(crate) async fn goes_on(stage: &Shared, operator: OperatorId) -> bool {
    let thawed = Arc::clone(&stage.lock().thawed);
    let mut stood = false;
    loop {
        let goes_on = thawed.notified();
        if !stage.lock().frozen.contains_key(&operator) {
            return stood;
        }
        stood = true;
        goes_on.await;
    }
}

async fn carry_out(
    stage: Shared,
    operator: OperatorId,
    parts: Parts,
    body: Vec<u8>,
) -> Result<Response<Answer>, BoxError> {
    // No operator here has a service account.
    if parts.uri.path().starts_with("/apis/authentication.k8s.io/") {
        return Ok(response(Err(StatusCode::FORBIDDEN)));
    }
    let asked = query(&parts, "dryRun").map_or("", |_| "?dryRun");
    let what = format!("{} {}{asked}", parts.method, parts.uri.path());
    let begins_a_watch = query(&parts, "limit").is_some_and(|limit| limit == PAGE);
    let fate = {
        let mut stage = stage.lock();
        let is_write = parts.method != Method::GET && changes(parts.uri.path());
        if is_write {
            stage.check_that_leads(operator, &what);
        }
        let mut fate = stage.fate(operator, &parts.method, &what, begins_a_watch);
        if is_write && stage.is_forbidden(parts.uri.path()) {
            fate.outcome = Outcome::Refused(StatusCode::FORBIDDEN);
        }
        fate
    };
    sleep(fate.before).await;
    let answer = match fate.outcome {
        Outcome::Refused(status) => Err(status),
        Outcome::Unreachable => return Err("the connection was refused".into()),
        Outcome::Answered | Outcome::Unanswered | Outcome::Broken => {
            let mut stage = stage.lock();
            let before = stage.store.version();
            let forbidden = stage.forbidden;
            let answer = handle(&mut stage.store, forbidden, &parts, &body);
            let version = stage.store.version();
            if parts.method != Method::GET && !what.contains("/events") {
                let told = answer.as_ref().map_or_else(Refused::as_u16, |_| 200);
                stage.tell(|| format!("operator {operator}: {what}: {told}"));
            }
            if version != before {
                stage.check_writes_of(operator, before);
            }
            answer
        }
    };
    sleep(fate.after).await;
    let is_held = answer == Err(StatusCode::TOO_MANY_REQUESTS)
        && matches!(fate.outcome, Outcome::Answered)
        && parts.uri.path().ends_with(EVICTION);
    if is_held {
        return Ok(held());
    }
    match fate.outcome {
        Outcome::Unanswered => Ok(response(Err(StatusCode::GATEWAY_TIMEOUT))),
        Outcome::Broken => Err("the connection broke".into()),
        _ => Ok(response(answer)),
    }
}

fn response(answer: Result<Value, Refused>) -> Response<Answer> {
    let (status, answer) = match answer {
        Ok(answer) => (StatusCode::OK, answer),
        Err(status) => (status, failure(status)),
    };
    Response::builder()
        .status(status)
        .body(whole(&answer))
        .unwrap()
}

/// The answer to an eviction that a disruption budget does not allow.
fn held() -> Response<Answer> {
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut answer = failure(status);
    answer["details"] =
        json!({ "causes": [{ "reason": "DisruptionBudget", "message": "another pod is away" }] });
    Response::builder()
        .status(status)
        .body(whole(&answer))
        .unwrap()
}

fn whole(answer: &Value) -> Answer {
    let bytes = Bytes::from(serde_json::to_vec(answer).unwrap());
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Whether a write to this path is an operator's work for a cluster.
fn changes(path: &str) -> bool {
    !path.contains("/events")
        && !path.contains("/leases/")
        && !path.ends_with("/leases")
        && !path.starts_with("/apis/authorization.k8s.io/")
}

fn failure(status: StatusCode) -> Value {
    if status == StatusCode::FORBIDDEN {
        let words = "it is forbidden: User \"system:serviceaccount:ops:osc\" cannot write it";
        return json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden",
                       "message": words });
    }
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status.as_u16(),
            "reason": status.canonical_reason().unwrap().replace(' ', ""), "message": "simulated" })
}

fn query(parts: &Parts, name: &str) -> Option<String> {
    let pairs = parts.uri.query()?.split('&');
    let value = pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)?
        .1;
    Some(
        value
            .replace("%2F", "/")
            .replace("%3D", "=")
            .replace("%2C", ","),
    )
}

/// Whether an object has all these labels.
pub(super) fn is_selected(selector: &str, object: &Value) -> bool {
    let mut wanted = selector.split(',').filter_map(|part| part.split_once('='));
    wanted.all(|(label, value)| object["metadata"]["labels"][label] == value)
}

fn handle(
    store: &mut Store,
    forbidden: Option<&str>,
    parts: &Parts,
    body: &[u8],
) -> Result<Value, Refused> {
    let path = parts.uri.path();
    let sent = || serde_json::from_slice::<Value>(body).unwrap_or_default();
    if path.starts_with("/apis/authorization.k8s.io/") {
        return Ok(review(forbidden));
    }
    match parts.method {
        Method::GET if is_collection(path) => {
            let selector = query(parts, "labelSelector").unwrap_or_default();
            let items: Vec<_> = store
                .list(path)
                .map(|(_, object)| object)
                .filter(|object| is_selected(&selector, object))
                .collect();
            let version = store.version().to_string();
            Ok(json!({ "metadata": { "resourceVersion": version }, "items": items }))
        }
        Method::GET => store.get(path).cloned().ok_or(StatusCode::NOT_FOUND),
        // Nobody reads them here.
        _ if path.contains("/events") => Ok(sent()),
        Method::POST if path.ends_with(EVICTION) => {
            let pod = path.strip_suffix(EVICTION).unwrap();
            let is_question = query(parts, "dryRun").is_some();
            store.evict(pod, &preconditions(&sent()["deleteOptions"]), is_question)
        }
        Method::POST => {
            let object = sent();
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            store.create(&format!("{path}/{name}"), object)
        }
        Method::PATCH => {
            let how = parts.headers.get(CONTENT_TYPE);
            let how = How::read(how.map_or("", |how| how.to_str().unwrap()));
            let manager = query(parts, "fieldManager").unwrap_or_default();
            store.patch(path, how, &manager, sent())
        }
        Method::PUT => {
            let object = sent();
            let demanded = &object["metadata"]["resourceVersion"];
            let there = store.get(path).ok_or(StatusCode::NOT_FOUND)?;
            if !demanded.is_null() && *demanded != there["metadata"]["resourceVersion"] {
                return Err(StatusCode::CONFLICT);
            }
            store.replace(path, object)
        }
        Method::DELETE => {
            let sent = sent();
            let orphans = sent["propagationPolicy"] == "Orphan";
            store.delete(path, &preconditions(&sent), orphans)
        }
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// The preconditions of a deletion.
fn preconditions(options: &Value) -> Preconditions {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Preconditions {
        uid: text(&options["preconditions"]["uid"]),
        version: text(&options["preconditions"]["resourceVersion"]),
    }
}

/// `.../namespaces/team/secrets` is a collection, `.../namespaces/team/secrets/demo-salt` is not.
fn is_collection(path: &str) -> bool {
    path.split_once("/namespaces/team/")
        .is_some_and(|(_, rest)| !rest.contains('/'))
}

/// The operator has the rights of its list, except for writes of one kind where a test forbids them.
fn review(forbidden: Option<&str>) -> Value {
    let is_read = |verb: &&&str| ["get", "list", "watch"].contains(*verb);
    let rules: Vec<_> = RIGHTS
        .iter()
        .map(|right| {
            let rule = &right.rule;
            let is_forbidden = rule
                .resources
                .iter()
                .any(|resource| Some(*resource) == forbidden);
            let verbs = rule.verbs.iter();
            let verbs: Vec<_> = verbs
                .filter(|verb| !is_forbidden || is_read(verb))
                .collect();
            json!({ "apiGroups": [rule.group], "resources": rule.resources, "verbs": verbs })
        })
        .collect();
    json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "metadata": {}, "spec": {},
        "status": { "resourceRules": rules, "nonResourceRules": [], "incomplete": false },
    })
}

/// The outcome of a request, and the delays around it.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) before: Duration,
    pub(crate) outcome: Outcome,
    pub(crate) after: Duration,
}
