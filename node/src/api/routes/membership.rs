//! What the cluster admin orders of the nodes: bootstrap, leave, remove.

use axum::{
    Json,
    extract::{Path, Request, State},
};
use opensecureconf_contract::command::{
    AdminAnswer, BootstrapOrder, Bootstrapped, StateAnswer, Unfenced, UnfencedEntry,
};

use crate::{
    api::{
        Node, NodeState,
        answer::{error::ApiError, problem::Problem},
        extract::{auth::Owner, body, query::Query},
        openapi::{
            BootstrapBody, MembershipAnswer, OwnerHeaders, OwnerRefusals, Refusal, RemoveQuery,
            UnfenceAnswer, UnfenceQuery,
        },
    },
    cluster::{AdminOrder, AdminOutcome, MemberName, MemberState, Setup, State as RosterState},
    crypto::Salt,
    domain::{Clock, Incarnation, Timestamp},
    store::read_salt_file,
};

/// Bootstrap the cluster at this node
///
/// Once per cluster, by the cluster admin. The incarnation must be this node's own, so that another database does not take
/// the order. Repeating it is harmless. Refused by a node that belongs to a cluster or reaches one.
#[utoipa::path(
    post, path = "/cluster/bootstrap", operation_id = "bootstrap_cluster", tag = "cluster",
    params(OwnerHeaders), request_body = BootstrapBody,
    responses((status = 200, body = MembershipAnswer, description = "The cluster is bootstrapped"),
              (status = 409, body = Refusal, description = "This node must not bootstrap it"), OwnerRefusals),
)]
pub(in crate::api) async fn bootstrap(
    State(node): State<Node>,
    _: Owner,
    request: Request,
) -> Result<Json<AdminAnswer>, ApiError> {
    let body = body::read(request, &node).await?;
    let order: BootstrapOrder = serde_json::from_slice(body.as_bytes())
        .map_err(|_| ApiError::Invalid(vec![Problem::missing(&["body", "incarnation"])]))?;
    let incarnation = incarnation(&order.incarnation, &["body", "incarnation"])?;
    let order = AdminOrder::Bootstrap {
        incarnation,
        mounted: mounted_salt(&node),
    };
    carry_out(&node, order).await
}

/// Make this node leave the cluster
///
/// It refuses writes from now on, waits until every other member holds what it holds, and then has left. Ask again to
/// see how far it is.
#[utoipa::path(
    post, path = "/cluster/leave", operation_id = "leave_cluster", tag = "cluster",
    params(OwnerHeaders),
    responses((status = 200, body = MembershipAnswer, description = "How far it is"),
              (status = 409, body = Refusal, description = "It is the last member"), OwnerRefusals),
)]
pub(in crate::api) async fn leave(
    State(node): State<Node>,
    _: Owner,
) -> Result<Json<AdminAnswer>, ApiError> {
    carry_out(&node, AdminOrder::Leave).await
}

/// Remove a member
///
/// One that has left; with `force=true` one that is dead, whose disk is lost.
#[utoipa::path(
    post, path = "/cluster/members/{name}/remove", operation_id = "remove_member", tag = "cluster",
    params(("name" = String, Path, description = "The member's name"), RemoveQuery, OwnerHeaders),
    responses((status = 200, body = MembershipAnswer, description = "It is removed"),
              (status = 409, body = Refusal, description = "It has not left, or another incarnation is the current one"),
              OwnerRefusals),
)]
pub(in crate::api) async fn remove(
    State(node): State<Node>,
    _: Owner,
    Path(name): Path<String>,
    query: Query,
) -> Result<Json<AdminAnswer>, ApiError> {
    let at = ["query", "incarnation"];
    let text = query
        .get("incarnation")
        .ok_or_else(|| ApiError::Invalid(vec![Problem::missing(&at)]))?;
    let name = query.get("name").unwrap_or(&name);
    let order = AdminOrder::Remove {
        name: MemberName::new(name),
        incarnation: incarnation(text, &at)?,
        force: query.is_on("force")?,
    };
    carry_out(&node, order).await
}

/// Names of entries that an answer lists at most.
const LISTED: usize = 1000;

/// Let this node go on with what it has
///
/// For a node that is fenced or suspended because it may have missed deletes, while no other node could give it a
/// snapshot. Deleted entries may come back: those that it still has. The answer counts and names the entries for which that
/// may be; with `dry_run=true` nothing is done, and it is refused as the order itself would be.
#[utoipa::path(
    post, path = "/cluster/unfence", operation_id = "unfence_node", tag = "cluster",
    params(UnfenceQuery, OwnerHeaders),
    responses((status = 200, body = UnfenceAnswer, description = "Which entries may have been deleted"),
              (status = 409, body = Refusal, description = "It is not fenced, or another node can give it a snapshot"),
              (status = 503, body = Refusal, description = "Nothing was done; try again, see `Retry-After`"),
              OwnerRefusals),
)]
pub(in crate::api) async fn unfence(
    State(node): State<Node>,
    _: Owner,
    query: Query,
) -> Result<Json<Unfenced>, ApiError> {
    let dry_run = query.is_on("dry_run")?;
    let replica = &node.replicating()?.replica;
    drop(carry_out(&node, AdminOrder::Unfence { dry_run }).await?);
    let state = if dry_run {
        replica.view().state
    } else {
        MemberState::Member
    };
    // A delete is purged after the grace period, so what is younger was not deleted and purged.
    let grace = i64::try_from(Setup::GRACE.as_micros()).unwrap_or(i64::MAX);
    let now = (node.clock)().as_micros();
    let before = Clock::at(Timestamp::from_micros(now.saturating_sub(grace)));
    let (count, entries) = replica.written_before(before, LISTED).await?;
    let entries = entries.iter().map(|identity| UnfencedEntry {
        environment: identity.environment.name().map(str::to_owned),
        key: identity.key.as_str().to_owned(),
    });
    Ok(Json(Unfenced {
        state,
        count,
        entries: entries.collect(),
    }))
}

fn incarnation(text: &str, at: &[&str]) -> Result<Incarnation, ApiError> {
    text.parse().map_err(|_| {
        ApiError::Invalid(vec![Problem::no_choice(
            at,
            "an incarnation: 16 hexadecimal digits, as /cluster/status?details=true shows it",
        )])
    })
}

/// The salt that was mounted after a node started without one.
fn mounted_salt(node: &NodeState) -> Option<Salt> {
    let path = node.mounted_salt.as_deref()?;
    match read_salt_file(path) {
        Ok(salt) => salt,
        Err(error) => {
            tracing::warn!(error = %error, "mounted_salt_not_read");
            None
        }
    }
}

async fn carry_out(node: &NodeState, order: AdminOrder) -> Result<Json<AdminAnswer>, ApiError> {
    let replica = &node.replicating()?.replica;
    let answer = replica.order(order).await?.map_err(ApiError::Refused)?;
    let state = match answer {
        AdminOutcome::Bootstrapped(cluster_uid) => {
            return Ok(Json(AdminAnswer::Bootstrapped(Bootstrapped {
                cluster_uid: cluster_uid.to_string(),
            })));
        }
        AdminOutcome::Leaving(state) => state.map_or(MemberState::Left, RosterState::shown),
        AdminOutcome::Removed => MemberState::Removed,
        AdminOutcome::Unfenced => MemberState::Member,
    };
    Ok(Json(AdminAnswer::State(StateAnswer { state })))
}
