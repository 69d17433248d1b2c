//! Single entries: create, read, update, delete. The user key must open what it touches.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

use crate::{
    api::{
        Node, NodeState,
        answer::{
            entry::{AnsweredValue, LargeRoom, Needs},
            entry_json::{Form, Format, Shown},
            error::ApiError,
            untaken::Taker,
        },
        entry_events::{created, deleted, updated},
        extract::{
            auth::{Caller, CallerKey, Client},
            body::Fields,
            conditional::{Preconditions, version_headers},
            create_terms::CreateTerms,
            entry_path::{environment_of, identity_of},
            min_version::await_version,
            query::Query,
            write_terms::RequestedTerms,
        },
        openapi::{
            ConfigCreate, ConfigResponse, ConfigUpdate, CreateHeaders, DeleteQuery, EntryPath,
            EntryQuery, EnvironmentQuery, ExistingEntry, KeyHeaders, Message, NewEntry,
            PreconditionHeaders, UpdateQuery, VersionHeaders, WriteHeaders,
        },
        sealing::{Asked, mark, open, seal, seal_unbound},
        value_text::ValueText,
    },
    cluster::{Change, Expected, NewValue, Written},
    domain::{Category, Identity, Row},
    entries::{Found, Partial, Purpose, RetryBudget, Session, WriteTerms},
    log::logged_name,
};

/// Create a configuration
///
/// The value is encrypted under the user key before it is stored.
#[utoipa::path(
    post, path = "/configs", operation_id = "create_configuration_configs_post", tag = "configurations",
    params(EnvironmentQuery, KeyHeaders, WriteHeaders, CreateHeaders), request_body = ConfigCreate,
    responses((status = 201, body = ConfigResponse, description = "Created",
               headers(("ETag" = String), ("X-OSC-Version" = String))), NewEntry),
)]
pub(in crate::api) async fn create(
    State(node): State<Node>,
    Client(principal): Client,
    caller: CallerKey,
    CreateTerms { terms, request }: CreateTerms,
    taker: Taker,
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
    let mut session = node.entries.of(principal);

    // Before the cache: what a taken name answers, and when, must say nothing of the key. Of one that is at work on this
    // connection there is nothing to say, and the writer looks. It also knows whether this request made the entry before.
    let mut seen = Expected::NothingLive;
    if !caller.is_at_work() && request.is_none() {
        seen = session.free_name(&identity).await?;
    }
    let mut room = match Needs::of(None, Some(&value)) {
        None => LargeRoom::default(),
        Some(needs) => {
            let room = LargeRoom::wait(&node, &taker, needs);
            session.beside(room).await?
        }
    };
    let caller = session.beside(caller.derive(&node)).await?;
    let key = &caller.derivation.key;
    let sealing = seal(&node, key, &identity, &value);
    let (token, bound) = session.beside(sealing).await?;
    let mark = match request {
        Some(request) => {
            let asked = Asked {
                request,
                category: category.clone(),
            };
            let marking = mark(&node, key, &identity, &value, asked);
            Some(session.beside(marking).await?)
        }
        None => None,
    };
    let mut session = session.known_by(mark.as_deref());
    let change = Change::Put {
        category: category.clone(),
        token,
        seal: Some(bound),
    };
    // Before the commit: what was written must not be refused any more.
    let preparing = AnsweredValue::prepare(&node, &taker, &value, Format::Json, &mut room);
    let answered = session.beside(preparing).await?;
    caller.creates(&node);
    let mut attempts = RetryBudget::default();
    loop {
        let create = session.commit(&identity, seen, change.clone(), terms);
        let create = create
            .await
            .map_err(|error| caller.not_created(error.into()));
        if let Some(written) = create? {
            node.metrics.encrypted();
            created(principal, &identity);
            let (status, acked) = terms.answer(written, StatusCode::CREATED);
            let shown = shown(&identity, category.as_ref(), &written);
            let version = written.version;
            let answer = answered.answer(&node, &taker, status, version, Form::Full, shown);
            return Ok(acked.tell(answer));
        }
        attempts.again(&session)?;
        seen = session.free_name(&identity).await?;
    }
}

