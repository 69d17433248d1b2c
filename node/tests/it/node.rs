//! A node inside the test process, on a free port and a folder of its own.

use std::{ops::Deref, path::Path, sync::Once};

use opensecureconf_node::{
    cli::command,
    config::{Config, Layers, Timeouts},
    crypto::Iterations,
    log::LogControl,
    server::BoundNode,
};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const API_KEY: &str = "the api key of the tests";
pub(crate) const USER_KEY: &str = "the user key of the tests";
pub(crate) const OTHER_USER_KEY: &str = "the user key of somebody else";

/// Where a node answers, and a client of it.
pub(crate) struct Api {
    pub(crate) url: String,
    pub(crate) client: Client,
}

pub(crate) struct TestNode {
    pub(crate) folder: TempDir,
    api: Api,
    pub(crate) metrics_url: Option<String>,
    pub(crate) health_url: Option<String>,
    stop: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
}

/// An HTTP client, in whatever order the tests run.
pub(crate) fn client() -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .unwrap();
    });
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// The settings of a node in this folder, with an API key required.
pub(crate) fn environment(folder: &Path) -> Vec<(String, String)> {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    [
        ("OSC_HOST_PORT", "0".to_owned()),
        ("OSC_DATABASE_PATH", path("configurations.db")),
        ("OSC_SALT_FILE_PATH", path("encryption.salt")),
        ("OSC_API_KEY_REQUIRED", "true".to_owned()),
        ("OSC_API_KEY", API_KEY.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

impl TestNode {
    pub(crate) fn start() -> Self {
        Self::start_in(TempDir::new().unwrap(), &[])
    }

    pub(crate) fn start_in(folder: TempDir, more: &[(&str, &str)]) -> Self {
        Self::start_with(folder, more, Timeouts::default())
    }

    /// A node that is less patient with slow clients.
    pub(crate) fn start_with(folder: TempDir, more: &[(&str, &str)], timeouts: Timeouts) -> Self {
        let mut environment = environment(folder.path());
        environment.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let flags = command().try_get_matches_from(["osc-node"]).unwrap();
        let mut config = Config::from_layers(&Layers::new(&flags, environment, [])).unwrap();
        config.timeouts = timeouts;
        let node = BoundNode::start(config, Iterations(10), LogControl::silent()).unwrap();
        let url = format!("http://{}", node.address().unwrap());
        let metrics_url = node
            .metrics_address()
            .map(|address| format!("http://{address}"));
        let health_url = node
            .health_address()
            .map(|address| format!("http://{address}"));
        let stop = CancellationToken::new();
        let served = tokio::spawn(node.serve(stop.clone()));
        Self {
            folder,
            api: Api::at(url),
            metrics_url,
            health_url,
            stop,
            served,
        }
    }

    /// Stops the node gracefully and gives its folder back.
    pub(crate) async fn stop(self) -> TempDir {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
        self.folder
    }
}

impl Deref for TestNode {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Api {
    pub(crate) fn at(url: String) -> Self {
        Self {
            url,
            client: client(),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.url))
            .header("X-API-Key", API_KEY)
    }

    /// A request with both keys and, where given, a JSON body.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.call_as(USER_KEY, method, path, body).await
    }

    pub(crate) async fn call_as(
        &self,
        user_key: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut request = self.request(method, path).header("X-User-Key", user_key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request.send().await.unwrap()).await
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self {
            status,
            headers,
            text: response.text().await.unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
