//! An impostor that has the cluster key and is no member: it copies and alters members' messages.

use opensecureconf_node::{
    cluster::{
        Address, Answer, Envelope, ExchangeId, Input, MemberName, PeerInfo, ProcessEpoch, Request,
        Roster, Seq,
    },
    domain::Incarnation,
};
use serde_json::{Value, json};

use crate::{
    script::LONG,
    world::{Job, NodeId, Peer, World},
};

/// No process has this life: answers to it go nowhere.
pub(crate) const NO_LIFE: u64 = u64::MAX;

impl World {
    /// The last greeting of a node, as an impostor gets it by asking, with the next numbers.
    pub(crate) fn copied(&self, node: NodeId, to: NodeId) -> PeerInfo {
        let said = |node: NodeId| &self.said[&self.incarnation(node)];
        let mut hello = said(node).clone();
        hello.turn += 1;
        hello.heard = Some((said(to).process_epoch, said(to).turn));
        hello
    }

    /// A greeting of no member, of the same cluster.
    pub(crate) fn invented(&self, like: NodeId, to: NodeId) -> PeerInfo {
        let mut hello = self.copied(like, to);
        hello.name = MemberName::new("nobody");
        hello.incarnation = Incarnation::from_raw(4711);
        hello.process_epoch = ProcessEpoch::from_raw(4712);
        hello.address = Some(Address::new("nobody:9000"));
        hello
    }

    /// Greetings of no members, each of a node of its own.
    pub(crate) fn invented_nodes(&self, like: NodeId, to: NodeId, number: i64) -> Vec<PeerInfo> {
        let hello = self.invented(like, to);
        let nodes = (0..number).map(|n| Incarnation::from_raw(4711 + n));
        nodes
            .map(|incarnation| PeerInfo {
                incarnation,
                ..hello.clone()
            })
            .collect()
    }

    /// How far a node says that it holds the feed of this impostor.
    pub(crate) fn held_of(&mut self, to: NodeId, mut hello: PeerInfo) -> Option<Seq> {
        hello.turn += 1;
        self.said_to_impostor = None;
        self.somebody_says(to, hello, Request::Heartbeat);
        self.until(LONG, |world| world.said_to_impostor.is_some());
        let (_, received) = self.said_to_impostor.as_ref()?.received?;
        Some(received)
    }

    /// Sends a message of an impostor with the cluster key.
    pub(crate) fn somebody_says(&mut self, to: NodeId, hello: PeerInfo, body: Request) {
        let asker = Peer {
            node: to,
            life: NO_LIFE,
            exchange: ExchangeId(0),
        };
        let life = self.nodes[to].life;
        let message = Box::new(Envelope { hello, body });
        self.arrive(to, life, Job::Request(message, asker));
    }
}

impl World {
    /// An impostor answers a node's request to this address with a roster.
    pub(crate) fn somebody_answers(
        &mut self,
        to: NodeId,
        address: Address,
        mut hello: PeerInfo,
        roster: &Roster,
    ) -> Result<(), String> {
        let asked = |world: &Self| {
            let mut open = world.nodes[to].open.iter();
            open.find(|(_, at)| **at == address).map(|(id, _)| *id)
        };
        if !self.until(LONG, |world| asked(world).is_some()) {
            return Err("it is not asked".to_owned());
        }
        let exchange = asked(self).unwrap();
        self.nodes[to].open.remove(&exchange);
        hello.turn += 1;
        let answer = Envelope {
            hello,
            body: Answer::Roster(roster.clone()),
        };
        let life = self.nodes[to].life;
        let answered = Input::Answered {
            from: address,
            exchange,
            answer: Some(Box::new(answer)),
        };
        self.arrive(to, life, Job::Plain(answered));
        Ok(())
    }
}

/// A purge mark above every sequence of every node.
pub(crate) fn far_mark() -> Seq {
    Seq::from_raw(1 << 40)
}

/// A roster with one admission under any stamp.
pub(crate) fn roster_with(name: &str, incarnation: i64, issuer: Incarnation, clock: i64) -> Roster {
    let entry: Value = json!([incarnation, {
        "name": name,
        "admitted": { "clock": clock, "incarnation": issuer },
        "phase": "joining",
    }]);
    serde_json::from_value(json!({ "entries": [entry], "removals": [] })).unwrap()
}