/// Read a configuration
#[utoipa::path(
    get, path = "/configs/{key}", operation_id = "read_configuration_configs__key__get", tag = "configurations",
    params(EntryPath, EntryQuery, KeyHeaders, PreconditionHeaders, VersionHeaders),
    responses((status = 200, description = "Found", content(
                (ConfigResponse = "application/json"), (String = "text/plain")),
               headers(("ETag" = String), ("X-OSC-Version" = String))),
              (status = 304, description = "The caller has this version (If-None-Match)"), ExistingEntry),
)]
pub(in crate::api) async fn read(
    State(node): State<Node>,
    Client(principal): Client,
    caller: CallerKey,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let identity = identity_of(&request, "/configs/", &query)?;
    let (form, format) = (query.form()?, query.format()?);
    let mut session = node.entries.of(principal);
    let lost = await_version(&node, &session, &identity, request.headers()).await?;
    let partial = Partial::of(&query)?;
    let taker = Taker::of(&node, request.extensions(), request.headers());
    let reading = Purpose::Reading;
    let (row, mut room) =
        match find_within(&node, &mut session, &taker, &identity, partial, reading).await {
            Err(
                absent @ (ApiError::NotFound { .. }
                | ApiError::NotFoundHere { .. }
                | ApiError::Lost { .. }),
            ) => {
                let mut response = absent.into_response();
                response.headers_mut().extend(lost);
                return Ok(response);
            }
            found => found?,
        };
    let caller = caller.derive(&node).await?;
    let value = open(&node, &caller, &row).await?;
    let preconditions = Preconditions::of(request.headers());
    preconditions
        .check_match(Some(row.version))
        .map_err(ApiError::PreconditionFailed)?;
    tracing::debug!(
        key = %logged_name(identity.key.as_str()),
        environment = %logged_name(identity.environment.as_str()),
        %principal,
        "config_read"
    );
    if preconditions.has(row.version) {
        return Ok((StatusCode::NOT_MODIFIED, version_headers(row.version)).into_response());
    }
    let value = AnsweredValue::prepare(&node, &taker, &value, format, &mut room).await?;
    let mut response = match format {
        Format::Text => value.answer_text(&node, &taker, row.version),
        Format::Json => {
            let shown = Shown::from(&*row);
            value.answer(&node, &taker, StatusCode::OK, row.version, form, shown)
        }
    };
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
    Client(principal): Client,
    caller: CallerKey,
    RequestedTerms(terms): RequestedTerms,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let named = identity_of(&request, "/configs/", &query);
    let preconditions = Preconditions::of(request.headers());
    let upsert = query.is_on("upsert")? || preconditions.create_only();
    let partial = Partial::of(&query)?;
    let taker = Taker::of(&node, request.extensions(), request.headers());
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
    let mut wanted = Update {
        session: node.entries.of(principal),
        identity: &identity,
        value: &value,
        category: category.as_ref(),
        upsert,
        partial,
        preconditions: &preconditions,
        terms,
        taker: &taker,
    };

    let mut stored = wanted.find().await?;
    let mut room = LargeRoom::default();
    if let Some(needs) = Needs::of(stored.live().map(|row| &**row), Some(&value)) {
        if let Some(now) = LargeRoom::now(&node, &taker, needs) {
            room = now;
        } else {
            drop(stored);
            let waiting = LargeRoom::wait(&node, &taker, needs);
            room = wanted.session.beside(waiting).await?;
            stored = wanted.find().await?;
        }
    }
    let caller = wanted.session.beside(caller.derive(&node)).await?;
    let mut attempts = RetryBudget::default();
    loop {
        let commit = wanted.commit(&node, &caller, &stored, &mut room);
        if let Some(response) = commit.await? {
            return Ok(response);
        }
        attempts.again(&wanted.session)?;
        stored = wanted.find().await?;
    }
}

/// What a PUT asks for.
struct Update<'a> {
    session: Session<'a>,
    identity: &'a Identity,
    value: &'a ValueText,
    category: Option<&'a Category>,
    upsert: bool,
    partial: Partial,
    preconditions: &'a Preconditions,
    terms: WriteTerms,
    taker: &'a Taker,
}

