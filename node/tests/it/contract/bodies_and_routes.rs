//! Bodies and their fields, routes.

use reqwest::Method;

use super::case::{API_KEY_ONLY, Case, KEYS, NO_BODY, NO_DICTIONARY, NO_OBJECT, case};
use crate::node::{API_KEY, USER_KEY};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn cases() -> Vec<Case> {
    let post = || (Method::POST, "/configs");
    let put = || (Method::PUT, "/configs/taken");
    vec![
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
