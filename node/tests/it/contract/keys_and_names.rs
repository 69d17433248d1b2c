//! Keys that are missing or wrong, entries of another user key, names.

use reqwest::Method;

use super::case::{API_KEY_ONLY, Case, KEYS, MISSING_USER_KEY, OTHER_KEYS, USER_KEY_ONLY, case};
use crate::node::{API_KEY, USER_KEY};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn cases() -> Vec<Case> {
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
    ]
}
