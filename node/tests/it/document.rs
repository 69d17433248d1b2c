//! The OpenAPI document and the page that shows it.

use std::collections::BTreeSet;

use opensecureconf_node::api::openapi_document;
use reqwest::Method;
use serde_json::Value;

use crate::node::{Answer, TestNode};

/// The operation ids of the original; generated clients depend on them.
const ORIGINAL: [&str; 12] = [
    "cluster_health_cluster_health_get",
    "cluster_list_configs_cluster_configs_get",
    "create_configuration_configs_post",
    "delete_configuration_configs__key__delete",
    "get_cluster_salt_cluster_salt_get",
    "get_cluster_status_cluster_status_get",
    "list_configurations_configs_get",
    "metrics_metrics_get",
    "read_configuration_configs__key__get",
    "receive_cluster_salt_cluster_salt_post",
    "root__get",
    "update_configuration_configs__key__put",
];

fn document() -> Value {
    serde_json::to_value(openapi_document()).unwrap()
}

#[test]
fn the_document_changes_only_on_purpose() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_json_snapshot!("openapi", document()));
}

#[test]
fn it_keeps_the_names_of_the_original() {
    let document = document();
    assert_eq!(document["info"]["title"], "OpenSecureConf API");
    assert_eq!(document["info"]["version"], "2.1.0");
    let paths = document["paths"].as_object().unwrap();
    let ids: BTreeSet<_> = paths
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    for id in ORIGINAL {
        assert!(ids.contains(id), "{id}");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in [
        "ClusterStatusResponse",
        "ConfigCreate",
        "ConfigResponse",
        "ConfigUpdate",
        "HTTPValidationError",
        "ValidationError",
    ] {
        assert!(schemas.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn every_documented_route_is_served_and_tells_all_its_methods() {
    let node = TestNode::start();
    for (path, operations) in document()["paths"].as_object().unwrap() {
        let url = format!("{}{}", node.url, path.replace("{key}", "k"));
        let refused = node
            .client
            .request(Method::PATCH, &url)
            .send()
            .await
            .unwrap();
        assert_eq!(refused.status(), 405, "{path}");
        let allow: BTreeSet<_> = refused.headers()["allow"]
            .to_str()
            .unwrap()
            .split(',')
            .filter(|method| *method != "HEAD")
            .map(str::to_lowercase)
            .collect();
        let mut documented: BTreeSet<_> = operations.as_object().unwrap().keys().cloned().collect();
        if path == "/configs/batch" {
            // An entry may have that name.
            documented.extend(["get", "put", "delete"].map(str::to_owned));
        }
        assert_eq!(allow, documented, "{path}");
    }
    node.stop().await;
}

#[tokio::test]
async fn every_route_that_answers_get_answers_head_without_a_body() {
    const CLUSTER_KEY: &str = "the cluster key of the tests";
    let folder = tempfile::TempDir::new().unwrap();
    let node = TestNode::start_in(folder, &[("OSC_CLUSTER_KEY", CLUSTER_KEY)]);
    let body = serde_json::json!({"key": "k", "value": 1});
    node.call(Method::POST, "/configs", Some(body)).await;
    let mut routes = 0;
    for (path, operations) in document()["paths"].as_object().unwrap() {
        if operations.get("get").is_none() {
            continue;
        }
        let ask = |method| {
            let request = node.request(method, &path.replace("{key}", "k"));
            let request = request.header("X-User-Key", crate::node::USER_KEY);
            let request = request.header("X-Cluster-Key", CLUSTER_KEY);
            async { Answer::of(request.send().await.unwrap()).await }
        };
        let (get, head) = (ask(Method::GET).await, ask(Method::HEAD).await);
        assert_eq!(head.status, get.status, "{path}");
        assert!(get.status.as_u16() < 400, "{path}: {}", get.text);
        assert_eq!(head.text, "", "{path}");
        assert_eq!(
            head.header("content-type"),
            get.header("content-type"),
            "{path}"
        );
        routes += 1;
    }
    assert!(routes >= 14, "{routes}");
    node.stop().await;
}

/// The objects in a schema that have members of their own.
fn objects<'d>(schema: &'d Value, found: &mut Vec<&'d Value>) {
    if schema.get("properties").is_some() {
        found.push(schema);
    }
    match schema {
        Value::Object(members) => members.values().for_each(|member| objects(member, found)),
        Value::Array(items) => items.iter().for_each(|item| objects(item, found)),
        _ => {}
    }
}

/// Clients generated for Go and Java refuse a field that comes with a later release, unless the document announces it.
#[test]
fn every_object_may_have_more_members_in_a_later_release() {
    let document = document();
    let mut found = Vec::new();
    objects(&document["components"]["schemas"], &mut found);
    objects(&document["paths"], &mut found);
    assert!(found.len() > 10, "only {} objects", found.len());
    for object in found {
        assert!(object.get("additionalProperties").is_some(), "{object}");
    }
}

#[test]
fn every_answer_tells_its_headers_and_every_refusal_its_words() {
    let document = document();
    for name in ["UserKey", "ApiKey", "ClusterKey"] {
        assert!(document["components"]["securitySchemes"][name].is_object());
    }
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            for (status, response) in responses {
                let place = format!("{method} {path} {status}");
                assert!(response["headers"]["X-Request-Id"].is_object(), "{place}");
                assert_eq!(
                    response["headers"].get("Retry-After").is_some(),
                    matches!(status.as_str(), "429" | "503"),
                    "{place}"
                );
                if status.as_str() >= "400" && path != "/ready" {
                    let example = &response["content"]["application/json"]["example"];
                    assert!(
                        example["detail"].is_string() || example["detail"].is_array(),
                        "{place}"
                    );
                }
            }
            if operation.get("requestBody").is_some() {
                assert!(responses.contains_key("408") && responses.contains_key("413"));
            }
        }
    }
}

#[tokio::test]
async fn the_page_is_served_from_the_binary() {
    let node = TestNode::start();
    let get = |path: &str| {
        let request = node.client.get(format!("{}{path}", node.url));
        async { Answer::of(request.send().await.unwrap()).await }
    };
    let page = get("/docs").await;
    assert_eq!(page.status, 200);
    assert!(
        !page.text.contains("//cdn") && !page.text.contains("https://"),
        "{}",
        page.text
    );
    let mut assets = 0;
    for part in page
        .text
        .split(['"', '\''])
        .filter(|part| part.starts_with("./"))
    {
        let asset = get(&format!("/docs/{}", &part[2..])).await;
        assert_eq!(asset.status, 200, "{part}");
        assets += 1;
    }
    assert!(assets >= 3, "{}", page.text);
    let initializer = get("/docs/swagger-initializer.js").await;
    assert!(
        initializer.text.contains("/openapi.json"),
        "{}",
        initializer.text
    );
    assert_eq!(get("/docs/nothing.js").await.status, 404);
    let redoc = get("/redoc").await;
    assert_eq!(
        (redoc.status.as_u16(), redoc.header("location")),
        (307, Some("/docs"))
    );
    let served = get("/openapi.json").await.json();
    assert_eq!(served, document());
    node.stop().await;
}
