//! A running process: its engine, driven as the thread drives it that writes.

use std::{rc::Rc, time::Duration};

use opensecureconf_node::{
    cluster::{
        Address, AdminOrder, Answer, Engine, Envelope, ExchangeId, Input, Now, Output, ReplyId,
        Request, Setup,
    },
    domain::{Incarnation, Timestamp},
};

use crate::disk::Disk;

/// An event of a node: an [`Input`] that can be replayed.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Listed(Vec<Address>),
    Asked(Envelope<Request>),
    Answered {
        from: Address,
        exchange: ExchangeId,
        answer: Option<Envelope<Answer>>,
    },
    ToldToBootstrap(Incarnation),
    Tick,
    /// A commit failed: the process goes on with an engine that knows only the durable state.
    CommitFailed,
}

/// A moment as the search counts: in seconds.
pub(crate) type Second = u32;

/// How far the clock of a machine that replaces a lost one is behind, in seconds.
pub(crate) const BEHIND: Second = 3600;

pub(crate) fn now(second: Second, behind: Second) -> Now {
    let elapsed = Duration::from_secs(u64::from(second));
    let micros = i64::from(1_700_000_000 + second - behind) * 1_000_000;
    Now {
        wall: Timestamp::from_micros(micros),
        elapsed,
    }
}

/// How a life began, and its events.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) setup: Setup,
    pub(crate) began: Second,
    pub(crate) behind: Second,
    pub(crate) disk: Rc<Disk>,
    pub(crate) past: Vec<Rc<(Second, Event)>>,
}

/// A process.
pub(crate) struct Process {
    pub(crate) engine: Engine,
    listed: Vec<Address>,
    /// How often its engine was loaded anew.
    loaded: u64,
}

impl Process {
    pub(crate) fn start(life: &Life, disk: &mut Rc<Disk>) -> Self {
        Self {
            engine: load(life, disk, now(life.began, life.behind)),
            listed: Vec::new(),
            loaded: 0,
        }
    }

    /// One step and its commit. None of its outputs is carried out yet.
    pub(crate) fn step(
        &mut self,
        life: &Life,
        disk: &mut Rc<Disk>,
        second: Second,
        event: &Event,
    ) -> Vec<Output> {
        let now = now(second, life.behind);
        if let Event::Listed(addresses) = event {
            self.listed.clone_from(addresses);
        }
        if matches!(event, Event::CommitFailed) {
            // No two engines of a process begin at the same moment.
            self.loaded += 1;
            let elapsed = now.elapsed + Duration::from_millis(self.loaded);
            self.engine = load(life, disk, Now { elapsed, ..now });
        }
        let mut outputs = Vec::new();
        let input = self.input(event);
        let engine = &mut self.engine;
        Rc::make_mut(disk)
            .transact(|tables| {
                engine.step(tables, now, input, &mut outputs)?;
                engine.finish(tables, now, &mut outputs)
            })
            .unwrap();
        outputs
    }

    fn input(&self, event: &Event) -> Input {
        let reply = ReplyId(0);
        match event.clone() {
            Event::CommitFailed => Input::Listed(self.listed.clone()),
            Event::Listed(addresses) => Input::Listed(addresses),
            Event::Tick => Input::Tick,
            Event::Asked(message) => Input::Request {
                message: Box::new(message),
                reply,
            },
            Event::Answered {
                from,
                exchange,
                answer,
            } => Input::Answered {
                from,
                exchange,
                answer: answer.map(Box::new),
            },
            Event::ToldToBootstrap(incarnation) => Input::Order {
                order: AdminOrder::Bootstrap {
                    incarnation,
                    mounted: None,
                },
                reply,
            },
        }
    }
}

fn load(life: &Life, disk: &mut Rc<Disk>, now: Now) -> Engine {
    Rc::make_mut(disk)
        .transact(|tables| Engine::load(tables, life.setup.clone(), now))
        .unwrap()
}

/// Writes the salt file where an output demands it.
pub(crate) fn keep_salt(disk: &mut Rc<Disk>, outputs: &[Output]) {
    for output in outputs {
        if let Output::SaltSettled(salt) = output {
            Rc::make_mut(disk).salt_file = Some(salt.clone());
        }
    }
}
