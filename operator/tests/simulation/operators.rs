//! Operators: their processes, which end at any moment, and of which there may be two that both take themselves for the leader.

use std::sync::Arc;

use opensecureconf_operator::{
    cluster::{context::Context, controller, validate::Installation},
    metrics::Metrics,
};
use tokio::task::JoinHandle;

use crate::{
    kubernetes::{names::NAMESPACE, server},
    nodes::Nodes,
    stage::{OperatorId, Shared},
};

/// The operators of a world.
#[derive(Default)]
pub(crate) struct Operators {
    running: Vec<(OperatorId, JoinHandle<()>)>,
    next: OperatorId,
}

impl Operators {
    /// Starts another one.
    pub(crate) fn start(&mut self, stage: &Shared) {
        let operator = self.next;
        self.next += 1;
        let (installation, image) = {
            let mut stage = stage.lock();
            stage.tell(|| format!("operator {operator} starts"));
            let installation = Installation {
                rules: stage.rules,
                ..Installation::default()
            };
            (installation, stage.node_image.clone())
        };
        let client = server::client(stage, operator);
        let context = Context::new(client, Metrics::new().unwrap(), image)
            .at(installation)
            .answered_by(Arc::new(Nodes(stage.clone())));
        let run = async move { controller::run(context, &[NAMESPACE.to_owned()]).await };
        self.running.push((operator, tokio::spawn(run)));
    }

    /// Ends one of them wherever it is.
    pub(crate) fn end(&mut self, which: OperatorId, stage: &Shared) {
        self.running.retain(|(operator, process)| {
            if *operator == which {
                stage.lock().tell(|| format!("operator {operator} ends"));
                process.abort();
            }
            *operator != which
        });
    }

    /// Ends the oldest one.
    pub(crate) fn end_one(&mut self, stage: &Shared) {
        if let Some((operator, _)) = self.running.first() {
            self.end(*operator, stage);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }
}
