//! Requests and the answers that the contract demands.

use reqwest::Method;

use crate::node::{API_KEY, OTHER_USER_KEY, USER_KEY};

/// One request and the answer that the contract demands.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) body: &'static [u8],
    pub(super) status: u16,
    pub(super) answer: &'static str,
}

pub(super) const KEYS: &[(&str, &str)] = &[("x-api-key", API_KEY), ("x-user-key", USER_KEY)];
pub(super) const OTHER_KEYS: &[(&str, &str)] =
    &[("x-api-key", API_KEY), ("x-user-key", OTHER_USER_KEY)];
pub(super) const API_KEY_ONLY: &[(&str, &str)] = &[("x-api-key", API_KEY)];
pub(super) const USER_KEY_ONLY: &[(&str, &str)] = &[("x-user-key", USER_KEY)];

pub(super) const MISSING_USER_KEY: &str = r#"{"detail":[{"type":"missing","loc":["header","x-user-key"],"msg":"Field required"},{"type":"missing","loc":["header","x-user-key"],"msg":"Field required"}]}"#;
pub(super) const NO_OBJECT: &str = r#"{"detail":[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from"}]}"#;
pub(super) const NO_BODY: &str =
    r#"{"detail":[{"type":"missing","loc":["body"],"msg":"Field required"}]}"#;
pub(super) const NO_DICTIONARY: &str = r#"{"detail":[{"type":"dict_type","loc":["body","value"],"msg":"Input should be a valid dictionary"}]}"#;

pub(super) fn case(
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
