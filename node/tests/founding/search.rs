//! The search: breadth first over all worlds that up to so many actions, so many faults among them, can lead to.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt::Write,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{
    action::Action,
    fingerprint::Print,
    world::{Beginning, Fate, World},
};

/// How far a search goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) actions: usize,
    pub(crate) faults: usize,
    /// One in so many worlds is asked whether it can go on well, besides every one whose disks are new.
    pub(crate) sample: u64,
}

/// What a search came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) worlds: usize,
    pub(crate) steps: usize,
    pub(crate) continued: usize,
    pub(crate) took: Duration,
    /// The shortest way to something wrong.
    pub(crate) wrong: Option<Story>,
}

/// What went wrong and how it came to that.
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

/// Searches everything from a beginning that some actions were taken in.
pub(crate) fn search(beginning: Beginning, first: &[Action], bounds: Bounds) -> Report {
    let began = Instant::now();
    let mut world = World::new(beginning);
    for action in first {
        assert!(world.apply(*action), "{action} is not possible");
        world.check();
        assert_eq!(world.wrong, None, "after {action}");
    }
    let mut search = Search {
        bounds,
        seen: HashMap::new(),
        disks_seen: HashSet::new(),
        goes_well: HashSet::new(),
        report: Report::default(),
    };
    let start = Reached { world, faults: 0, path: None };
    search.all_from(start);
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

    /// Whether nothing is known of a world yet; then it is judged.
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
        reached.world.nodes.iter_mut().for_each(crate::node::Node::sleep);
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
        if !self.disks_seen.insert(print.durable) && !print.whole.is_multiple_of(self.bounds.sample) {
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
        let stuck = world.describe();
        self.tell(format!("stuck: {stuck}"), reached);
    }
}

/// Seconds in which a cluster that nothing hinders must become ready: the longest pauses are five seconds.
const ROUNDS: usize = 40;

impl Reached {
    fn after(&self) -> Self {
        Self {
            world: self.world.clone(),
            faults: self.faults,
            path: None,
        }
    }
}

impl World {
    /// What must hold at any moment.
    pub(crate) fn check(&mut self) {
        for (index, node) in self.nodes.iter().enumerate() {
            let disk = &node.disk;
            let founding = disk.membership.as_ref().and_then(|membership| membership.founding);
            self.foundings.extend(founding);
            let salts = [&disk.salt, &disk.salt_file].into_iter().flatten();
            self.salts.extend(salts.map(|salt| salt.fingerprint().to_string()));
            let made = self.beginning.mounted.is_none() && disk.salt.is_some();
            if made && founding.is_none() {
                self.wrong = Some(format!("node {index} has a salt and no founding"));
            }
        }
        if self.salts.len() > 1 {
            self.wrong = Some("two salts are used".to_owned());
        }
        if self.foundings.len() > 1 {
            self.wrong = Some("two foundings were told".to_owned());
        }
    }

    /// One second without faults.
    fn goes_on(&mut self, first: bool) {
        for node in 0..self.nodes.len() {
            if !self.nodes[node].is_up() {
                self.start(node, true);
            } else if !self.nodes[node].knows_full_list {
                self.list(node, true);
            }
        }
        while let Some(late) = self.air.iter().position(|message| first && message.late) {
            self.arrives(late);
        }
        self.owner_goes_on();
        for node in 0..self.nodes.len() {
            self.tick(node);
        }
        for _ in 0..100 {
            let Some(index) = self.air.iter().position(|message| !message.late) else {
                break;
            };
            let message = self.air.remove(index);
            self.exchange(message, Fate::Arrives);
        }
        self.pass(1);
    }

    /// Whether all serve; of nodes that share a name one does.
    fn is_well(&mut self) -> bool {
        let names = self.beginning.names.iter().collect::<BTreeSet<_>>().len();
        let names_of = Rc::clone(&self.beginning);
        let ready: BTreeSet<_> = (0..self.nodes.len())
            .filter(|node| self.why_not_ready(*node).is_none())
            .map(|node| names_of.names[node])
            .collect();
        names == ready.len()
    }

    fn why_not_ready(&mut self, node: usize) -> Option<String> {
        let now = crate::node::now(self.second);
        match self.nodes[node].engine() {
            Some(engine) => engine.view(now).not_ready,
            None => Some("it is down".to_owned()),
        }
    }

    fn describe(&mut self) -> String {
        let mut text = String::new();
        for node in 0..self.nodes.len() {
            let why = self.why_not_ready(node);
            write!(text, "node {node}: {why:?}; ").unwrap();
        }
        text
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
