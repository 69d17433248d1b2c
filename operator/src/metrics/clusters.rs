//! The gauges of clusters. They are made of a few bytes for each cluster whenever the page is asked for: the library's own gauges
//! take about a kilobyte each, and a cluster has fifteen.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use prometheus::{
    core::{Collector, Desc},
    proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

/// The figures of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterFigures {
    /// Each possible condition, and whether it holds; `None` where it is unknown or switched off.
    pub conditions: Vec<(&'static str, Option<bool>)>,
    /// Each reason for which a change of its pods may wait, and whether one does.
    pub pending: Vec<(&'static str, bool)>,
    /// Nodes that exist.
    pub present: usize,
    /// The ready nodes.
    pub ready: usize,
    /// The nodes that answer the operator.
    pub reachable: usize,
}

/// The gauges of all clusters.
#[derive(Debug, Clone)]
pub(super) struct Clusters {
    conditions: Desc,
    members: Desc,
    pending: Desc,
    last_looks: Desc,
    foreign: Desc,
    /// By namespace and name.
    shown: Arc<Mutex<BTreeMap<(String, String), Shown>>>,
}

#[derive(Debug)]
enum Shown {
    /// A cluster that this operator runs, and when it looked.
    Own(ClusterFigures, Timestamp),
    /// Another operator's.
    Foreign,
}

impl Clusters {
    /// Without any cluster.
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            conditions: described(
                "osc_operator_cluster_condition",
                "1 where a condition of a cluster is true, 0 where it is false; one that is unknown, or that the resource switches off, is not there",
                Some("condition"),
            )?,
            members: described(
                "osc_operator_cluster_members",
                "Nodes of a cluster: those that exist, are ready, and answer the operator",
                Some("state"),
            )?,
            pending: described(
                "osc_operator_cluster_pending_rollout",
                "1 where a change of a cluster's pods waits (status.pendingRollout), by what it waits for; else it is not there",
                Some("reason"),
            )?,
            last_looks: described(
                "osc_operator_cluster_last_look_timestamp_seconds",
                "When the operator last looked at a cluster, in seconds since 1970",
                None,
            )?,
            foreign: described(
                "osc_operator_foreign_clusters",
                "Clusters that this operator sees and leaves alone, because another one runs them",
                None,
            )?,
            shown: Arc::default(),
        })
    }

    /// Shows the figures of a cluster.
    pub(super) fn observed(&self, namespace: &str, name: &str, figures: &ClusterFigures) {
        let shown = Shown::Own(figures.clone(), Timestamp::now());
        self.lock().insert(place(namespace, name), shown);
    }

    /// Shows a cluster as another operator's, and nothing else of it.
    pub(super) fn is_foreign(&self, namespace: &str, name: &str) {
        self.lock().insert(place(namespace, name), Shown::Foreign);
    }

    /// Shows nothing more of a cluster.
    pub(super) fn forget(&self, namespace: &str, name: &str) {
        self.lock().remove(&place(namespace, name));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Clusters {
    fn desc(&self) -> Vec<&Desc> {
        let Self {
            conditions,
            members,
            pending,
            last_looks,
            foreign,
            shown: _,
        } = self;
        vec![conditions, members, pending, last_looks, foreign]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let families = <[Vec<Metric>; 5]>::default();
        let [
            mut conditions,
            mut members,
            mut pending,
            mut last_looks,
            mut foreign,
        ] = families;
        for (place, shown) in self.lock().iter() {
            let gauge = |label: Option<(&str, &str)>, value| gauge(place, label, value);
            let (figures, looked) = match shown {
                Shown::Foreign => {
                    foreign.push(gauge(None, 1.0));
                    continue;
                }
                Shown::Own(figures, looked) => (figures, looked),
            };
            let seconds = u32::try_from(looked.as_second()).unwrap_or_default();
            last_looks.push(gauge(None, seconds.into()));
            for (type_, holds) in &figures.conditions {
                let value = holds.map(|holds| f64::from(u8::from(holds)));
                let label = Some(("condition", *type_));
                conditions.extend(value.map(|value| gauge(label, value)));
            }
            let waiting = figures.pending.iter().filter(|(_, waits)| *waits);
            pending.extend(waiting.map(|(reason, _)| gauge(Some(("reason", *reason)), 1.0)));
            let counts = [
                ("present", figures.present),
                ("ready", figures.ready),
                ("reachable", figures.reachable),
            ];
            members.extend(counts.map(|(state, count)| {
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                gauge(Some(("state", state)), count.into())
            }));
        }
        vec![
            family(&self.conditions, conditions),
            family(&self.members, members),
            family(&self.pending, pending),
            family(&self.last_looks, last_looks),
            family(&self.foreign, foreign),
        ]
    }
}

fn place(namespace: &str, name: &str) -> (String, String) {
    (namespace.to_owned(), name.to_owned())
}

fn described(name: &str, help: &str, label: Option<&str>) -> Result<Desc, prometheus::Error> {
    let labels = ["namespace", "name"].into_iter().chain(label);
    let labels = labels.map(str::to_owned).collect();
    Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
}

fn family(of: &Desc, gauges: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(of.fq_name.clone());
    family.set_help(of.help.clone());
    family.set_field_type(MetricType::GAUGE);
    family.set_metric(gauges);
    family
}

/// The value of a cluster, its labels in the order of their names.
fn gauge(place: &(String, String), label: Option<(&str, &str)>, value: f64) -> Metric {
    let (namespace, name) = place;
    let own = [("name", name.as_str()), ("namespace", namespace)];
    let mut labels: Vec<_> = own.into_iter().chain(label).collect();
    labels.sort_unstable();
    let labels = labels.into_iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    });
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_gauge(gauge);
    metric.set_label(labels.collect());
    metric
}
