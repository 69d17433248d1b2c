//! Single entries: create, read, update, delete. The user key must open what it touches.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    api::{
        Node, NodeState,
        auth::{Caller, CallerKey, Client},
        body::Fields,
        conditional::{Preconditions, version_headers},
        entry_json::{Form, Shown},
        entry_path::{environment_of, identity_of, not_found},
        error::ApiError,
        min_version::await_version,
        openapi::{
            ConfigCreate, ConfigResponse, ConfigUpdate, EntryPath, EntryQuery, EnvironmentQuery,
            ExistingEntry, KeyHeaders, Message, NewEntry, PreconditionHeaders, UpdateQuery,
            VersionHeaders, WriteHeaders,
        },
        query::Query,
        sealing::{open, seal},
        write_terms::WriteTerms,
    },
    cluster::{Change, Seen, Write, Written},
    domain::{Category, Identity, Row, Version},
    json::Json,
    store::WriteError,
};

/// Create a configuration
///
/// The value is encrypted under the user key before it is stored.
#[utoipa::path(
    post, path = "/configs", operation_id = "create_configuration_configs_post", tag = "configurations",
    params(EnvironmentQuery, KeyHeaders, WriteHeaders), request_body = ConfigCreate,
    responses((status = 201, body = ConfigResponse, description = "Created",
               headers(("ETag" = String), ("X-OSC-Version" = String))), NewEntry),
)]
pub(in crate::api) async fn create(
    State(node): State<Node>,
    _: Client,
    caller: CallerKey,
    terms: WriteTerms,
    query: Query,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let (key, value, category) = (fields.key(), fields.value(), fields.category());
    let environment = fields.environment();
    let (key, value) = fields.finish(key.zip(value))?;
    let environment = match environment {
        Some(environment) => environment,
        None => environment_of(&query)?,
    };
    let identity = Identity { environment, key };

    // A taken name is not worth a derivation; where none is needed, the writer looks.
    if !caller.is_cached(&node) {
        refuse_taken(&node, &identity).await?;
    }
    let caller = caller.derive(&node).await?;
    let change = Change::Put {
        category: category.clone(),
        token: seal(&node, &caller.derivation.key, &value)?,
    };
    loop {
        let create = commit(&node, &identity, Seen::NothingLive, change.clone(), terms);
        if let Some(written) = create.await? {
            caller.proved(&node);
            node.metrics.encrypted();
            created(&identity);
            return Ok(shown(
                terms,
                StatusCode::CREATED,
                &identity,
                category.as_ref(),
                &value,
                written,
            ));
        }
        refuse_taken(&node, &identity).await?;
    }
}

async fn refuse_taken(node: &NodeState, identity: &Identity) -> Result<(), ApiError> {
    match node.store.find(identity).await? {
        Some(row) if !row.is_tombstone() => Err(ApiError::AlreadyExists {
            key: identity.key.as_str().to_owned(),
            environment: identity.environment.name().map(str::to_owned),
        }),
        _ => Ok(()),
    }
}

/// Read a configuration
#[utoipa::path(
    get, path = "/configs/{key}", operation_id = "read_configuration_configs__key__get", tag = "configurations",
    params(EntryPath, EntryQuery, KeyHeaders, PreconditionHeaders, VersionHeaders),
    responses((status = 200, body = ConfigResponse, description = "Found",
               headers(("ETag" = String), ("X-OSC-Version" = String))),
              (status = 304, description = "The caller has this version (If-None-Match)"), ExistingEntry),
)]
pub(in crate::api) async fn read(
    State(node): State<Node>,
    _: Client,
    caller: CallerKey,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let identity = identity_of(&request, "/configs/", &query)?;
    let form = query.form()?;
    let lost = await_version(&node, &identity, request.headers()).await?;
    let row = find_live(&node, &identity).await?;
    let caller = caller.derive(&node).await?;
    let value = open(&node, &caller, &row)?;
    let preconditions = Preconditions::of(request.headers());
    preconditions
        .check_match(Some(row.version))
        .map_err(ApiError::PreconditionFailed)?;
    tracing::debug!(
        key = identity.key.as_str(),
        environment = identity.environment.as_str(),
        "config_read"
    );
    if preconditions.has(row.version) {
        return Ok((StatusCode::NOT_MODIFIED, version_headers(row.version)).into_response());
    }
    let mut body = String::new();
    Shown::from(&*row).write(form, &value, &mut body);
    let mut response = json_answer(StatusCode::OK, row.version, body);
    response.headers_mut().extend(lost);
    Ok(response)
}

