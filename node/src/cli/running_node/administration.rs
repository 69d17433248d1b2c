//! What people ask of a running node: one function for each administrative route that has no file of its own.

use std::time::Duration;

use anyhow::{Context, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{OtherMember, RunningNode, Status};
use crate::{config::Config, crypto::Salt, log::LogLevel};

const PATIENCE: Duration = Duration::from_secs(10);
/// What a node without a cluster is.
const STANDALONE: &str = "standalone";

/// A node of the cluster, as the asked node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its name.
    pub(crate) name: String,
    /// Its database.
    pub(crate) incarnation: String,
    /// What it is to the cluster.
    pub(crate) state: String,
    /// Whether it is the node that was asked.
    pub(crate) is_asked: bool,
    /// Whether it answers.
    pub(crate) reachable: bool,
    /// Whether it serves entries.
    pub(crate) ready: bool,
    /// Changes of the asked node that it does not hold yet.
    pub(crate) lag: u64,
    /// Changes of it that the asked node does not hold yet.
    pub(crate) behind: u64,
    /// Its release.
    pub(crate) version: String,
}

/// A member that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Removed {
    /// Its database.
    pub(crate) incarnation: String,
    /// Whether its node still answers, so that it will join anew.
    pub(crate) answers: bool,
}

#[derive(Debug, Deserialize)]
struct State {
    state: String,
}

#[derive(Debug, Deserialize)]
struct Level {
    level: String,
}

/// The nodes of the cluster, that with this configuration first.
///
/// # Errors
/// Where the node stands alone, or does not answer.
pub(crate) async fn members(config: &Config) -> anyhow::Result<Vec<Member>> {
    let status = RunningNode::of(config)?.status().await?;
    let Status { node_id, details } = status;
    if details.state == STANDALONE {
        bail!("the node belongs to no cluster (OSC_CLUSTER_ENABLED)");
    }
    let asked = Member {
        name: node_id.unwrap_or_default(),
        incarnation: details.incarnation,
        state: details.state,
        is_asked: true,
        reachable: true,
        ready: details.ready,
        lag: 0,
        behind: 0,
        version: details.version,
    };
    let others = details.members.into_iter().map(|member| {
        let OtherMember {
            name,
            incarnation,
            state,
            reachable,
            ready,
            lag,
            behind,
            version,
        } = member;
        Member {
            name,
            incarnation,
            state,
            is_asked: false,
            reachable,
            ready,
            lag,
            behind,
            version,
        }
    });
    Ok(std::iter::once(asked).chain(others).collect())
}

/// Removes a member of the roster by its name. `incarnation` tells apart those of one name.
///
/// # Errors
/// Where there is no such member, there are several, or the node refuses: it has not left, and is not removed by force.
pub(crate) async fn remove_member(
    config: &Config,
    name: &str,
    incarnation: Option<&str>,
    force: bool,
) -> anyhow::Result<Removed> {
    let node = RunningNode::of(config)?;
    let members = node.status().await?.details.members;
    let is_meant = |member: &OtherMember| {
        member.name == name
            && member.state != "blank"
            && incarnation.is_none_or(|incarnation| member.incarnation == incarnation)
    };
    let meant: Vec<_> = members.iter().filter(|member| is_meant(member)).collect();
    let (incarnation, answers) = match meant.as_slice() {
        [] => bail!("the cluster has no other member '{name}'; osc-node members lists them"),
        [member] => (member.incarnation.clone(), member.reachable),
        several => {
            let incarnations: Vec<_> = several
                .iter()
                .map(|member| member.incarnation.as_str())
                .collect();
            bail!(
                "several members are called '{name}': name one with --incarnation ({})",
                incarnations.join(", ")
            )
        }
    };
    let (segment, query) = named(name, "name");
    let path =
        format!("/cluster/members/{segment}/remove?incarnation={incarnation}&force={force}{query}");
    node.ask(Method::POST, &path, "", PATIENCE).await?;
    Ok(Removed {
        incarnation,
        answers,
    })
}

/// Makes the node leave its cluster; gives how far it is.
///
/// # Errors
/// Where the node does not answer, belongs to no cluster yet, or refuses: it is the last member.
pub(crate) async fn leave(config: &Config) -> anyhow::Result<String> {
    let node = RunningNode::of(config)?;
    if node.status().await?.details.state == "blank" {
        bail!("the node belongs to no cluster yet, so there is none to leave");
    }
    let answer = node
        .ask(Method::POST, "/cluster/leave", "", PATIENCE)
        .await?;
    let State { state } = serde_json::from_slice(&answer)?;
    Ok(state)
}

/// The node's salt.
///
/// # Errors
/// Where the node does not answer, or has none yet.
pub(crate) async fn export_salt(config: &Config) -> anyhow::Result<Salt> {
    let node = RunningNode::of(config)?;
    let answer = node.ask(Method::GET, "/cluster/salt", "", PATIENCE).await?;
    let bytes = Zeroizing::new(answer.to_vec());
    Salt::from_bytes(&bytes).context("what the node answered is no salt")
}

/// Makes sure that the node has this salt.
///
/// # Errors
/// Where it has another one or none, or does not answer.
pub(crate) async fn compare_salt(config: &Config, salt: &Salt) -> anyhow::Result<()> {
    let node = RunningNode::of(config)?;
    let body = salt.bytes().to_vec();
    node.ask(Method::POST, "/cluster/salt", body, PATIENCE)
        .await?;
    Ok(())
}

/// Removes an entry unread.
///
/// # Errors
/// Where there is no such entry, or the node does not answer, or refuses.
pub(crate) async fn force_delete(
    config: &Config,
    key: &str,
    environment: Option<&str>,
) -> anyhow::Result<()> {
    let environment = utf8_percent_encode(environment.unwrap_or_default(), NON_ALPHANUMERIC);
    let (segment, query) = named(key, "key");
    let path = format!("/admin/configs/{segment}?environment={environment}{query}");
    let node = RunningNode::of(config)?;
    node.ask(Method::DELETE, &path, "", PATIENCE).await?;
    Ok(())
}

/// The level at which the node logs.
///
/// # Errors
/// Where the node does not answer.
pub(crate) async fn log_level(config: &Config) -> anyhow::Result<String> {
    let node = RunningNode::of(config)?;
    let answer = node
        .ask(Method::GET, "/admin/log-level", "", PATIENCE)
        .await?;
    let Level { level } = serde_json::from_slice(&answer)?;
    Ok(level)
}

/// Changes that level until the node restarts.
///
/// # Errors
/// Where the node does not answer.
pub(crate) async fn set_log_level(config: &Config, level: LogLevel) -> anyhow::Result<()> {
    let node = RunningNode::of(config)?;
    let order = serde_json::json!({ "level": level.name() }).to_string();
    node.ask(Method::PUT, "/admin/log-level", order, PATIENCE)
        .await?;
    Ok(())
}

/// A name as a segment of a path, and what the query adds: every URL library takes two names for steps in a tree of folders, in
/// whatever spelling, so that the query has them.
fn named(name: &str, parameter: &str) -> (String, String) {
    let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
    match name {
        "." | ".." => ("-".to_owned(), format!("&{parameter}={encoded}")),
        _ => (encoded, String::new()),
    }
}
