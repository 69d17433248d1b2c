//! The nodes, what is on its way between them, and the owner.

use std::{collections::BTreeSet, rc::Rc};

use opensecureconf_node::{
    cluster::{
        Address, Answer, Boot, Envelope, ExchangeId, FoundingId, Output, OwnerAnswer, Request, Rules,
    },
    crypto::Salt,
    domain::Incarnation,
};

use crate::{
    disk::Disk,
    fingerprint::Part,
    node::{Birth, Event, Node, Second, scatter},
    owner::{Discipline, Owner},
};

/// What a search begins with.
#[derive(Clone)]
pub(crate) struct Beginning {
    /// The nodes' names.
    pub(crate) names: &'static [&'static str],
    /// The salt that is mounted at every node; without one, whoever founds makes it.
    pub(crate) mounted: Option<Salt>,
    /// Whether the first node brings rows of its own.
    pub(crate) rows: bool,
    pub(crate) rules: Rules,
    pub(crate) discipline: Discipline,
}

/// A request or an answer on its way.
#[derive(Clone)]
pub(crate) struct Message {
    /// Who asked, in which life, and whom.
    pub(crate) asker: usize,
    pub(crate) boot: Boot,
    pub(crate) asked: usize,
    pub(crate) exchange: ExchangeId,
    pub(crate) content: Rc<Content>,
    /// Whether it stays on its way when time passes.
    pub(crate) late: bool,
    /// Until when somebody waits for the answer.
    pub(crate) until: Option<Second>,
}

/// What a message says, and how that counts for the fingerprint.
pub(crate) struct Content {
    pub(crate) body: Body,
    pub(crate) parts: Vec<Part>,
}

#[derive(Debug)]
pub(crate) enum Body {
    Request(Envelope<Request>),
    Answer(Envelope<Answer>),
}

/// What happens to an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives,
    AnswerIsLost,
    AskedCrashesAfterCommit,
    AskerCrashesAfterCommit,
    RequestIsLate,
    AnswerIsLate,
    RequestArrivesAgainLater,
}

/// Everything.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) beginning: Rc<Beginning>,
    pub(crate) second: Second,
    pub(crate) nodes: Vec<Node>,
    pub(crate) air: Vec<Message>,
    pub(crate) owner: Owner,
    /// Every founding and every salt that ever came into force somewhere.
    pub(crate) foundings: BTreeSet<FoundingId>,
    pub(crate) salts: BTreeSet<String>,
    /// What went against the rules.
    pub(crate) wrong: Option<String>,
    drawn: u64,
}

impl World {
    /// All nodes up for the first time, on empty disks.
    pub(crate) fn new(beginning: Beginning) -> Self {
        let mut world = Self {
            second: 100,
            nodes: Vec::new(),
            air: Vec::new(),
            owner: Owner::default(),
            foundings: BTreeSet::new(),
            salts: BTreeSet::new(),
            wrong: None,
            drawn: 0,
            beginning: Rc::new(beginning),
        };
        for node in 0..world.beginning.names.len() {
            let mut disk = Disk::empty(world.fresh_incarnation());
            if let (0, true, Some(salt)) = (node, world.beginning.rows, &world.beginning.mounted) {
                disk = disk.with_rows(salt);
            }
            world.nodes.push(Node::down(disk));
        }
        for node in 0..world.nodes.len() {
            world.start(node, true);
        }
        world
    }

    pub(crate) fn address(node: usize) -> Address {
        Address::new(format!("n{node}:9000"))
    }

    fn fresh_incarnation(&mut self) -> Incarnation {
        self.drawn += 1;
        Incarnation::from_random(scatter(self.drawn, 0))
    }

    /// Starts a node with the full list, or with the old one that names only itself.
    pub(crate) fn start(&mut self, node: usize, full_list: bool) {
        let mut disk = Disk::clone(&self.nodes[node].disk);
        let salt = match disk.settle_salt(self.beginning.mounted.clone()) {
            Ok(salt) => salt,
            Err(error) => {
                self.wrong = Some(format!("node {node} cannot start: {error}"));
                return;
            }
        };
        self.drawn += 1;
        let birth = Birth {
            name: self.beginning.names[node],
            number: self.drawn,
            salt,
            may_make_salt: self.beginning.mounted.is_none(),
            rules: self.beginning.rules,
        };
        self.nodes[node].disk = Rc::new(disk);
        self.nodes[node].start(self.second, birth);
        self.list(node, full_list);
        // It finds itself.
        if let Some(message) = self.take_request(node, node) {
            self.exchange(message, Fate::Arrives);
        }
    }

    /// Tells a node where others may be.
    pub(crate) fn list(&mut self, node: usize, full: bool) {
        let addresses = if full {
            (0..self.nodes.len()).map(Self::address).collect()
        } else {
            vec![Self::address(node)]
        };
        self.nodes[node].knows_full_list = full;
        self.live(node, Event::Listed(addresses));
    }

    pub(crate) fn crash(&mut self, node: usize) {
        self.nodes[node].crash();
        self.forget_exchanges_of(node);
    }

    /// Its connections are gone: nobody waits at them, though what was sent may arrive.
    fn forget_exchanges_of(&mut self, node: usize) {
        for message in self.air.iter_mut().filter(|message| message.asker == node) {
            message.until = None;
        }
        self.air.retain(|message| message.asker != node || message.is_late_request());
    }