/// Update a configuration
///
/// The user key must open the current value. A category that is absent or null keeps the stored one.
#[utoipa::path(
    put, path = "/configs/{key}", operation_id = "update_configuration_configs__key__put", tag = "configurations",
    params(EntryPath, UpdateQuery, KeyHeaders, PreconditionHeaders, WriteHeaders), request_body = ConfigUpdate,
    responses((status = 200, body = ConfigResponse, description = "Updated",
               headers(("ETag" = String), ("X-OSC-Version" = String))),
              (status = 201, body = ConfigResponse, description = "Created (upsert, or If-None-Match: *)"), ExistingEntry),
)]
pub(in crate::api) async fn update(
    State(node): State<Node>,
    _: Client,
    caller: CallerKey,
    terms: WriteTerms,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let named = identity_of(&request, "/configs/", &query);
    let preconditions = Preconditions::of(request.headers());
    let upsert = query.is_on("upsert")? || preconditions.create_only();
    let mut fields = <Fields as FromRequest<Node>>::from_request(request, &node).await?;
    let (value, category) = (fields.value(), fields.category());
    let environment = fields.environment();
    let value = fields.finish(value)?;
    let mut identity = named?;
    // Some clients name it in the body.
    if let Some(environment) = environment
        && identity.environment.name().is_none()
    {
        identity.environment = environment;
    }
    let wanted = Update {
        identity: &identity,
        value: &value,
        category: category.as_ref(),
        upsert,
        preconditions: &preconditions,
        terms,
    };

    let mut stored = wanted.find(&node).await?;
    let caller = caller.derive(&node).await?;
    loop {
        if let Some(response) = wanted.commit(&node, &caller, stored.as_deref()).await? {
            return Ok(response);
        }
        stored = wanted.find(&node).await?;
    }
}

/// What a PUT asks for.
struct Update<'a> {
    identity: &'a Identity,
    value: &'a Json,
    category: Option<&'a Category>,
    upsert: bool,
    preconditions: &'a Preconditions,
    terms: WriteTerms,
}

impl Update<'_> {
    /// What is stored there, tombstones included; refused where nothing is and nothing may be created.
    async fn find(&self, node: &NodeState) -> Result<Option<Arc<Row>>, ApiError> {
        let stored = node.store.find(self.identity).await?;
        let live = stored.as_deref().filter(|row| !row.is_tombstone());
        if live.is_none() && !self.upsert {
            return Err(not_found(self.identity));
        }
        if self.preconditions.create_only() {
            self.check(live)?;
        }
        Ok(stored)
    }

    fn check(&self, live: Option<&Row>) -> Result<(), ApiError> {
        self.preconditions
            .check(live.map(|row| row.version))
            .map_err(ApiError::PreconditionFailed)
    }

    /// Commits over what was found; `None` when it changed meanwhile and must be looked at again.
    async fn commit(
        &self,
        node: &NodeState,
        caller: &Caller,
        stored: Option<&Row>,
    ) -> Result<Option<Response>, ApiError> {
        let live = stored.filter(|row| !row.is_tombstone());
        if let Some(row) = live {
            open(node, caller, row)?;
        }
        self.check(live)?;
        let kept = live.and_then(|row| row.category.as_ref());
        let category = self.category.or(kept).cloned();
        let change = Change::Put {
            category: category.clone(),
            token: seal(node, &caller.derivation.key, self.value)?,
        };
        let seen = Seen::of(stored);
        let Some(written) = commit(node, self.identity, seen, change, self.terms).await? else {
            return Ok(None);
        };
        caller.proved(node);
        node.metrics.encrypted();
        let status = if live.is_some() {
            updated(self.identity);
            StatusCode::OK
        } else {
            created(self.identity);
            StatusCode::CREATED
        };
        Ok(Some(shown(
            self.terms,
            status,
            self.identity,
            category.as_ref(),
            self.value,
            written,
        )))
    }
}

