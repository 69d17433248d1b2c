//! The original's answers, case by case.

use reqwest::{Method, header};
use serde_json::json;

use crate::node::{API_KEY, Answer, OTHER_USER_KEY, TestNode, USER_KEY};

/// One request and the answer that the contract demands.
struct Case {
    name: &'static str,
    method: Method,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static [u8],
    status: u16,
    answer: &'static str,
}

const KEYS: &[(&str, &str)] = &[("x-api-key", API_KEY), ("x-user-key", USER_KEY)];
const OTHER_KEYS: &[(&str, &str)] = &[("x-api-key", API_KEY), ("x-user-key", OTHER_USER_KEY)];
const API_KEY_ONLY: &[(&str, &str)] = &[("x-api-key", API_KEY)];
const USER_KEY_ONLY: &[(&str, &str)] = &[("x-user-key", USER_KEY)];

const MISSING_USER_KEY: &str = r#"{"detail":[{"type":"missing","loc":["header","x-user-key"],"msg":"Field required"},{"type":"missing","loc":["header","x-user-key"],"msg":"Field required"}]}"#;
const NO_OBJECT: &str = r#"{"detail":[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from"}]}"#;
const NO_BODY: &str = r#"{"detail":[{"type":"missing","loc":["body"],"msg":"Field required"}]}"#;
const NO_DICTIONARY: &str = r#"{"detail":[{"type":"dict_type","loc":["body","value"],"msg":"Input should be a valid dictionary"}]}"#;

