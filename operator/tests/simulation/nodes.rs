//! The engines of the world, which answer the operator in the place of nodes.

use std::time::Duration;

use futures::future::BoxFuture;
use opensecureconf_contract::{
    Salt,
    command::AdminCommand,
    status::{NodeDetails, NodeMember},
};
use opensecureconf_node::cluster::{AdminOrder, MemberName, State};
use opensecureconf_operator::node::{Caller, CommandError, SimulatedNodes};
use tokio::time::sleep;

use crate::{
    faults::Outcome,
    kubernetes::{names::ordinal, server},
    node_files::InForce,
    stage::{OperatorId, Shared, Stage},
    world::NodeId,
};

/// How long the operator waits for a node.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is looked whether an order was carried out.
const LOOK: Duration = Duration::from_millis(50);

/// The nodes, as operators reach them.
pub(crate) struct Nodes {
    pub(crate) stage: Shared,
    /// The operator that asks.
    pub(crate) operator: OperatorId,
}

impl std::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nodes")
    }
}

impl Nodes {
    /// Asks a node without changing anything; the answer may be lost, or late.
    async fn ask<T>(&self, address: &str, what: impl Fn(&Stage, NodeId) -> Option<T>) -> Option<T> {
        let operator = self.operator;
        if server::goes_on(&self.stage, operator).await {
            return None;
        }
        let fate = self.stage.lock().fate_at_a_node(false);
        sleep(fate.before).await;
        let answer = {
            let stage = self.stage.lock();
            let node = reached(&stage, address)?;
            what(&stage, node)
        };
        sleep(fate.after).await;
        server::goes_on(&self.stage, operator).await;
        answer.filter(|_| matches!(fate.outcome, Outcome::Answered))
    }
}

/// The node at an address such as `demo-0.demo-nodes.team.svc:9001`, where its process runs.
fn reached(stage: &Stage, address: &str) -> Option<NodeId> {
    let number = ordinal(address.split('.').next()?)?;
    let node = stage.world.nodes.get(number)?;
    node.engine.is_some().then_some(number)
}

impl SimulatedNodes for Nodes {
    fn connects(&self, address: &str, caller: &Caller) -> bool {
        let stage = self.stage.lock();
        // A node that is down is not reached in any case.
        reached(&stage, address).is_none_or(|node| stage.reaches(node, caller))
    }

    fn status<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Option<NodeDetails>> {
        Box::pin(self.ask(address, details))
    }

    fn salt<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Option<Salt>> {
        Box::pin(self.ask(address, |stage, node| {
            let durable = stage.world.nodes[node].disk.durable();
            durable.salt.clone()
        }))
    }

    fn command<'a>(
        &'a self,
        address: &'a str,
        command: &'a AdminCommand<'a>,
    ) -> BoxFuture<'a, Result<(), CommandError>> {
        Box::pin(async move {
            let refused = |text: &str| CommandError::Refused {
                address: address.to_owned(),
                text: text.to_owned(),
            };
            if server::goes_on(&self.stage, self.operator).await {
                return Err(refused("nothing was sent"));
            }
            self.stage
                .lock()
                .check_that_leads(self.operator, "an order");
            let fate = self.stage.lock().fate_at_a_node(true);
            sleep(fate.before).await;
            if matches!(fate.outcome, Outcome::Refused(_) | Outcome::Unreachable) {
                return Err(refused("it is not reached"));
            }
            let order = {
                let mut stage = self.stage.lock();
                let node = reached(&stage, address).ok_or_else(|| refused("it is down"))?;
                let order =
                    order(&mut stage, command).ok_or_else(|| refused("it makes no sense"))?;
                stage.world.order(node, order)
            };
            let mut waited = Duration::ZERO;
            let result = loop {
                sleep(LOOK).await;
                waited += LOOK;
                let answer = self.stage.lock().world.orders[order].clone();
                match answer {
                    Some(answer) => break answer,
                    None if waited >= TIMEOUT => return Err(refused("it does not answer")),
                    None => {}
                }
            };
            server::goes_on(&self.stage, self.operator).await;
            if !matches!(fate.outcome, Outcome::Answered) {
                return Err(refused("its answer is lost"));
            }
            result
                .map(drop)
                .map_err(|refusal| refused(&refusal.to_string()))
        })
    }
}

fn order(stage: &mut Stage, command: &AdminCommand<'_>) -> Option<AdminOrder> {
    Some(match command {
        AdminCommand::Bootstrap { incarnation } => AdminOrder::Bootstrap {
            incarnation: incarnation.parse().ok()?,
            mounted: stage.world.mounted.clone(),
        },
        AdminCommand::Leave => AdminOrder::Leave,
        AdminCommand::Unfence { dry_run } => AdminOrder::Unfence { dry_run: *dry_run },
        AdminCommand::Remove {
            name,
            incarnation,
            force,
        } => {
            let incarnation = incarnation.parse().ok()?;
            let has_left = stage.world.nodes.iter().any(|node| {
                let states = node.disk.durable().roster.states(stage.world.rules);
                states.get(&incarnation) == Some(&State::Left)
            });
            if has_left {
                // Other members stand by its acknowledgements.
                stage
                    .world
                    .history
                    .void(incarnation, "removed by its owner");
            }
            AdminOrder::Remove {
                name: MemberName::new(*name),
                incarnation,
                force: *force,
            }
        }
    })
}

/// The details that a node reports.
fn details(stage: &Stage, node: NodeId) -> Option<NodeDetails> {
    let view = stage.world.view(node)?;
    let durable = stage.world.nodes[node].disk.durable();
    let salt = durable.salt.as_ref().or(stage.world.mounted.as_ref());
    let files = stage.in_force(node);
    let live = durable.rows.values().filter(|row| !row.row.is_tombstone());
    Some(NodeDetails {
        version: "simulated".to_owned(),
        incarnation: view.incarnation.to_string(),
        state: view.state,
        cluster_uid: view.cluster_uid.map(|cluster_uid| cluster_uid.to_string()),
        ready: view.not_ready.is_none(),
        reasons: view.not_ready.into_iter().collect(),
        fenced: view.fenced,
        salt_fingerprint: salt.map(|salt| salt.fingerprint().to_string()),
        entries: u64::try_from(live.count()).unwrap(),
        writes: Some("accepted".to_owned()),
        members: view
            .members
            .iter()
            .map(|member| NodeMember {
                name: member.name.clone(),
                incarnation: member.incarnation.to_string(),
                state: member.state,
                reachable: member.reachable,
                lag: member.lag,
                behind: member.behind,
                ..NodeMember::default()
            })
            .collect(),
        schema: Some(1),
        api_keys: files.map(InForce::proofs),
        tls: files.map(InForce::tls),
        ..NodeDetails::default()
    })
}