/// Delete a configuration
///
/// The user key must open the current value.
#[utoipa::path(
    delete, path = "/configs/{key}", operation_id = "delete_configuration_configs__key__delete", tag = "configurations",
    params(EntryPath, EnvironmentQuery, KeyHeaders, PreconditionHeaders, WriteHeaders),
    responses((status = 200, body = Message, description = "Deleted",
               example = json!({"message": "Configuration 'database_prod' deleted successfully"})), ExistingEntry),
)]
pub(in crate::api) async fn delete(
    State(node): State<Node>,
    _: Client,
    caller: CallerKey,
    terms: WriteTerms,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let identity = identity_of(&request, "/configs/", &query)?;
    let preconditions = Preconditions::of(request.headers());
    let mut row = find_live(&node, &identity).await?;
    let caller = caller.derive(&node).await?;
    let written = loop {
        open(&node, &caller, &row)?;
        preconditions
            .check(Some(row.version))
            .map_err(ApiError::PreconditionFailed)?;
        let seen = Seen::of(Some(&row));
        if let Some(written) = commit(&node, &identity, seen, Change::Delete, terms).await? {
            break written;
        }
        row = find_live(&node, &identity).await?;
    };
    tracing::info!(
        key = identity.key.as_str(),
        environment = identity.environment.as_str(),
        "config_deleted"
    );
    let message = format!(
        "Configuration '{}' deleted successfully",
        identity.key.as_str()
    );
    let (status, acked) = terms.answer(written, StatusCode::OK);
    let [_, version] = version_headers(written.version);
    let body = axum::Json(serde_json::json!({ "message": message }));
    Ok(acked.tell((status, HeaderMap::from_iter([version]), body).into_response()))
}

/// Commits a change of the row that was seen; `None` when the row changed meanwhile and must be checked again.
pub(super) async fn commit(
    node: &NodeState,
    identity: &Identity,
    seen: Seen,
    change: Change,
    WriteTerms { level, named }: WriteTerms,
) -> Result<Option<Written>, ApiError> {
    let write = Write {
        identity: identity.clone(),
        seen,
        named,
        change,
    };
    match node.store.write(write, level).await {
        Ok(written) => Ok(Some(written)),
        Err(WriteError::Changed) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The live row of an identity.
pub(super) async fn find_live(node: &NodeState, identity: &Identity) -> Result<Arc<Row>, ApiError> {
    let row = node.store.find(identity).await?;
    row.filter(|row| !row.is_tombstone())
        .ok_or_else(|| not_found(identity))
}

fn created(identity: &Identity) {
    tracing::info!(
        key = identity.key.as_str(),
        environment = identity.environment.as_str(),
        "config_created"
    );
}

fn updated(identity: &Identity) {
    tracing::info!(
        key = identity.key.as_str(),
        environment = identity.environment.as_str(),
        "config_updated"
    );
}

fn shown(
    terms: WriteTerms,
    status: StatusCode,
    identity: &Identity,
    category: Option<&Category>,
    value: &Json,
    written: Written,
) -> Response {
    let Written {
        version,
        created_at,
        updated_at,
        ..
    } = written;
    let mut body = String::new();
    Shown {
        environment: identity.environment.as_str(),
        key: identity.key.as_str(),
        category: category.map(Category::as_str),
        created_at,
        updated_at,
    }
    .write(Form::Full, value, &mut body);
    let (status, acked) = terms.answer(written, status);
    acked.tell(json_answer(status, version, body))
}

fn json_answer(status: StatusCode, version: Version, body: String) -> Response {
    let mut headers = HeaderMap::from_iter(version_headers(version));
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    (status, headers, body).into_response()
}