fn case(
    name: &'static str,
    (method, path): (Method, &'static str),
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    (status, answer): (u16, &'static str),
) -> Case {
    Case {
        name,
        method,
        path,
        headers,
        body: body.as_bytes(),
        status,
        answer,
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let post = || (Method::POST, "/configs");
    let get = || (Method::GET, "/configs/taken");
    let put = || (Method::PUT, "/configs/taken");
    let delete = || (Method::DELETE, "/configs/taken");
    vec![
        // Authentication.
        case(
            "no API key",
            get(),
            USER_KEY_ONLY,
            "",
            (
                403,
                r#"{"detail":"API key required but missing. Provide X-API-Key header."}"#,
            ),
        ),
        case(
            "empty API key",
            get(),
            &[("x-api-key", ""), ("x-user-key", USER_KEY)],
            "",
            (
                403,
                r#"{"detail":"API key required but missing. Provide X-API-Key header."}"#,
            ),
        ),
        case(
            "wrong API key",
            get(),
            &[("x-api-key", "guess"), ("x-user-key", USER_KEY)],
            "",
            (403, r#"{"detail":"Invalid API key"}"#),
        ),
        case(
            "API key before user key",
            get(),
            &[("x-api-key", "guess")],
            "",
            (403, r#"{"detail":"Invalid API key"}"#),
        ),
        case(
            "API key before body",
            post(),
            &[("x-api-key", "guess")],
            "{",
            (403, r#"{"detail":"Invalid API key"}"#),
        ),
        case(
            "no user key",
            get(),
            API_KEY_ONLY,
            "",
            (422, MISSING_USER_KEY),
        ),
        case(
            "no user key for what the cluster holds",
            (Method::GET, "/cluster/configs"),
            API_KEY_ONLY,
            "",
            (
                422,
                r#"{"detail":[{"type":"missing","loc":["header","x-user-key"],"msg":"Field required"}]}"#,
            ),
        ),
        case(
            "user key with underscores",
            get(),
            &[("x-api-key", API_KEY), ("x_user_key", USER_KEY)],
            "",
            (422, MISSING_USER_KEY),
        ),
        case(
            "user key before body",
            post(),
            API_KEY_ONLY,
            "{",
            (422, MISSING_USER_KEY),
        ),
        case(
            "empty user key",
            get(),
            &[("x-api-key", API_KEY), ("x-user-key", "")],
            "",
            (
                401,
                r#"{"detail":"x-user-key header missing or too short (minimum 8 characters)"}"#,
            ),
        ),
        case(
            "short user key",
            get(),
            &[("x-api-key", API_KEY), ("x-user-key", "seven77")],
            "",
            (
                401,
                r#"{"detail":"x-user-key header missing or too short (minimum 8 characters)"}"#,
            ),
        ),
        // Entries of another user key: the node shows nothing and changes nothing.
        case(
            "wrong user key reads",
            get(),
            OTHER_KEYS,
            "",
            (
                403,
                r#"{"detail":"X-User-Key does not open configuration 'taken'"}"#,
            ),
        ),
        case(
            "wrong user key updates",
            put(),
            OTHER_KEYS,
            r#"{"value":{}}"#,
            (
                403,
                r#"{"detail":"X-User-Key does not open configuration 'taken'"}"#,
            ),
        ),
        case(
            "wrong user key deletes",
            delete(),
            OTHER_KEYS,
            "",
            (
                403,
                r#"{"detail":"X-User-Key does not open configuration 'taken'"}"#,
            ),
        ),
        // Names.
        case(
            "duplicate",
            post(),
            KEYS,
            r#"{"key":"taken","value":{}}"#,
            (
                400,
                r#"{"detail":"Configuration with key 'taken' already exists"}"#,
            ),
        ),
        case(
            "duplicate under another user key",
            post(),
            OTHER_KEYS,
            r#"{"key":"taken","value":{}}"#,
            (
                400,
                r#"{"detail":"Configuration with key 'taken' already exists"}"#,
            ),
        ),
        case(
            "duplicate in an environment",
            post(),
            KEYS,
            r#"{"key":"taken","value":{},"environment":"prod"}"#,
            (
                400,
                r#"{"detail":"Configuration with key 'taken' already exists in environment 'prod'"}"#,
            ),
        ),
        case(
            "unknown key reads",
            (Method::GET, "/configs/nope"),
            KEYS,
            "",
            (
                404,
                r#"{"detail":"Configuration with key 'nope' not found"}"#,
            ),
        ),
        case(
            "unknown key updates",
            (Method::PUT, "/configs/nope"),
            KEYS,
            r#"{"value":{}}"#,
            (
                404,
                r#"{"detail":"Configuration with key 'nope' not found"}"#,
            ),
        ),
        case(
            "unknown key deletes",
            (Method::DELETE, "/configs/nope"),
            KEYS,
            "",
            (
                404,
                r#"{"detail":"Configuration with key 'nope' not found"}"#,
            ),
        ),
        case(
            "unknown key in an environment",
            (Method::GET, "/configs/nope?environment=prod"),
            KEYS,
            "",
            (
                404,
                r#"{"detail":"Configuration with key 'nope' not found in environment 'prod'"}"#,
            ),
        ),
        case(
            "names are inserted unescaped",
            (Method::GET, "/configs/'o'x'"),
            KEYS,
            "",
            (
                404,
                r#"{"detail":"Configuration with key ''o'x'' not found"}"#,
            ),
        ),
        case(
            "a plus is a plus",
            (Method::GET, "/configs/a+b%20c"),
            KEYS,
            "",
            (
                404,
                r#"{"detail":"Configuration with key 'a+b c' not found"}"#,
            ),
        ),
        case(
            "case matters",
            (Method::GET, "/configs/TAKEN"),
            KEYS,
            "",
            (
                404,
                r#"{"detail":"Configuration with key 'TAKEN' not found"}"#,
            ),
        ),
        // Bodies.
        case("no body", post(), KEYS, "", (422, NO_BODY)),
        case("null", post(), KEYS, "null", (422, NO_BODY)),
        case("array", post(), KEYS, "[1]", (422, NO_OBJECT)),
        case("string", put(), KEYS, r#""x""#, (422, NO_OBJECT)),
        case(
            "form",
            post(),
            &[
                ("x-api-key", API_KEY),
                ("x-user-key", USER_KEY),
                ("content-type", "application/x-www-form-urlencoded"),
            ],
            r#"{"key":"k","value":{}}"#,
            (422, NO_OBJECT),
        ),
        case(
            "plain text",
            post(),
            &[
                ("x-api-key", API_KEY),
                ("x-user-key", USER_KEY),
                ("content-type", "text/plain"),
            ],
            r#"{"key":"k","value":{}}"#,
            (422, NO_OBJECT),
        ),
        case(
            "malformed JSON",
            post(),
            KEYS,
            r#"{"key":}"#,
            (
                422,
                r#"{"detail":[{"type":"json_invalid","loc":["body",7],"msg":"JSON decode error","ctx":{"error":"Expecting value"}}]}"#,
            ),
        ),
        case(
            "malformed JSON behind wide characters",
            post(),
            KEYS,
            r#"{"é😀":x}"#,
            (
                422,
                r#"{"detail":[{"type":"json_invalid","loc":["body",6],"msg":"JSON decode error","ctx":{"error":"Expecting value"}}]}"#,
            ),
        ),
        case(
            "unquoted member",
            post(),
            KEYS,
            "{key:1}",
            (
                422,
                r#"{"detail":[{"type":"json_invalid","loc":["body",1],"msg":"JSON decode error","ctx":{"error":"Expecting property name enclosed in double quotes"}}]}"#,
            ),
        ),
        Case {
            name: "no UTF-8",
            method: Method::POST,
            path: "/configs",
            headers: KEYS,
            body: b"{\"key\":\"\xff\"}",
            status: 400,
            answer: r#"{"detail":"There was an error parsing the body"}"#,
        },
        case(
            "nested too deeply",
            post(),
            KEYS,
            concat!(
                "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
                "[[[[[[[[[[[[[[[[[[[[[[[[[[[["
            ),
            (400, r#"{"detail":"There was an error parsing the body"}"#),
        ),
        // Fields.
        case(
            "value missing",
            put(),
            KEYS,
            "{}",
            (
                422,
                r#"{"detail":[{"type":"missing","loc":["body","value"],"msg":"Field required"}]}"#,
            ),
        ),
        case(
            "value null",
            put(),
            KEYS,
            r#"{"value":null}"#,
            (422, NO_DICTIONARY),
        ),
        case(
            "key and value missing",
            post(),
            KEYS,
            "{}",
            (
                422,
                r#"{"detail":[{"type":"missing","loc":["body","key"],"msg":"Field required"},{"type":"missing","loc":["body","value"],"msg":"Field required"}]}"#,
            ),
        ),
        case(
            "key no string",
            post(),
            KEYS,
            r#"{"key":5,"value":{}}"#,
            (
                422,
                r#"{"detail":[{"type":"string_type","loc":["body","key"],"msg":"Input should be a valid string"}]}"#,
            ),
        ),
        case(
            "key empty",
            post(),
            KEYS,
            r#"{"key":"","value":{}}"#,
            (
                422,
                r#"{"detail":[{"type":"string_too_short","loc":["body","key"],"msg":"String should have at least 1 character","ctx":{"min_length":1}}]}"#,
            ),
        ),
        case(
            "lone surrogate in key",
            post(),
            KEYS,
            r#"{"key":"\ud800","value":{}}"#,
            (
                422,
                r#"{"detail":[{"type":"string_unicode","loc":["body","key"],"msg":"Input should be a valid string, unable to parse raw data as a unicode string"}]}"#,
            ),
        ),
        case(
            "lone surrogate in value",
            post(),
            KEYS,
            r#"{"key":"k","value":{"a":["\udfff"]}}"#,
            (
                422,
                r#"{"detail":[{"type":"string_unicode","loc":["body","value"],"msg":"Input should be a valid string, unable to parse raw data as a unicode string"}]}"#,
            ),
        ),
        case(
            "category no string",
            put(),
            KEYS,
            r#"{"value":{},"category":1}"#,
            (
                422,
                r#"{"detail":[{"type":"string_type","loc":["body","category"],"msg":"Input should be a valid string"}]}"#,
            ),
        ),
        case(
            "environment no string",
            post(),
            KEYS,
            r#"{"key":"k","value":{},"environment":[]}"#,
            (
                422,
                r#"{"detail":[{"type":"string_type","loc":["body","environment"],"msg":"Input should be a valid string"}]}"#,
            ),
        ),
        // Routes.
        case(
            "unknown path needs no key",
            (Method::GET, "/nope"),
            &[],
            "",
            (404, r#"{"detail":"Not Found"}"#),
        ),
        case(
            "paths are case-sensitive",
            (Method::GET, "/Configs"),
            &[],
            "",
            (404, r#"{"detail":"Not Found"}"#),
        ),
        case(
            "a second slash",
            (Method::GET, "//configs"),
            &[],
            "",
            (404, r#"{"detail":"Not Found"}"#),
        ),
        case(
            "a raw slash in a key",
            (Method::GET, "/configs/a/b"),
            &[],
            "",
            (404, r#"{"detail":"Not Found"}"#),
        ),
        case(
            "method not allowed",
            (Method::PATCH, "/configs"),
            &[],
            "",
            (405, r#"{"detail":"Method Not Allowed"}"#),
        ),
        case(
            "options",
            (Method::OPTIONS, "/configs/x"),
            &[],
            "",
            (405, r#"{"detail":"Method Not Allowed"}"#),
        ),
        // Public routes.
        case(
            "health",
            (Method::GET, "/health"),
            &[],
            "",
            (200, r#"{"status":"healthy","writes":"accepted"}"#),
        ),
        case(
            "ready",
            (Method::GET, "/ready"),
            &[],
            "",
            (200, r#"{"ready":true,"writes":"accepted"}"#),
        ),
        case(
            "cluster health",
            (Method::GET, "/cluster/health"),
            &[],
            "",
            (200, r#"{"status":"healthy","node_id":"node-0"}"#),
        ),
        case(
            "cluster status",
            (Method::GET, "/cluster/status"),
            API_KEY_ONLY,
            "",
            (
                200,
                r#"{"enabled":false,"mode":null,"node_id":null,"total_nodes":null,"healthy_nodes":null}"#,
            ),
        ),
        case(
            "cluster status without key",
            (Method::GET, "/cluster/status"),
            &[],
            "",
            (
                403,
                r#"{"detail":"API key required but missing. Provide X-API-Key header."}"#,
            ),
        ),
        case(
            "service document",
            (Method::GET, "/"),
            API_KEY_ONLY,
            "",
            (
                200,
                r#"{"service":"OpenSecureConf API","version":"2.1.0","features":["encryption","multithreading","async","api-key-auth","clustering","prometheus-metrics"],"api_key_required":true,"cluster_enabled":false,"cluster_mode":null,"endpoints":{"create":"POST /configs","read":"GET /configs/{key}","update":"PUT /configs/{key}","delete":"DELETE /configs/{key}","list":"GET /configs","cluster_status":"GET /cluster/status","cluster_health":"GET /cluster/health","metrics":"GET /metrics"}}"#,
            ),
        ),
        case(
            "service document without key",
            (Method::GET, "/"),
            &[],
            "",
            (
                403,
                r#"{"detail":"API key required but missing. Provide X-API-Key header."}"#,
            ),
        ),
    ]
}

async fn node_with_taken_entries() -> TestNode {
    let node = TestNode::start();
    for body in [
        json!({"key": "taken", "value": {"n": 1}}),
        json!({"key": "taken", "value": {}, "environment": "prod"}),
    ] {
        assert_eq!(
            node.call(Method::POST, "/configs", Some(body)).await.status,
            201
        );
    }
    node
}

#[tokio::test]
async fn every_refusal_is_that_of_the_original_and_changes_nothing() {
    let node = node_with_taken_entries().await;
    let before = node
        .call(Method::GET, "/configs?mode=full", None)
        .await
        .text;

    for case in cases() {
        let mut request = node
            .client
            .request(case.method, format!("{}{}", node.url, case.path))
            .body(case.body);
        for (name, value) in case.headers {
            request = request.header(*name, *value);
        }
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text.as_str()),
            (case.status, case.answer),
            "{}",
            case.name
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{}",
            case.name
        );
        assert!(answer.header("x-request-id").is_some(), "{}", case.name);
    }

    assert_eq!(
        node.call(Method::GET, "/configs?mode=full", None)
            .await
            .text,
        before
    );
    node.stop().await;
}

#[tokio::test]
async fn names_and_labels_have_the_lengths_of_the_original() {
    let node = TestNode::start();
    let long = |length: usize| "ä".repeat(length);
    for (body, status, kind) in [
        (json!({"key": long(255), "value": {}}), 201, None),
        (
            json!({"key": long(256), "value": {}}),
            422,
            Some("255 characters"),
        ),
        (
            json!({"key": "a", "value": {}, "category": long(100)}),
            201,
            None,
        ),
        (
            json!({"key": "b", "value": {}, "category": long(101)}),
            422,
            Some("100 characters"),
        ),
        (
            json!({"key": "c", "value": {}, "environment": long(101)}),
            422,
            Some("100 characters"),
        ),
    ] {
        let answer = node.call(Method::POST, "/configs", Some(body)).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(
            kind.is_none_or(|kind| answer.text.contains(kind)),
            "{}",
            answer.text
        );
    }
    node.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let node = TestNode::start_in(
        tempfile::tempdir().unwrap(),
        &[("OSC_MAX_BODY_BYTES", "1000")],
    );
    for (length, status) in [(1000, 201), (1001, 413)] {
        let empty = r#"{"key":"k","value":{"":""}}"#.len();
        let body = format!(
            r#"{{"key":"k","value":{{"":"{}"}}}}"#,
            "x".repeat(length - empty)
        );
        let request = node
            .request(Method::POST, "/configs")
            .header("X-User-Key", USER_KEY)
            .body(body);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    node.stop().await;
}

#[tokio::test]
async fn a_trailing_slash_leads_to_the_path_without_it() {
    let node = TestNode::start();
    for (path, location) in [
        ("/configs/?category=a", "/configs?category=a"),
        ("/configs/x/", "/configs/x"),
        ("/health/", "/health"),
    ] {
        let answer = Answer::of(node.request(Method::GET, path).send().await.unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (307, Some(location))
        );
    }
    node.stop().await;
}

#[tokio::test]
async fn every_json_content_type_is_json_and_so_is_none() {
    let node = TestNode::start();
    for (key, content_type) in [
        ("a", "application/json; charset=utf-8"),
        ("b", "application/vnd.x+json"),
        ("c", "APPLICATION/JSON"),
    ] {
        let request = node
            .request(Method::POST, "/configs")
            .header("X-User-Key", USER_KEY)
            .header(header::CONTENT_TYPE, content_type);
        let answer = Answer::of(
            request
                .body(format!(r#"{{"key":"{key}","value":{{}}}}"#))
                .send()
                .await
                .unwrap(),
        )
        .await;
        assert_eq!(answer.status, 201, "{content_type}: {}", answer.text);
    }
    node.stop().await;
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_never_show_names() {
    let node = node_with_taken_entries().await;
    node.call(Method::GET, "/configs/taken", None).await;
    node.call(Method::GET, "/configs/secret-name", None).await;
    node.call(
        Method::from_bytes(b"SECRET-NAME").unwrap(),
        "/secret-name",
        None,
    )
    .await;

    let page = Answer::of(
        node.client
            .get(format!("{}/metrics", node.url))
            .send()
            .await
            .unwrap(),
    )
    .await;

    assert_eq!(
        page.header("content-type"),
        Some("text/plain; version=1.0.0; charset=utf-8")
    );
    for line in [
        "osc_config_entries_total 2",
        r#"osc_config_operations_total{operation="create",status="success"} 2"#,
        r#"osc_config_operations_total{operation="read",status="not_found"} 1"#,
        r#"osc_http_requests_total{endpoint="/configs/{key}",method="GET",status_code="404"} 1"#,
        r#"osc_api_errors_total{endpoint="/configs/{key}",error_type="not_found"} 1"#,
        r#"osc_encryption_operations_total{operation="encrypt"} 2"#,
    ] {
        assert!(
            page.text.contains(&format!("{line}\n")),
            "{line} is not in\n{}",
            page.text
        );
    }
    assert!(
        !page.text.to_lowercase().contains("secret-name"),
        "{}",
        page.text
    );
    node.stop().await;
}
