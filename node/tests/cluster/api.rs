//! A node as its clients meet it, past all faults of the network.

use reqwest::{Client, Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

use crate::network::Places;

pub(crate) const API_KEY: &str = "the api key of the tests";
pub(crate) const CLUSTER_KEY: &str = "the cluster key of the tests";
pub(crate) const USER_KEY: &str = "the user key of the tests";
pub(crate) const OTHER_USER_KEY: &str = "the user key of somebody else";

#[derive(Debug, Clone)]
pub(crate) struct Api {
    client: Client,
    places: Places,
    node: usize,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The version that the answer is about.
    pub(crate) fn version(&self) -> String {
        self.header("x-osc-version").unwrap().to_owned()
    }

    /// The answer, which must have this status.
    pub(crate) fn with(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

impl Api {
    pub(crate) fn new(client: Client, places: Places, node: usize) -> Self {
        Self {
            client,
            places,
            node,
        }
    }

    /// A request without any key; `None` while the node does not run.
    pub(crate) fn bare(&self, method: Method, path: &str) -> Option<RequestBuilder> {
        let place = self.places.of(self.node)?;
        Some(self.client.request(method, format!("http://{place}{path}")))
    }

    /// A client's request.
    pub(crate) fn request(&self, method: Method, path: &str) -> Option<RequestBuilder> {
        let request = self.bare(method, path)?;
        Some(
            request
                .header("X-API-Key", API_KEY)
                .header("X-User-Key", USER_KEY),
        )
    }

    /// Sends a request; `None` when it is not answered.
    pub(crate) async fn send(request: Option<RequestBuilder>) -> Option<Answer> {
        let answer = request?.send().await.ok()?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.ok()?;
        Some(Answer {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        })
    }

    /// A client's request that must be answered.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.call_with(method, path, body, &[]).await
    }

    pub(crate) async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.request(method, path).unwrap();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Self::send(Some(request)).await.unwrap()
    }

    pub(crate) async fn create(&self, key: &str, value: impl Into<Value>) -> Answer {
        self.create_with(key, value, &[]).await
    }

    pub(crate) async fn create_with(
        &self,
        key: &str,
        value: impl Into<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = json!({"key": key, "value": value.into()});
        self.call_with(Method::POST, "/configs", Some(body), headers)
            .await
    }

    pub(crate) async fn put(&self, key: &str, value: impl Into<Value>) -> Answer {
        self.put_with(key, value, &[]).await
    }

    pub(crate) async fn put_with(
        &self,
        key: &str,
        value: impl Into<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = json!({"value": value.into()});
        self.call_with(Method::PUT, &format!("/configs/{key}"), Some(body), headers)
            .await
    }

    /// Reads an entry that must be as new as this version.
    pub(crate) async fn get_since(&self, key: &str, version: &str) -> Answer {
        let headers = [("X-OSC-Min-Version", version)];
        self.call_with(Method::GET, &format!("/configs/{key}"), None, &headers)
            .await
    }

    pub(crate) async fn delete(&self, key: &str) -> Answer {
        self.call(Method::DELETE, &format!("/configs/{key}"), None)
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// The value of an entry.
    pub(crate) async fn value(&self, key: &str) -> Value {
        let answer = self.get(&format!("/configs/{key}")).await;
        answer.with(200).body["value"].clone()
    }

    /// A request of the cluster admin.
    pub(crate) async fn owner(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.bare(method, path).unwrap();
        request = request.header("X-Cluster-Key", CLUSTER_KEY);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Self::send(Some(request)).await.unwrap()
    }

    pub(crate) async fn status(&self) -> Value {
        self.get("/cluster/status?details=true")
            .await
            .with(200)
            .body
    }

    pub(crate) async fn incarnation(&self) -> String {
        let status = self.status().await;
        status["details"]["incarnation"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) async fn is_ready(&self) -> bool {
        let request = self.bare(Method::GET, "/ready");
        Self::send(request)
            .await
            .is_some_and(|answer| answer.status == 200)
    }

    /// The salt; `None` while the node has none.
    pub(crate) async fn salt(&self) -> Option<Vec<u8>> {
        let request = self.bare(Method::GET, "/cluster/salt")?;
        let answer = request.header("X-Cluster-Key", CLUSTER_KEY).send().await;
        let answer = answer.ok().filter(|answer| answer.status() == 200)?;
        Some(answer.bytes().await.unwrap().to_vec())
    }
}