    pub(crate) fn wipe(&mut self, node: usize) {
        self.crash(node);
        let disk = Disk::empty(self.fresh_incarnation());
        self.nodes[node] = Node::down(disk);
    }

    /// One step of a node. Gives what it answers to whoever made it happen.
    fn live(&mut self, node: usize, event: Event) -> Vec<Output> {
        let outputs = self.nodes[node].live(self.second, event);
        let (sent, rest): (Vec<_>, Vec<_>) =
            outputs.into_iter().partition(|output| matches!(output, Output::Send { .. }));
        for output in sent {
            let (Output::Send { to, exchange, message, patience }, Some(boot)) = (output, self.nodes[node].boot())
            else {
                continue;
            };
            let asked = (0..self.nodes.len()).find(|other| Self::address(*other) == to);
            let patience = Second::try_from(patience.as_secs()).unwrap();
            self.air.extend(asked.map(|asked| Message {
                asker: node,
                boot,
                asked,
                exchange,
                content: Rc::new(Content::new(Body::Request(*message), asked)),
                late: false,
                until: Some(self.second + patience),
            }));
        }
        rest
    }

    pub(crate) fn tick(&mut self, node: usize) {
        self.live(node, Event::Tick);
    }

    /// Takes an ordinary request from the air; lets time show first what a node has to say.
    pub(crate) fn take_request(&mut self, asker: usize, asked: usize) -> Option<Message> {
        let mine = |message: &Message| (message.asker, message.asked, message.late) == (asker, asked, false);
        if !self.air.iter().any(mine) {
            self.tick(asker);
        }
        let index = self.air.iter().position(mine)?;
        Some(self.air.remove(index))
    }

    /// Lets a request meet its fate.
    pub(crate) fn exchange(&mut self, mut message: Message, fate: Fate) {
        match fate {
            Fate::RequestIsLate => {
                message.late = true;
                self.air.push(message);
                return;
            }
            Fate::RequestArrivesAgainLater => self.air.push(Message {
                late: true,
                until: None,
                ..message.clone()
            }),
            _ => {}
        }
        let Body::Request(request) = &message.content.body else {
            return;
        };
        if fate == Fate::AskedCrashesAfterCommit {
            self.nodes[message.asked].die_of(self.second, &Event::Asked(request.clone()));
            self.forget_exchanges_of(message.asked);
            return self.answer(&message, None);
        }
        let answer = self.ask(message.asked, request.clone());
        match fate {
            Fate::AnswerIsLost => self.answer(&message, None),
            Fate::AnswerIsLate => self.air.extend(answer.map(|answer| Message {
                content: Rc::new(Content::new(Body::Answer(answer), message.asker)),
                late: true,
                ..message
            })),
            Fate::AskerCrashesAfterCommit => {
                let answered = Event::Answered {
                    from: Self::address(message.asked),
                    exchange: message.exchange,
                    answer,
                };
                self.nodes[message.asker].die_of(self.second, &answered);
                self.forget_exchanges_of(message.asker);
            }
            _ => self.answer(&message, answer),
        }
    }

    fn ask(&mut self, node: usize, request: Envelope<Request>) -> Option<Envelope<Answer>> {
        let outputs = self.live(node, Event::Asked(request));
        outputs.into_iter().find_map(|output| match output {
            Output::Answer { message, .. } => Some(*message),
            _ => None,
        })
    }

    /// Ends an exchange, if somebody still waits.
    fn answer(&mut self, message: &Message, answer: Option<Envelope<Answer>>) {
        if self.nodes[message.asker].boot() == Some(message.boot) && message.until.is_some() {
            let answered = Event::Answered {
                from: Self::address(message.asked),
                exchange: message.exchange,
                answer,
            };
            self.live(message.asker, answered);
        }
    }

    /// Something late arrives after all.
    pub(crate) fn arrives(&mut self, index: usize) {
        let message = self.air.remove(index);
        match &message.content.body {
            Body::Request(request) => {
                let answer = self.ask(message.asked, request.clone());
                self.answer(&message, answer);
            }
            Body::Answer(answer) => self.answer(&message, Some(answer.clone())),
        }
    }

    /// Time passes. What was not delivered is lost, unless it is late.
    pub(crate) fn pass(&mut self, seconds: Second) {
        self.second += seconds;
        let now = self.second;
        let (mut kept, mut given_up) = (Vec::new(), Vec::new());
        for message in std::mem::take(&mut self.air) {
            if message.late && message.until.is_none_or(|until| until > now) {
                kept.push(message);
            } else {
                given_up.push(message);
            }
        }
        self.air = kept;
        for message in given_up {
            self.answer(&message, None);
            if message.is_late_request() {
                self.air.push(Message { until: None, ..message });
            }
        }
    }

    /// The owner's order to found arrives at a node.
    pub(crate) fn told_to_found(&mut self, node: usize, incarnation: Incarnation, crashes: bool) {
        let order = Event::ToldToFound(incarnation);
        if crashes {
            self.nodes[node].die_of(self.second, &order);
            return self.forget_exchanges_of(node);
        }
        for output in self.live(node, order) {
            if let Output::Done { result: Ok(OwnerAnswer::Founded(founding)), .. } = output {
                self.foundings.insert(founding);
            }
        }
    }
}

impl Message {
    fn is_late_request(&self) -> bool {
        self.late && matches!(self.content.body, Body::Request(_))
    }
}
