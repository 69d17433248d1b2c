//! One node: its disk, and its life while it is up. An engine cannot be copied, so a life is kept as its list of events, and
//! the search replays them when it goes on from there.

use std::{rc::Rc, time::Duration};

use opensecureconf_node::{
    cluster::{Engine, MemberName, Mode, Output, ProcessEpoch, Rules, Setup},
    crypto::Salt,
};

use crate::{
    disk::Disk,
    fingerprint::NodeParts,
    process::{Event, Life, Process, Second, keep_salt},
};

/// A node.
pub(crate) struct Node {
    pub(crate) disk: Rc<Disk>,
    pub(crate) knows_full_list: bool,
    /// How far this node's clock is behind the others'.
    pub(crate) behind: Second,
    life: Option<Life>,
    /// The life as it stands; lived again where it is missing.
    process: Option<Process>,
    /// Its parts since the last change.
    parts: Option<Rc<NodeParts>>,
}

impl Clone for Node {
    fn clone(&self) -> Self {
        Self {
            disk: Rc::clone(&self.disk),
            knows_full_list: self.knows_full_list,
            behind: self.behind,
            life: self.life.clone(),
            process: None,
            parts: self.parts.clone(),
        }
    }
}

/// What a new life begins with.
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
            behind: 0,
            life: None,
            process: None,
            parts: None,
        }
    }

    pub(crate) fn start(&mut self, second: Second, birth: Birth) {
        let mut entropy = [7; 32];
        entropy[..8].copy_from_slice(&birth.number.to_le_bytes());
        let setup = Setup {
            clustered: true,
            name: MemberName::new(birth.name),
            process_epoch: ProcessEpoch::from_random(scatter(birth.number, 1)),
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
            behind: self.behind,
            disk: Rc::clone(&self.disk),
            past: Vec::new(),
        });
        self.parts = None;
        self.wake();
    }

    pub(crate) fn crash(&mut self) {
        self.life = None;
        self.process = None;
        self.parts = None;
    }

    pub(crate) fn is_up(&self) -> bool {
        self.life.is_some()
    }

    pub(crate) fn process_epoch(&self) -> Option<ProcessEpoch> {
        self.life.as_ref().map(|life| life.setup.process_epoch)
    }

    /// Handles one event: a step, the commit, and only then the outputs.
    pub(crate) fn live(&mut self, second: Second, event: Event) -> Vec<Output> {
        self.wake();
        let (Some(process), Some(life)) = (&mut self.process, &mut self.life) else {
            return Vec::new();
        };
        let outputs = process.step(life, &mut self.disk, second, &event);
        keep_salt(&mut self.disk, &outputs);
        self.parts = None;
        life.past.push(Rc::new((second, event)));
        outputs
    }

    /// Handles one event, and crashes after the commit, before any output.
    pub(crate) fn die_of(&mut self, second: Second, event: &Event) {
        self.wake();
        if let (Some(process), Some(life)) = (&mut self.process, &self.life) {
            process.step(life, &mut self.disk, second, event);
        }
        self.crash();
    }

    /// The engine as it stands.
    pub(crate) fn engine(&mut self) -> Option<&Engine> {
        self.wake();
        self.process.as_ref().map(|process| &process.engine)
    }

    /// The node, taken apart.
    pub(crate) fn parts(&mut self, index: usize) -> Rc<NodeParts> {
        if let Some(parts) = &self.parts {
            return Rc::clone(parts);
        }
        self.wake();
        let process = self.process_epoch().zip(self.process.as_ref());
        let process = process.map(|(process_epoch, process)| (process_epoch, &process.engine));
        let parts = Rc::new(NodeParts::of(index, &self.disk, process));
        self.parts = Some(Rc::clone(&parts));
        parts
    }

    /// Lets the engine go; it can be had again.
    pub(crate) fn sleep(&mut self) {
        self.process = None;
    }

    fn wake(&mut self) {
        let (Some(life), None) = (&self.life, &self.process) else {
            return;
        };
        self.disk = Rc::clone(&life.disk);
        let mut process = Process::start(life, &mut self.disk);
        for moment in &life.past {
            let outputs = process.step(life, &mut self.disk, moment.0, &moment.1);
            keep_salt(&mut self.disk, &outputs);
        }
        self.process = Some(process);
    }
}

/// Numbers that look random, without repetition.
pub(crate) fn scatter(number: u64, salt: u64) -> u64 {
    let mut bits = number
        .wrapping_mul(4)
        .wrapping_add(salt)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^ (bits >> 29)
}
