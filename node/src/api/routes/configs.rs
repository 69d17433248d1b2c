//! Entries: create, read, list, update, delete. The user key must open what it touches.

use axum::{
    extract::{Request, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use percent_encoding::percent_decode_str;

use crate::{
    api::{
        Node, NodeState,
        auth::{CallerKey, Client},
        body::Fields,
        entry_json::{Form, Shown},
        error::ApiError,
        query::Query,
    },
    crypto::{DataKey, Derivation},
    domain::{ConfigKey, Environment, Identity, Row},
    json::{Json, parse},
    store::{Change, Seen, Write, WriteError, Written},
};

/// Stored plaintexts were bounded when they came in; those of an old database may nest deeper.
const MAX_STORED_DEPTH: usize = 512;

const SKIPPED: HeaderName = HeaderName::from_static("x-osc-skipped");

/// `POST /configs`
pub(in crate::api) async fn create(
    State(node): State<Node>,
    _: Client,
    CallerKey(user_key): CallerKey,
    query: Query,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let (key, value, category) = (fields.key(), fields.value(), fields.category());
    let environment = fields.environment();
    let (key, value) = fields.finish(key.zip(value))?;
    let environment = match environment {
        Some(environment) => environment,
        None => environment_of(&query).unwrap_or_default(),
    };
    let identity = Identity { environment, key };

    let derivation = node.keys.derive(&user_key).await?;
    let token = seal(&node, &derivation.key, &value)?;
    loop {
        let stored = node.store.find(identity.clone()).await?;
        if stored.as_ref().is_some_and(|row| !row.is_tombstone()) {
            return Err(already_exists(&identity));
        }
        let change = Change::Put {
            category: category.clone(),
            token: token.clone(),
        };
        if let Some(written) = commit(&node, &identity, stored.as_ref(), change).await? {
            node.keys.remember(&derivation);
            tracing::info!(
                key = identity.key.as_str(),
                environment = identity.environment.as_str(),
                "config_created"
            );
            return Ok(shown(
                StatusCode::CREATED,
                &identity,
                category.as_ref(),
                &value,
                written,
            ));
        }
    }
}

/// `GET /configs/{key}`
pub(in crate::api) async fn read(
    State(node): State<Node>,
    _: Client,
    CallerKey(user_key): CallerKey,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let identity = identity_of(&request, &query)?;
    let row = find_live(&node, &identity).await?;
    let derivation = node.keys.derive(&user_key).await?;
    let value = open(&node, &derivation, &row)?;
    tracing::debug!(
        key = identity.key.as_str(),
        environment = identity.environment.as_str(),
        "config_read"
    );
    let form = if query.get("mode") == Some("full") {
        Form::Full
    } else {
        Form::Short
    };
    let mut body = String::new();
    Shown::of(&row, &value).write(form, &mut body);
    Ok(json_answer(StatusCode::OK, body))
}

/// `GET /configs[?category=&environment=]`
pub(in crate::api) async fn list(
    State(node): State<Node>,
    _: Client,
    CallerKey(user_key): CallerKey,
    query: Query,
) -> Result<Response, ApiError> {
    let environment = query.get("environment").map(str::to_owned);
    let category = query.get("category").map(str::to_owned);
    let form = if query.get("mode") == Some("full") {
        Form::Full
    } else {
        Form::Short
    };
    let rows = node.store.list(environment, category).await?;
    let derivation = node.keys.derive(&user_key).await?;

    let mut body = String::from("[");
    let mut skipped = 0_usize;
    for row in &rows {
        // Entries under other user keys are nobody's business here.
        let Ok(plaintext) = derivation
            .key
            .open(row.token.as_deref().unwrap_or_default())
        else {
            skipped += 1;
            continue;
        };
        let value = read_plaintext(row, &plaintext)?;
        if body.len() > 1 {
            body.push(',');
        }
        Shown::of(row, &value).write(form, &mut body);
    }
    body.push(']');
    if skipped < rows.len() {
        node.keys.remember(&derivation);
    }
    let mut response = json_answer(StatusCode::OK, body);
    if skipped > 0 {
        response.headers_mut().insert(SKIPPED, skipped.into());
    }
    Ok(response)
}

/// `PUT /configs/{key}`
pub(in crate::api) async fn update(
    State(node): State<Node>,
    _: Client,
    CallerKey(user_key): CallerKey,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let identity = identity_of(&request, &query);
    let mut fields =
        <Fields as axum::extract::FromRequest<Node>>::from_request(request, &node).await?;
    let (value, category) = (fields.value(), fields.category());
    let value = fields.finish(value)?;
    let identity = identity?;

    let mut row = find_live(&node, &identity).await?;
    let derivation = node.keys.derive(&user_key).await?;
    loop {
        open(&node, &derivation, &row)?;
        // Absent or null keeps the category.
        let category = category.clone().or_else(|| row.category.clone());
        let change = Change::Put {
            category: category.clone(),
            token: seal(&node, &derivation.key, &value)?,
        };
        if let Some(written) = commit(&node, &identity, Some(&row), change).await? {
            tracing::info!(
                key = identity.key.as_str(),
                environment = identity.environment.as_str(),
                "config_updated"
            );
            return Ok(shown(
                StatusCode::OK,
                &identity,
                category.as_ref(),
                &value,
                written,
            ));
        }
        row = find_live(&node, &identity).await?;
    }
}

/// `DELETE /configs/{key}`
pub(in crate::api) async fn delete(
    State(node): State<Node>,
    _: Client,
    CallerKey(user_key): CallerKey,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let identity = identity_of(&request, &query)?;
    let mut row = find_live(&node, &identity).await?;
    let derivation = node.keys.derive(&user_key).await?;
    while commit_delete(&node, &derivation, &row).await?.is_none() {
        row = find_live(&node, &identity).await?;
    }
    tracing::info!(
        key = identity.key.as_str(),
        environment = identity.environment.as_str(),
        "config_deleted"
    );
    let message = format!(
        "Configuration '{}' deleted successfully",
        identity.key.as_str()
    );
    Ok(axum::Json(serde_json::json!({ "message": message })).into_response())
}

async fn commit_delete(
    node: &NodeState,
    derivation: &Derivation,
    row: &Row,
) -> Result<Option<Written>, ApiError> {
    open(node, derivation, row)?;
    commit(node, &row.identity, Some(row), Change::Delete).await
}

/// Commits a change of the row that was seen; `None` when the row changed meanwhile and must be checked again.
async fn commit(
    node: &NodeState,
    identity: &Identity,
    seen: Option<&Row>,
    change: Change,
) -> Result<Option<Written>, ApiError> {
    match node
        .store
        .write(Write {
            identity: identity.clone(),
            seen: Seen::of(seen),
            change,
        })
        .await
    {
        Ok(written) => Ok(Some(written)),
        Err(WriteError::Changed) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn find_live(node: &NodeState, identity: &Identity) -> Result<Row, ApiError> {
    let row = node.store.find(identity.clone()).await?;
    row.filter(|row| !row.is_tombstone())
        .ok_or_else(|| not_found(identity.key.as_str(), &identity.environment))
}

fn open(node: &NodeState, derivation: &Derivation, row: &Row) -> Result<Json, ApiError> {
    let plaintext = derivation
        .key
        .open(row.token.as_deref().unwrap_or_default())
        .map_err(|_| ApiError::WrongUserKey {
            key: row.identity.key.as_str().to_owned(),
        })?;
    node.keys.remember(derivation);
    node.metrics.decrypted();
    read_plaintext(row, &plaintext)
}

fn read_plaintext(row: &Row, plaintext: &[u8]) -> Result<Json, ApiError> {
    let unreadable = |reason: String| {
        let (key, environment) = (row.identity.key.as_str(), row.identity.environment.as_str());
        ApiError::Internal(
            format!(
                "the plaintext of '{key}' in environment '{environment}' is no JSON value: {reason}"
            )
            .into(),
        )
    };
    let text = std::str::from_utf8(plaintext).map_err(|error| unreadable(error.to_string()))?;
    parse(text, MAX_STORED_DEPTH).map_err(|error| unreadable(error.to_string()))
}

fn seal(node: &NodeState, key: &DataKey, value: &Json) -> Result<String, ApiError> {
    let token = key.seal(value.to_python().as_bytes(), (node.clock)())?;
    node.metrics.encrypted();
    Ok(token)
}

fn shown(
    status: StatusCode,
    identity: &Identity,
    category: Option<&crate::domain::Category>,
    value: &Json,
    Written {
        version: _,
        created_at,
        updated_at,
    }: Written,
) -> Response {
    let mut body = String::new();
    Shown {
        identity,
        category,
        value,
        created_at,
        updated_at,
    }
    .write(Form::Full, &mut body);
    json_answer(status, body)
}

fn json_answer(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn environment_of(query: &Query) -> Option<Environment> {
    Environment::new(query.get("environment")?.to_owned())
}

/// The entry that the path and the query name. A name that cannot exist is not found.
fn identity_of(request: &Request, query: &Query) -> Result<Identity, ApiError> {
    let raw = request
        .uri()
        .path()
        .strip_prefix("/configs/")
        .unwrap_or_default();
    // Decoded here and not by the router: invalid UTF-8 becomes U+FFFD, as in the original.
    let text = percent_decode_str(raw).decode_utf8_lossy().into_owned();
    let environment = environment_of(query).unwrap_or_default();
    match ConfigKey::new(text.clone()) {
        Some(key) => Ok(Identity { environment, key }),
        None => Err(not_found(&text, &environment)),
    }
}

fn not_found(key: &str, environment: &Environment) -> ApiError {
    ApiError::NotFound {
        key: key.to_owned(),
        environment: environment.name().map(str::to_owned),
    }
}

fn already_exists(identity: &Identity) -> ApiError {
    ApiError::AlreadyExists {
        key: identity.key.as_str().to_owned(),
        environment: identity.environment.name().map(str::to_owned),
    }
}
