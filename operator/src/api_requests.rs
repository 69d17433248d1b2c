//! Requests to the API server, counted by verb and kind.

use std::fmt;

use http::{HeaderValue, Method, Request, header::USER_AGENT};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use tower::util::MapRequestLayer;

use crate::metrics::Metrics;

const NAME: &str = concat!("osc-operator/", env!("CARGO_PKG_VERSION"));

/// The clients of an operator. Their requests are counted.
#[derive(Clone)]
pub struct ApiClients {
    /// Repeats for minutes what the API server refuses for now (429, 503, 504).
    pub patient: Client,
    /// Tries each request once. The API server refuses an eviction with 429 for as long as the disruption budget lasts, and a
    /// request that goes on trying would take a pod away long after it was judged.
    pub prompt: Client,
}

impl fmt::Debug for ApiClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiClients").finish_non_exhaustive()
    }
}

/// The clients with this configuration.
///
/// # Errors
/// Where the configuration is unusable.
pub fn counted_clients(config: Config, metrics: &Metrics) -> Result<ApiClients, kube::Error> {
    let mut once = config.clone();
    once.default_retry = false;
    Ok(ApiClients {
        patient: counted_client(config, metrics)?,
        prompt: counted_client(once, metrics)?,
    })
}

fn counted_client(config: Config, metrics: &Metrics) -> Result<Client, kube::Error> {
    let metrics = metrics.clone();
    let count = move |mut request: Request<Body>| {
        // The client's name in the API server's own log.
        let headers = request.headers_mut();
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(NAME));
        if let Some((verb, resource)) = asked(
            request.method(),
            request.uri().path(),
            request.uri().query(),
        ) {
            metrics.requested(verb, resource);
        }
        request
    };
    Ok(ClientBuilder::try_from(config)?
        .with_layer(&MapRequestLayer::new(count))
        .build())
}

/// Verb and kind as RBAC spells them: `/api/v1/...` or `/apis/GROUP/VERSION/...`, then perhaps `namespaces/NAMESPACE/`, then
/// `KIND/NAME/SUBRESOURCE`. `None` where the request concerns no object.
fn asked<'a>(
    method: &Method,
    path: &'a str,
    query: Option<&str>,
) -> Option<(&'static str, &'a str)> {
    let versioned = match path.strip_prefix("/apis/") {
        Some(rest) => rest.split_once('/')?.1,
        None => path.strip_prefix("/api/")?,
    };
    let (_version, mut rest) = versioned.split_once('/')?;
    if let Some((_namespace, inside)) = rest
        .strip_prefix("namespaces/")
        .and_then(|rest| rest.split_once('/'))
    {
        rest = inside;
    }
    let (resource, name) = match rest.split_once('/') {
        Some((resource, name)) => (resource, Some(name)),
        None => (rest, None),
    };
    let watches = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .any(|part| ["watch=true", "watch=1"].contains(&part));
    let verb = match (method, name) {
        (&Method::GET, _) if watches => "watch",
        (&Method::GET, None) => "list",
        (&Method::GET, Some(_)) => "get",
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, _) => "delete",
        _ => return None,
    };
    Some((verb, resource))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use kube::core::Status;

    use super::*;

    /// An API server that refuses the first request for now; how many requests it has got.
    async fn refusing_once() -> (Config, Arc<AtomicUsize>) {
        use axum::{Router, http::StatusCode, response::IntoResponse};

        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let answer = async move || match counted.fetch_add(1, Ordering::SeqCst) {
            0 => (StatusCode::TOO_MANY_REQUESTS, "{}").into_response(),
            _ => r#"{"status": "Success"}"#.into_response(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        let config = Config::new(format!("http://{address}").parse().unwrap());
        (config, requests)
    }

    #[tokio::test]
    async fn one_client_repeats_what_is_refused_for_now_and_the_other_one_does_not() {
        let metrics = Metrics::new().unwrap();
        let request = || Request::post("/api/v1/x").body(b"{}".to_vec()).unwrap();
        let (config, requests) = refusing_once().await;
        let clients = counted_clients(config, &metrics).unwrap();
        let refused = clients.prompt.request::<Status>(request()).await;
        assert!(refused.is_err());
        assert_eq!(requests.load(Ordering::SeqCst), 1);

        let (config, requests) = refusing_once().await;
        let clients = counted_clients(config, &metrics).unwrap();
        let answered = clients.patient.request::<Status>(request()).await;
        answered.unwrap();
        assert_eq!(requests.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn each_request_is_counted_by_its_verb_and_its_kind() {
        let namespaced = "/api/v1/namespaces/team/secrets";
        let of_group = "/apis/apps/v1/namespaces/team/statefulsets/demo";
        for (method, path, query, wanted) in [
            (Method::GET, namespaced, None, ("list", "secrets")),
            (
                Method::GET,
                "/api/v1/secrets",
                Some("limit=500&watch=true"),
                ("watch", "secrets"),
            ),
            (Method::POST, namespaced, Some(""), ("create", "secrets")),
            (Method::GET, of_group, None, ("get", "statefulsets")),
            (
                Method::PATCH,
                of_group,
                Some("force=true"),
                ("patch", "statefulsets"),
            ),
            (Method::DELETE, of_group, None, ("delete", "statefulsets")),
            (
                Method::GET,
                "/apis/storage.k8s.io/v1/storageclasses/fast",
                None,
                ("get", "storageclasses"),
            ),
            (
                Method::GET,
                "/api/v1/namespaces/team",
                None,
                ("get", "namespaces"),
            ),
        ] {
            assert_eq!(asked(&method, path, query), Some(wanted), "{path}");
        }
        assert_eq!(asked(&Method::GET, "/version", None), None);
    }
}
