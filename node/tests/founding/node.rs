//! One node: its disk, and while it is up a life. An engine cannot be copied, so a life is kept as everything that
//! happened in it, and is lived again when the search goes on from there.

use std::{rc::Rc, time::Duration};

use opensecureconf_node::{
    cluster::{
        Address, Answer, Boot, Engine, Envelope, ExchangeId, Input, MemberName, Mode, Now, Output,
        OwnerOrder, ReplyId, Request, Rules, Setup,
    },
    crypto::Salt,
    domain::{Incarnation, Timestamp},
};

use crate::{
    disk::{Disk, Transaction},
    fingerprint::Printed,
};

/// Something that happens to a node; what [`Input`] is, but to be told more than once.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Listed(Vec<Address>),
    Asked(Envelope<Request>),
    Answered {
        from: Address,
        exchange: ExchangeId,
        answer: Option<Envelope<Answer>>,
    },
    ToldToFound(Incarnation),
    Tick,
}

impl Event {
    fn input(&self) -> Input {
        let reply = ReplyId(0);
        match self.clone() {
            Self::Listed(addresses) => Input::Listed(addresses),
            Self::Asked(message) => Input::Request {
                message: Box::new(message),
                reply,
            },
            Self::Answered {
                from,
                exchange,
                answer,
            } => Input::Answered {
                from,
                exchange,
                answer: answer.map(Box::new),
            },
            Self::ToldToFound(incarnation) => Input::Order {
                order: OwnerOrder::Found { incarnation },
                reply,
            },
            Self::Tick => Input::Tick,
        }
    }
}

/// A moment as the search counts: in seconds.
pub(crate) type Second = u32;

pub(crate) fn now(second: Second) -> Now {
    let elapsed = Duration::from_secs(u64::from(second));
    let micros = i64::from(1_700_000_000 + second) * 1_000_000;
    Now {
        wall: Timestamp::from_micros(micros),
        elapsed,
    }
}

/// How a life began, and what happened in it.
#[derive(Clone)]
struct Life {
    setup: Setup,
    began: Second,
    disk: Rc<Disk>,
    past: Vec<Rc<(Second, Event)>>,
}

/// A node.
pub(crate) struct Node {
    pub(crate) disk: Rc<Disk>,
    pub(crate) knows_full_list: bool,
    life: Option<Life>,
    /// The life as it stands; lived again where it is missing.
    engine: Option<Engine>,
    /// What it printed since it last changed.
    printed: Option<Rc<Printed>>,
}

impl Clone for Node {
    fn clone(&self) -> Self {
        Self {
            disk: Rc::clone(&self.disk),
            knows_full_list: self.knows_full_list,
            life: self.life.clone(),
            engine: None,
            printed: self.printed.clone(),
        }
    }
}

/// What a new life is given.
pub(crate) struct Birth {
    pub(crate) name: &'static str,
    /// Unlike that of any other life.
    pub(crate) number: u64,
    pub(crate) salt: Option<Salt>,
    pub(crate) may_make_salt: bool,
    pub(crate) rules: Rules,
}

impl Node {
    pub(crate) fn down(disk: Disk) -> Self {
        Self {
            disk: Rc::new(disk),
            knows_full_list: false,
            life: None,
            engine: None,
            printed: None,
        }
    }

    pub(crate) fn start(&mut self, second: Second, birth: Birth) {
        let mut entropy = [7; 32];
        entropy[..8].copy_from_slice(&birth.number.to_le_bytes());
        let setup = Setup {
            clustered: true,
            name: MemberName::new(birth.name),
            boot: Boot::from_random(scatter(birth.number, 1)),
            cluster: String::new(),
            mode: Mode::Replica,
            release: String::new(),
            salt: birth.salt,
            may_make_salt: birth.may_make_salt,
            grace: Setup::GRACE,
            sync_interval: Duration::from_secs(5),
            rules: birth.rules,
            entropy,
        };
        self.life = Some(Life {
            setup,
            began: second,
            disk: Rc::clone(&self.disk),
            past: Vec::new(),
        });
        self.printed = None;
        self.wake();
    }

    pub(crate) fn crash(&mut self) {
        self.life = None;
        self.engine = None;
        self.printed = None;
    }

    pub(crate) fn is_up(&self) -> bool {
        self.life.is_some()
    }

    pub(crate) fn boot(&self) -> Option<Boot> {
        self.life.as_ref().map(|life| life.setup.boot)
    }

    /// Lives through one thing: a step, the commit, and only then what follows from it.
    pub(crate) fn live(&mut self, second: Second, event: Event) -> Vec<Output> {
        self.wake();
        let (Some(engine), Some(life)) = (&mut self.engine, &mut self.life) else {
            return Vec::new();
        };
        let outputs = step(engine, &mut self.disk, second, &event);
        keep_salt(&mut self.disk, &outputs);
        self.printed = None;
        life.past.push(Rc::new((second, event)));
        outputs
    }

    /// Lives through one thing, and crashes after the commit, before anything follows from it.
    pub(crate) fn die_of(&mut self, second: Second, event: &Event) {
        self.wake();
        if let Some(engine) = &mut self.engine {
            step(engine, &mut self.disk, second, event);
        }
        self.crash();
    }

    /// The engine as it stands.
    pub(crate) fn engine(&mut self) -> Option<&Engine> {
        self.wake();
        self.engine.as_ref()
    }

    /// What it prints of itself.
    pub(crate) fn printed(&mut self, index: usize) -> Rc<Printed> {
        if let Some(printed) = &self.printed {
            return Rc::clone(printed);
        }
        self.wake();
        let printed = Rc::new(Printed::of(index, &self.disk, self.engine.as_ref()));
        self.printed = Some(Rc::clone(&printed));
        printed
    }

    /// Lets the engine go; it can be had again.
    pub(crate) fn sleep(&mut self) {
        self.engine = None;
    }

    fn wake(&mut self) {
        let (Some(life), None) = (&self.life, &self.engine) else {
            return;
        };
        self.disk = Rc::clone(&life.disk);
        let mut transaction = Transaction::begin(&mut self.disk);
        let mut engine =
            Engine::load(&mut transaction, life.setup.clone(), now(life.began)).unwrap();
        transaction.commit();
        for moment in &life.past {
            let outputs = step(&mut engine, &mut self.disk, moment.0, &moment.1);
            keep_salt(&mut self.disk, &outputs);
        }
        self.engine = Some(engine);
    }
}

fn step(engine: &mut Engine, disk: &mut Rc<Disk>, second: Second, event: &Event) -> Vec<Output> {
    let mut outputs = Vec::new();
    let mut transaction = Transaction::begin(disk);
    let now = now(second);
    let Ok(()) = engine.step(&mut transaction, now, event.input(), &mut outputs);
    let Ok(()) = engine.finish(&mut transaction, now, &mut outputs);
    transaction.commit();
    outputs
}

/// Writes the salt's file where that was asked for.
fn keep_salt(disk: &mut Rc<Disk>, outputs: &[Output]) {
    for output in outputs {
        if let Output::SaltSettled(salt) = output {
            Rc::make_mut(disk).salt_file = Some(salt.clone());
        }
    }
}

/// Numbers that look random, each only once.
pub(crate) fn scatter(number: u64, salt: u64) -> u64 {
    let mut bits = number
        .wrapping_mul(4)
        .wrapping_add(salt)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^ (bits >> 29)
}
