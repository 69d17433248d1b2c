//! The messages on their way between nodes, and what can happen to them.

use std::rc::Rc;

use opensecureconf_node::cluster::{Answer, Envelope, ExchangeId, Output, ProcessEpoch, Request};

use crate::{
    parts::Part,
    process::{Event, Second},
    world::World,
};

/// A request or an answer on its way.
#[derive(Clone)]
pub(crate) struct Message {
    /// The node that asked, its life, and the node that it asked.
    pub(crate) asker: usize,
    pub(crate) process_epoch: ProcessEpoch,
    pub(crate) asked: usize,
    pub(crate) exchange: ExchangeId,
    pub(crate) content: Rc<Content>,
    /// Whether it stays on its way when time passes.
    pub(crate) late: bool,
    /// Until when a node waits for the answer.
    pub(crate) until: Option<Second>,
}

/// The content of a message, and how it counts for the fingerprint.
pub(crate) struct Content {
    pub(crate) body: Body,
    pub(crate) parts: Vec<Part>,
}

#[derive(serde::Serialize)]
pub(crate) enum Body {
    Request(Envelope<Request>),
    Answer(Envelope<Answer>),
}

/// The delivery of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Arrives,
    AnswerIsLost,
    AskedCrashesAfterCommit,
    AskerCrashesAfterCommit,
    RequestIsLate,
    AnswerIsLate,
    RequestArrivesAgainLater,
}

impl Message {
    pub(crate) fn is_late_request(&self) -> bool {
        self.late && matches!(self.content.body, Body::Request(_))
    }
}

impl World {
    /// Takes an ordinary request out of the air; where there is none, the asker ticks first, so that it sends what is due.
    pub(crate) fn take_request(&mut self, asker: usize, asked: usize) -> Option<Message> {
        let mine = |message: &Message| {
            (message.asker, message.asked, message.late) == (asker, asked, false)
        };
        if !self.air.iter().any(mine) {
            self.tick(asker);
        }
        let index = self.air.iter().position(mine)?;
        Some(self.air.remove(index))
    }

    /// Lets a request meet its fate.
    pub(crate) fn exchange(&mut self, mut message: Message, fate: Delivery) {
        match fate {
            Delivery::RequestIsLate => {
                message.late = true;
                self.air.push(message);
                return;
            }
            Delivery::RequestArrivesAgainLater => self.air.push(Message {
                late: true,
                until: None,
                ..message.clone()
            }),
            _ => {}
        }
        let Body::Request(request) = &message.content.body else {
            return;
        };
        if fate == Delivery::AskedCrashesAfterCommit {
            self.nodes[message.asked].die_of(self.second, &Event::Asked(request.clone()));
            self.forget_exchanges_of(message.asked);
            return self.answer(&message, None);
        }
        let answer = self.ask(message.asked, request.clone());
        match fate {
            Delivery::AnswerIsLost => self.answer(&message, None),
            Delivery::AnswerIsLate => self.air.extend(answer.map(|answer| Message {
                content: Rc::new(Content::new(Body::Answer(answer), message.asker)),
                late: true,
                ..message
            })),
            Delivery::AskerCrashesAfterCommit => {
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

    /// Ends an exchange, if a node still waits.
    fn answer(&mut self, message: &Message, answer: Option<Envelope<Answer>>) {
        if self.nodes[message.asker].process_epoch() == Some(message.process_epoch)
            && message.until.is_some()
        {
            let answered = Event::Answered {
                from: Self::address(message.asked),
                exchange: message.exchange,
                answer,
            };
            self.live(message.asker, answered);
        }
    }

    /// A late message arrives after all.
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

    /// Time passes. A message that was not delivered is lost, unless it is late.
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
                self.air.push(Message {
                    until: None,
                    ..message
                });
            }
        }
    }
}
