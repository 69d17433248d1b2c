//! The search: breadth first over all worlds that up to so many actions, so many faults among them, can lead to.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{action::Action, fingerprint::Print, node::Node, world::World};

/// How far a search goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) actions: usize,
    pub(crate) faults: usize,
    /// The search checks every n-th world for whether it recovers, besides every world with new disks.
    pub(crate) sample: u64,
}

/// The result of a search.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) worlds: usize,
    pub(crate) steps: usize,
    pub(crate) continued: usize,
    pub(crate) took: Duration,
    /// The shortest story that ends in a fault.
    pub(crate) wrong: Option<Story>,
}

/// A fault, and the actions that led to it.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) wrong: String,
    pub(crate) actions: Vec<Action>,
}

struct Path {
    before: Option<Rc<Path>>,
    action: Action,
}

struct Reached {
    world: World,
    faults: usize,
    path: Option<Rc<Path>>,
}

pub(crate) struct Search {
    bounds: Bounds,
    /// Every world so far, with the fewest faults that led to it.
    seen: HashMap<u64, usize>,
    disks_seen: HashSet<u64>,
    goes_well: HashSet<u64>,
    report: Report,
}

/// Searches everything that a world can lead to.
pub(crate) fn search(world: World, bounds: Bounds) -> Report {
    let began = Instant::now();
    let mut search = Search {
        bounds,
        seen: HashMap::new(),
        disks_seen: HashSet::new(),
        goes_well: HashSet::new(),
        report: Report::default(),
    };
    search.all_from(Reached {
        world,
        faults: 0,
        path: None,
    });
    search.report.worlds = search.seen.len();
    search.report.took = began.elapsed();
    search.report
}

impl Search {
    fn all_from(&mut self, mut start: Reached) {
        self.is_new(&mut start);
        let mut level = vec![start];
        for _ in 0..self.bounds.actions {
            let mut next = Vec::new();
            for reached in level {
                for action in reached.world.actions(reached.faults < self.bounds.faults) {
                    if reached.path.is_none() && reached.world.is_mirrored(action) {
                        continue;
                    }
                    let mut after = reached.after();
                    if !after.world.apply(action) {
                        continue;
                    }
                    self.report.steps += 1;
                    after.faults += usize::from(action.is_fault());
                    let before = reached.path.clone();
                    after.path = Some(Rc::new(Path { before, action }));
                    if self.is_new(&mut after) {
                        next.push(after);
                    }
                    if self.report.wrong.is_some() {
                        return;
                    }
                }
            }
            level = next;
        }
    }

    /// Checks a world; whether the search reaches it for the first time, or with fewer faults than before.
    fn is_new(&mut self, reached: &mut Reached) -> bool {
        reached.world.check();
        if let Some(wrong) = reached.world.wrong.take() {
            self.tell(wrong, reached);
            return false;
        }
        let print = reached.world.print();
        let fewest = self.seen.get(&print.whole).copied();
        let is_new = fewest.is_none_or(|fewest| reached.faults < fewest);
        if is_new {
            self.seen.insert(print.whole, reached.faults);
        }
        if fewest.is_none() {
            self.goes_on_well(print, reached);
        }
        reached.world.nodes.iter_mut().for_each(Node::sleep);
        is_new
    }

    fn tell(&mut self, wrong: String, reached: &Reached) {
        let mut actions = Vec::new();
        let mut path = reached.path.as_deref();
        while let Some(Path { before, action }) = path {
            actions.insert(0, *action);
            path = before.as_deref();
        }
        self.report.wrong = Some(Story { wrong, actions });
    }

    /// Lets a world go on without faults until all is well.
    fn goes_on_well(&mut self, print: Print, reached: &Reached) {
        if !self.disks_seen.insert(print.durable) && !print.whole.is_multiple_of(self.bounds.sample)
        {
            return;
        }
        self.report.continued += 1;
        let mut world = reached.world.clone();
        let mut met = Vec::new();
        for round in 0..ROUNDS {
            let print = world.print().whole;
            if self.goes_well.contains(&print) {
                self.goes_well.extend(met);
                return;
            }
            met.push(print);
            world.goes_on(round == 0);
            world.check();
            if let Some(wrong) = world.wrong.take() {
                return self.tell(format!("while it goes on without faults: {wrong}"), reached);
            }
            if world.is_well() {
                self.goes_well.extend(met);
                return;
            }
        }
        if world.is_beyond_help() {
            return;
        }
        let stuck = world.describe();
        self.tell(format!("stuck: {stuck}"), reached);
    }
}

/// Seconds in which a cluster without faults must become ready. A node that heard a lost node of a cluster waits a minute for
/// messages that it may have sent, and bootstraps only then.
const ROUNDS: usize = 80;

impl Reached {
    fn after(&self) -> Self {
        Self {
            world: self.world.clone(),
            faults: self.faults,
            path: None,
        }
    }
}

impl Story {
    pub(crate) fn text(&self) -> String {
        let mut text = self.wrong.clone();
        for action in &self.actions {
            write!(text, "\n  {action}").unwrap();
        }
        text
    }
}
