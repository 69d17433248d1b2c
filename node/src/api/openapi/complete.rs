//! What holds for many operations: headers of every answer, security schemes, and an example of each refusal in the very
//! words of the node.

use std::time::Duration;

use opensecureconf_contract::{key_header, route};
use serde_json::Value;
use utoipa::openapi::{
    OpenApi, Ref, RefOr, Response,
    header::Header,
    path::Operation,
    security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme},
};

use super::later_fields;
use crate::{
    api::{
        answer::{error::ApiError, problem::Problem},
        batch,
        extract::conditional::FailedPrecondition,
    },
    cluster::AdminRefusal,
    store::WriteError,
};

/// Name, header and meaning of each key.
const SCHEMES: [(&str, &str, &str); 3] = [
    (
        "UserKey",
        "X-User-Key",
        "The passphrase that values are encrypted under.",
    ),
    (
        "ApiKey",
        "X-API-Key",
        "Where `OSC_API_KEY_REQUIRED=true`; ignored elsewhere.",
    ),
    ("ClusterKey", "X-Cluster-Key", "For the cluster admin."),
];

/// Adds all of it to a document that has its paths.
pub(in crate::api) fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    for (name, header, description) in SCHEMES {
        let key = ApiKey::Header(ApiKeyValue::with_description(header, description));
        components.add_security_scheme(name, SecurityScheme::ApiKey(key));
    }
    for (path, item) in &mut document.paths.paths {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            refusals_of_bodies(operation);
            security(operation);
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response {
                    headers(status, response);
                    example(path, status, response);
                }
            }
        }
    }
    later_fields::open(document);
}

/// Who may send a body may send it slowly, or too much of it.
fn refusals_of_bodies(operation: &mut Operation) {
    if operation.request_body.is_none() {
        return;
    }
    for (status, description) in [
        ("408", "The body did not arrive in time"),
        ("413", "The body is too large"),
    ] {
        let refusal = || {
            let mut response = Response::new(description);
            let content = utoipa::openapi::Content::new(Some(Ref::from_schema_name("Refusal")));
            response
                .content
                .insert("application/json".to_owned(), content.into());
            RefOr::T(response)
        };
        operation
            .responses
            .responses
            .entry(status.to_owned())
            .or_insert_with(refusal);
    }
}

fn security(operation: &mut Operation) {
    let takes = |header: &str| {
        let mut parameters = operation.parameters.iter().flatten();
        parameters.any(|parameter| matches!(parameter, RefOr::T(found) if found.name == header))
    };
    let none: [&str; 0] = [];
    let one = |name: &str| SecurityRequirement::new(name, none);
    let requirements = if takes("x-user-key") {
        vec![one("UserKey"), one("UserKey").add("ApiKey", none)]
    } else if takes(key_header::API_KEY) {
        vec![SecurityRequirement::default(), one("ApiKey")]
    } else if takes(key_header::CLUSTER_KEY) {
        vec![one("ClusterKey")]
    } else {
        return;
    };
    operation.security = Some(requirements);
}

fn headers(status: &str, response: &mut Response) {
    let mut add = |name: &str, description: &str, example: Value| {
        let mut header = Header::default();
        header.description = Some(description.to_owned());
        header.example = Some(example);
        response.headers.insert(name.to_owned(), header.into());
    };
    add(
        "X-Request-Id",
        "The caller's own id, or a new one; it is in the node's log",
        "0b5f3c1e9a7d4e62".into(),
    );
    if matches!(status, "429" | "503") {
        add(
            "Retry-After",
            "When it is worth another try, in seconds",
            "5".into(),
        );
    }
}

/// A body as the node would write it.
fn example(path: &str, status: &str, response: &mut Response) {
    let Some(refusal) = refusal(path, status) else {
        return;
    };
    let Some(RefOr::T(content)) = response.content.get_mut("application/json") else {
        return;
    };
    let error_id = refusal.cause().map(|_| "9f0c2b7d11aa4e35");
    content.example = Some(refusal.body(error_id));
}

fn refusal(path: &str, status: &str) -> Option<ApiError> {
    let key = || "database_prod".to_owned();
    let for_owners = path.starts_with("/admin/")
        || [route::SALT, route::BOOTSTRAP, route::LEAVE].contains(&path)
        || path.starts_with(route::MEMBERS);
    Some(match status {
        "400" if path == "/configs" => ApiError::AlreadyExists {
            key: key(),
            environment: None,
        },
        "400" => ApiError::UnreadableBody,
        "401" => ApiError::ShortUserKey { minimum: 8 },
        "403" if for_owners => ApiError::InvalidClusterKey,
        "403" if path == "/configs/{key}" => ApiError::WrongUserKey { key: key() },
        "403" => ApiError::InvalidApiKey,
        "404" if path.contains("{key}") || path == batch::PATH => ApiError::NotFound {
            key: key(),
            environment: None,
        },
        "404" => ApiError::UnknownRoute,
        "408" => ApiError::SlowBody,
        "409" if path == route::SALT => ApiError::OtherSalt,
        "409" if path.starts_with("/configs") => ApiError::ChangedMeanwhile,
        "409" => ApiError::Refused(AdminRefusal::LastMember),
        "412" => ApiError::PreconditionFailed(FailedPrecondition::OtherVersion(None)),
        "413" => ApiError::BodyTooLarge { limit: 1 << 20 },
        "422" => ApiError::Invalid(vec![Problem::missing(&["body", "value"])]),
        "429" => ApiError::TooManyFailures {
            retry_after: Duration::from_secs(2),
        },
        "500" => ApiError::Internal("".into()),
        "503" if path.contains("{key}") => ApiError::NotWritten(WriteError::Closed),
        "503" if path.ends_with("/configs") || path == "/cluster/conflicts" => ApiError::Busy,
        "503" => ApiError::NotReady {
            reason: "it is catching up with 'config-0': 12 changes to go".to_owned(),
        },
        "507" => ApiError::DiskFull,
        _ => return None,
    })
}
