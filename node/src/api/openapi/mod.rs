//! What the OpenAPI document says: shapes of bodies, parameters and refusals. Routes say the rest where they are.
//!
//! Operation ids and schema names of the original are kept: generated clients depend on them.

mod bodies;
mod complete;
mod later_fields;
mod parameters;
mod refusals;

use utoipa::OpenApi;

pub(super) use bodies::{
    BatchLine, BatchRow, BootstrapBody, ClusterStatusResponse, ConfigCreate, ConfigResponse,
    ConfigUpdate, ConflictResponse, HTTPValidationError, Health, LogLevelBody, MembershipAnswer,
    Message, Readiness, Refusal, SaltAnswer, ServiceDocument, UnfenceAnswer,
};
pub(super) use complete::complete;
pub(super) use parameters::{
    ApiKeyHeader, BatchQuery, ConflictQuery, CreateHeaders, DeleteQuery, EntryPath, EntryQuery,
    EnvironmentQuery, KeyHeaders, ListQuery, OptionalOwnerHeaders, OwnerHeaders,
    PreconditionHeaders, PurgeQuery, RemoveQuery, StatusQuery, UnfenceQuery, UpdateQuery,
    VersionHeaders, WriteHeaders,
};
pub(super) use refusals::{
    BatchRefusals, ClientRefusals, ExistingEntry, ListRefusals, NewEntry, OwnerRefusals,
};

/// The document without its paths, which the router adds.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "OpenSecureConf API",
        version = "2.1.0",
        description = "Encrypted configuration, each value under a key that only its caller holds. Keeps the contract of OpenSecureConf 2.1.",
        license(name = "MIT", identifier = "MIT"),
    ),
    components(schemas(bodies::ValidationError, HTTPValidationError, Refusal)),
    tags(
        (name = "configurations", description = "Entries. Header `X-User-Key` must open what it touches."),
        (name = "cluster", description = "Nodes. The salt needs `X-Cluster-Key`."),
        (name = "administration", description = "For the cluster admin. Needs `X-Cluster-Key`; without one configured these routes do not exist."),
        (name = "service", description = "The service itself.")
    )
)]
pub(super) struct Document;
