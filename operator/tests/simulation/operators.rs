//! Operators: their processes, which may end at any moment. There may be two that both assume that they lead.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use opensecureconf_operator::{
    cluster::{context::Context, controller, validate::Installation},
    leader::Leadership,
    metrics::Metrics,
};
use tokio::task::JoinHandle;

use crate::{
    kubernetes::{names::NAMESPACE, server},
    nodes::Nodes,
    stage::{OperatorId, Shared},
};

/// A process runs only while its machine does. Tasks that it has spawned wait where they send a request.
async fn on_a_machine(stage: Shared, operator: OperatorId, process: impl Future<Output = ()>) {
    let mut process = pin!(process);
    loop {
        server::goes_on(&stage, operator).await;
        let is_over = poll_fn(|context| {
            if stage.lock().frozen.contains_key(&operator) {
                return Poll::Ready(false);
            }
            process.as_mut().poll(context).map(|()| true)
        });
        if is_over.await {
            return;
        }
    }
}

/// How an operator calls itself in the Lease.
pub(crate) fn identity(operator: OperatorId) -> String {
    format!("operator-{operator}")
}

/// The operators of a world.
#[derive(Default)]
pub(crate) struct Operators {
    running: Vec<(OperatorId, JoinHandle<()>)>,
    next: OperatorId,
}

impl Operators {
    /// Starts another operator.
    pub(crate) fn start(&mut self, stage: &Shared) {
        let operator = self.next;
        self.next += 1;
        let (installation, image, is_elected) = {
            let mut stage = stage.lock();
            stage.tell(|| format!("operator {operator} starts"));
            let installation = Installation {
                rules: stage.rules,
                ..Installation::default()
            };
            (installation, stage.node_image.clone(), stage.are_elected)
        };
        let client = server::client(stage, operator);
        let metrics = Metrics::new().unwrap();
        let me = identity(operator);
        let lease = (NAMESPACE, "osc");
        let mut leadership = Leadership::candidate(client.clone(), lease, me, metrics.clone());
        let term = leadership.term();
        let client = if is_elected {
            term.client(&client)
        } else {
            client
        };
        let nodes = Nodes {
            stage: stage.clone(),
            operator,
        };
        let world = stage.clone();
        let context = Context::new(client, metrics, image)
            .at(installation)
            .by_the_clock(move || world.lock().store.time())
            .answered_by(Arc::new(nodes));
        let context = if is_elected {
            context.acting_in(term)
        } else {
            context
        };
        let (machine, stage) = (stage.clone(), stage.clone());
        let run = async move {
            let namespaces = [NAMESPACE.to_owned()];
            let work = controller::run(context, &namespaces);
            if is_elected {
                let ended = leadership.lead(work).await;
                let mut stage = stage.lock();
                stage.tell(|| format!("operator {operator} leads no longer: {ended:?}"));
                stage.doomed.push(operator);
            } else {
                work.await;
            }
        };
        let process = tokio::spawn(on_a_machine(machine, operator, run));
        self.running.push((operator, process));
    }

    /// Ends an operator, wherever it is in its work.
    pub(crate) fn end(&mut self, which: OperatorId, stage: &Shared) {
        self.running.retain(|(operator, process)| {
            if *operator == which {
                stage.lock().tell(|| format!("operator {operator} ends"));
                process.abort();
            }
            *operator != which
        });
    }

    /// Freezes the machine of one elected operator until then, the leader's if there is one.
    pub(crate) fn freeze_one(&mut self, stage: &Shared, until: Duration) {
        let mut stage = stage.lock();
        if !stage.are_elected {
            return;
        }
        let holder = stage.holder();
        let mut running = self.running.iter().map(|(operator, _)| *operator);
        let leads = |operator: &OperatorId| holder.as_ref() == Some(&identity(*operator));
        let Some(which) = running.clone().find(leads).or_else(|| running.next()) else {
            return;
        };
        stage.tell(|| format!("operator {which} stands still"));
        stage.frozen.insert(which, until);
    }

    /// Ends the oldest operator.
    pub(crate) fn end_one(&mut self, stage: &Shared) {
        if let Some((operator, _)) = self.running.first() {
            self.end(*operator, stage);
        }
    }

    /// No operator is there for more than a year, and for a while after that.
    pub(crate) fn stay_away_for_a_year(&mut self, stage: &Shared) {
        if !stage.lock().may_pass_a_year() {
            return;
        }
        while self.count() > 0 {
            self.end_one(stage);
        }
        stage.lock().pass_a_year_alone();
    }

    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }
}