impl Update<'_> {
    /// What is stored there, tombstones included; refused where nothing is and nothing may be created.
    async fn find(&self) -> Result<Found, ApiError> {
        if !self.upsert {
            let changing = Purpose::Changing;
            let row = self
                .session
                .find_live(self.identity, self.partial, changing)
                .await?;
            return Ok(Found::Row(Some(row)));
        }
        let stored = self.session.find(self.identity, self.partial).await?;
        if self.preconditions.create_only() {
            // Where that changes just now, the commit meets it.
            self.permit(&stored).await?;
        }
        Ok(stored)
    }

    /// Refuses a change whose conditions do not hold over what was found; `false` where that is not there any more.
    async fn permit(&self, stored: &Found) -> Result<bool, ApiError> {
        let live = stored.live().map(|row| row.version);
        let Err(refusal) = self.preconditions.check(live) else {
            return Ok(true);
        };
        if self
            .session
            .confirm(self.identity, stored.version())
            .await?
        {
            return Err(ApiError::PreconditionFailed(refusal));
        }
        Ok(false)
    }

    /// Commits over what was found; `None` when it changed meanwhile and must be looked at again.
    async fn commit(
        &mut self,
        node: &NodeState,
        caller: &Caller<'_>,
        stored: &Found,
        room: &mut LargeRoom,
    ) -> Result<Option<Response>, ApiError> {
        let live = stored.live();
        if let Some(row) = live {
            let opening = open(node, caller, row);
            self.session.beside(opening).await?;
        }
        if !self.permit(stored).await? {
            return Ok(None);
        }
        if live.is_none() {
            caller.creates(node);
        }
        let kept = live.and_then(|row| row.category.as_ref());
        let category = self.category.or(kept).cloned();
        let key = &caller.derivation.key;
        let (token, seal) = if self.session.keeps_seals(live.map(|row| &**row)) {
            let sealing = seal(node, key, self.identity, self.value);
            let (token, seal) = self.session.beside(sealing).await?;
            (token, Some(seal))
        } else {
            (seal_unbound(node, key, self.value).await?, None)
        };
        let put = Some(NewValue {
            category: category.clone(),
            token,
            seal,
        });
        // Before the commit: what was written must not be refused any more.
        let preparing = AnsweredValue::prepare(node, self.taker, self.value, Format::Json, room);
        let answered = self.session.beside(preparing).await?;
        let written = match stored {
            Found::Row(Some(row)) => self.session.commit_over(row, put, self.terms).await,
            Found::Row(None) => {
                self.session
                    .commit(self.identity, Expected::Nothing, put.into(), self.terms)
                    .await
            }
            Found::Lost(version) => {
                let seen = Expected::Lost(*version);
                self.session
                    .commit(self.identity, seen, put.into(), self.terms)
                    .await
            }
        };
        let Some(written) = written.map_err(|error| caller.not_created(error.into()))? else {
            return Ok(None);
        };
        node.metrics.encrypted();
        let status = if live.is_some() {
            updated(self.session.principal(), self.identity);
            StatusCode::OK
        } else {
            created(self.session.principal(), self.identity);
            StatusCode::CREATED
        };
        let (status, acked) = self.terms.answer(written, status);
        let shown = shown(self.identity, category.as_ref(), &written);
        let (taker, version) = (self.taker, written.version);
        let answer = answered.answer(node, taker, status, version, Form::Full, shown);
        Ok(Some(acked.tell(answer)))
    }
}

/// Delete a configuration
///
/// The user key must open the current value.
#[utoipa::path(
    delete, path = "/configs/{key}", operation_id = "delete_configuration_configs__key__delete", tag = "configurations",
    params(EntryPath, DeleteQuery, KeyHeaders, PreconditionHeaders, WriteHeaders),
    responses((status = 200, body = Message, description = "Deleted",
               example = json!({"message": "Configuration 'database_prod' deleted successfully"})), ExistingEntry),
)]
pub(in crate::api) async fn delete(
    State(node): State<Node>,
    Client(principal): Client,
    caller: CallerKey,
    RequestedTerms(terms): RequestedTerms,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let identity = identity_of(&request, "/configs/", &query)?;
    let preconditions = Preconditions::of(request.headers());
    let partial = Partial::of(&query)?;
    let taker = Taker::of(&node, request.extensions(), request.headers());
    let mut session = node.entries.of(principal);
    let changing = Purpose::Changing;
    let (mut row, _room) =
        find_within(&node, &mut session, &taker, &identity, partial, changing).await?;
    let caller = session.beside(caller.derive(&node)).await?;
    let mut attempts = RetryBudget::default();
    let written = loop {
        session.beside(open(&node, &caller, &row)).await?;
        let stands = preconditions.check(Some(row.version));
        match stands {
            Ok(()) => {
                if let Some(written) = session.commit_over(&row, None, terms).await? {
                    break written;
                }
            }
            Err(refusal) => {
                if session.confirm(&identity, Some(row.version)).await? {
                    return Err(ApiError::PreconditionFailed(refusal));
                }
            }
        }
        attempts.again(&session)?;
        row = session.find_live(&identity, partial, changing).await?;
    };
    deleted(principal, &identity);
    let message = format!(
        "Configuration '{}' deleted successfully",
        identity.key.as_str()
    );
    let (status, acked) = terms.answer(written, StatusCode::OK);
    let [_, version] = version_headers(written.version);
    let body = axum::Json(serde_json::json!({ "message": message }));
    Ok(acked.tell((status, HeaderMap::from_iter([version]), body).into_response()))
}

fn shown<'a>(
    identity: &'a Identity,
    category: Option<&'a Category>,
    written: &Written,
) -> Shown<'a> {
    Shown {
        environment: identity.environment.as_str(),
        key: identity.key.as_str(),
        category: category.map(Category::as_str),
        created_at: written.created_at,
        updated_at: written.updated_at,
    }
}

/// The row of an entry; kept only where there is room for its value.
async fn find_within(
    node: &NodeState,
    session: &mut Session<'_>,
    taker: &Taker,
    identity: &Identity,
    partial: Partial,
    purpose: Purpose,
) -> Result<(Arc<Row>, LargeRoom), ApiError> {
    let row = session.find_live(identity, partial, purpose).await?;
    let Some(needs) = Needs::of_reading(&row) else {
        return Ok((row, LargeRoom::default()));
    };
    if let Some(room) = LargeRoom::now(node, taker, needs) {
        return Ok((row, room));
    }
    // Who waits holds nothing.
    drop(row);
    let room = session.beside(LargeRoom::wait(node, taker, needs)).await?;
    let row = session.find_live(identity, partial, purpose).await?;
    Ok((row, room))
}
