//! Orders of people to a running node: one function for each administrative route that has no file of its own.

use std::time::Duration;

use anyhow::{Context, bail};
use opensecureconf_contract::{
    MemberState,
    command::{AdminCommand, LevelBody, StateAnswer, named},
    route,
    status::NodeMember,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use zeroize::Zeroizing;

use super::{RunningNode, Status};
use crate::{config::Config, crypto::Salt, log::LogLevel};

const TIMEOUT: Duration = Duration::from_secs(10);

/// A node of the cluster, as the asked node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its name.
    pub(crate) name: String,
    /// Its database.
    pub(crate) incarnation: String,
    /// Its state in the cluster.
    pub(crate) state: MemberState,
    /// Whether it is the node that was asked.
    pub(crate) is_asked: bool,
    /// Whether it answers.
    pub(crate) reachable: bool,
    /// Whether it serves entries.
    pub(crate) ready: bool,
    /// Changes of the asked node that this member does not hold yet.
    pub(crate) lag: u64,
    /// Changes of this member that the asked node does not hold yet.
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

/// The nodes of the cluster, that with this configuration first.
///
/// # Errors
/// Where the node stands alone, or does not answer.
pub(crate) async fn members(config: &Config) -> anyhow::Result<Vec<Member>> {
    let status = RunningNode::of(config)?.status().await?;
    let Status { node_id, details } = status;
    if details.state == MemberState::Standalone {
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
        let NodeMember {
            name,
            incarnation,
            state,
            reachable,
            ready,
            lag,
            behind,
            version,
            ..
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

/// Removes a member of the roster by its name. `incarnation` selects one of several with the same name.
///
/// # Errors
/// Where there is no such member, there are several, or the node refuses: the member has not left, and is not removed by force.
pub(crate) async fn remove_member(
    config: &Config,
    name: &str,
    incarnation: Option<&str>,
    force: bool,
) -> anyhow::Result<Removed> {
    let node = RunningNode::of(config)?;
    let members = node.status().await?.details.members;
    let is_meant = |member: &NodeMember| {
        member.name == name
            && member.state != MemberState::Blank
            && incarnation.is_none_or(|incarnation| member.incarnation == incarnation)
    };
    let meant: Vec<_> = members.iter().filter(|member| is_meant(member)).collect();
    let (incarnation, answers) = match meant.as_slice() {
        [] => bail!("the cluster has no other member '{name}'; 'osc-node members' lists them"),
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
    let command = AdminCommand::Remove {
        name,
        incarnation: &incarnation,
        force,
    };
    let _: StateAnswer = node.command(&command, TIMEOUT).await?;
    Ok(Removed {
        incarnation,
        answers,
    })
}

/// Makes the node leave its cluster; gives how far it has come.
///
/// # Errors
/// Where the node does not answer, belongs to no cluster yet, or refuses: it is the last member.
pub(crate) async fn leave(config: &Config) -> anyhow::Result<MemberState> {
    let node = RunningNode::of(config)?;
    if node.status().await?.details.state == MemberState::Blank {
        bail!("the node belongs to no cluster yet, so there is none to leave");
    }
    let StateAnswer { state } = node.command(&AdminCommand::Leave, TIMEOUT).await?;
    Ok(state)
}

/// The node's salt.
///
/// # Errors
/// Where the node does not answer, or has none yet.
pub(crate) async fn export_salt(config: &Config) -> anyhow::Result<Salt> {
    let node = RunningNode::of(config)?;
    let answer = node.ask(Method::GET, route::SALT, "", TIMEOUT).await?;
    let bytes = Zeroizing::new(answer.to_vec());
    Salt::from_bytes(&bytes).context("what the node answered is no salt")
}

/// Makes sure that the node has this salt.
///
/// # Errors
/// Where the node has another salt or none, or does not answer.
pub(crate) async fn compare_salt(config: &Config, salt: &Salt) -> anyhow::Result<()> {
    let node = RunningNode::of(config)?;
    let body = salt.bytes().to_vec();
    node.ask(Method::POST, route::SALT, body, TIMEOUT).await?;
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
    let configs = route::ADMIN_CONFIGS;
    let path = format!("{configs}{segment}?environment={environment}{query}");
    let node = RunningNode::of(config)?;
    node.ask(Method::DELETE, &path, "", TIMEOUT).await?;
    Ok(())
}

/// The level at which the node logs.
///
/// # Errors
/// Where the node does not answer.
pub(crate) async fn log_level(config: &Config) -> anyhow::Result<String> {
    let node = RunningNode::of(config)?;
    let answer = node.ask(Method::GET, route::LOG_LEVEL, "", TIMEOUT);
    let LevelBody { level } = serde_json::from_slice(&answer.await?)?;
    Ok(level)
}

/// Changes that level until the node restarts.
///
/// # Errors
/// Where the node does not answer.
pub(crate) async fn set_log_level(config: &Config, level: LogLevel) -> anyhow::Result<()> {
    let node = RunningNode::of(config)?;
    let order = serde_json::to_vec(&LevelBody {
        level: level.name().to_owned(),
    })?;
    node.ask(Method::PUT, route::LOG_LEVEL, order, TIMEOUT)
        .await?;
    Ok(())
}
