//! The present pod template of a cluster: changes of its fields enter at once, and the operator's own changes when
//! `spec.upgrade` allows it.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ConfigMap, PodTemplateSpec},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};

use super::{
    accepted::{Accepted, Change, changes, number},
    turns::{Held, Place},
};
use crate::{
    cluster::{
        context::Context,
        resource::{PendingRollout, UpgradePolicy},
        validate::ValidatedCluster,
    },
    names::{ANNOTATION_ACCEPT, ANNOTATION_ROLLING_OUT},
    node::AccessKey,
};

/// The decision.
#[derive(Debug)]
pub(in crate::cluster) struct Upgrade {
    accepted: Accepted,
    /// The changes that wait.
    pub(in crate::cluster) upcoming: Upcoming,
    /// The changes that are accepted now.
    pub(in crate::cluster) let_in: Option<LetIn>,
}

/// The knowledge of changes that wait.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::cluster) enum Upcoming {
    /// The operator has not looked.
    #[default]
    Unknown,
    /// None does.
    Nothing,
    /// These changes wait.
    Waits(Pending),
}

/// Changes that wait.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cluster) struct Pending {
    changes: Vec<Change>,
    number: String,
    waits: Waits,
    /// The nodes' image until then.
    pub(in crate::cluster) image: Option<String>,
}

/// Accepted changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetIn {
    /// The number of the changes.
    pub number: String,
    /// Each in words.
    pub changes: Vec<String>,
}

/// The cause of a wait: a user, or another one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Waits {
    /// That the resource goes on.
    Paused,
    /// A person.
    Approval,
    /// A window; `None` where none ever opens.
    Window(Option<Timestamp>),
    /// Another cluster.
    Other(Place),
    /// The watches do not show all clusters yet.
    Starting,
}

/// How a cluster is.
#[derive(Debug, Clone, Copy)]
pub(in crate::cluster) struct Situation<'a> {
    /// The accepted template; `None` where no workload exists.
    pub(in crate::cluster) accepted: Option<&'a Accepted>,
    /// Labels and annotations of the workload.
    pub(in crate::cluster) metadata: Option<&'a ObjectMeta>,
    /// Whether all of its pods are of the template that has.
    pub(in crate::cluster) is_rolled_out: bool,
    /// Whether a rollout may begin, or the call only asks whether one could.
    pub(in crate::cluster) may_begin: bool,
    /// Whether its namespace is being deleted.
    pub(in crate::cluster) is_ending: bool,
    /// The time.
    pub(in crate::cluster) now: Timestamp,
}

/// Decides. A turn that is taken here is given back once no rollout is under way.
pub(in crate::cluster) fn upgrade(
    cluster: &ValidatedCluster,
    wanted: &PodTemplateSpec,
    situation: Situation<'_>,
    context: &Context,
) -> Upgrade {
    let wanted = serde_json::to_value(wanted).unwrap_or_default();
    let place = (cluster.namespace.clone(), cluster.name.as_str().to_owned());
    let Some(accepted) = situation.accepted else {
        return Upgrade {
            accepted: Accepted::all_of(cluster, wanted),
            upcoming: Upcoming::Nothing,
            let_in: None,
        };
    };
    let mut accepted = accepted.clone();
    if situation.is_rolled_out && situation.mark() == accepted.rollout.as_ref() {
        accepted.rollout = None;
    }
    accepted.follow(cluster, &wanted);
    let changes = changes(&accepted.template, &wanted);
    let (mut upcoming, mut let_in) = (Upcoming::Nothing, None);
    if !changes.is_empty() {
        let number = number(&changes);
        let waits = policy(cluster, &number, situation.now)
            .or_else(|| turn(&place, situation.may_begin, context));
        if let Some(waits) = waits {
            upcoming = Upcoming::Waits(Pending {
                changes,
                number,
                waits,
                image: accepted.image().map(str::to_owned),
            });
        } else {
            accepted = Accepted::all_of(cluster, wanted);
            accepted.rollout = Some(number.clone());
            let changes = changes.iter().map(in_words).collect();
            let_in = Some(LetIn { number, changes });
        }
    }
    let may_go_on = !cluster.spec.paused && !situation.is_ending;
    match accepted.rollout {
        // Its turn was taken with it, where it may begin at all.
        Some(_) if let_in.is_some() => {}
        Some(_) if may_go_on => context.turns.hold(&place),
        Some(_) => context.turns.pass_over(&place),
        None => context.turns.release(&place),
    }
    Upgrade {
        accepted,
        upcoming,
        let_in,
    }
}

impl Situation<'_> {
    /// The mark of a rollout on the workload.
    fn mark(&self) -> Option<&String> {
        let annotations = self.metadata?.annotations.as_ref()?;
        annotations.get(ANNOTATION_ROLLING_OUT)
    }
}

/// The cause for which the resource waits.
fn policy(cluster: &ValidatedCluster, number: &str, now: Timestamp) -> Option<Waits> {
    let upgrade = &cluster.spec.upgrade;
    if cluster.spec.paused {
        return Some(Waits::Paused);
    }
    match upgrade.policy {
        UpgradePolicy::Automatic => None,
        UpgradePolicy::Manual => {
            let is_accepted = cluster.accepts.as_deref() == Some(number);
            (!is_accepted).then_some(Waits::Approval)
        }
        UpgradePolicy::Window => {
            let window = upgrade.window.as_ref();
            let is_open = window.is_some_and(|window| window.is_open(now));
            let opens = window.and_then(|window| window.opening_after(now));
            (!is_open).then_some(Waits::Window(opens))
        }
    }
}

/// The cause for which the operator waits.
fn turn(place: &Place, may_begin: bool, context: &Context) -> Option<Waits> {
    let (turns, marked) = (&context.turns, || context.rolling_out());
    let turn = if may_begin {
        turns.take(place, marked)
    } else {
        turns.is_free(place, marked)
    };
    match turn {
        Ok(()) => None,
        Err(Held::By(other)) => Some(Waits::Other(other)),
        Err(Held::Unseen) => Some(Waits::Starting),
    }
}

fn in_words(change: &Change) -> String {
    let told = change.told();
    match (told.from, told.to) {
        (Some(from), Some(to)) => format!("{}: {from} -> {to}", told.field),
        (None, Some(to)) => format!("{}: {to} comes", told.field),
        (_, None) => format!("{} goes", told.field),
    }
}

impl Upgrade {
    /// Writes it into the object to apply.
    pub(in crate::cluster) fn shape(
        &self,
        metadata: &mut ObjectMeta,
        template: Option<&mut PodTemplateSpec>,
    ) {
        if let (Some(accepted), Some(template)) = (self.accepted.typed(), template) {
            *template = accepted;
        }
        if let Some(rollout) = &self.accepted.rollout {
            let annotations = metadata.annotations.get_or_insert_default();
            annotations.insert(ANNOTATION_ROLLING_OUT.to_owned(), rollout.clone());
        }
    }

    /// The ConfigMap that keeps it.
    pub(in crate::cluster) fn config_map(
        &self,
        cluster: &ValidatedCluster,
        key: &AccessKey,
    ) -> ConfigMap {
        self.accepted.config_map(cluster, key)
    }
}

impl Pending {
    /// The changes in the form of the status.
    pub(in crate::cluster) fn told(
        &self,
        cluster: &ValidatedCluster,
        pods: Vec<String>,
    ) -> PendingRollout {
        let number = &self.number;
        let (reason, message) = match &self.waits {
            Waits::Paused => ("Paused", "spec.paused is true".to_owned()),
            Waits::Approval => {
                let (name, namespace) = (&cluster.name, &cluster.namespace);
                let message = format!(
                    "upgrade.policy is Manual. Let it in: kubectl annotate osc {name} -n {namespace} --overwrite {ANNOTATION_ACCEPT}={number}"
                );
                ("Manual", message)
            }
            Waits::Window(Some(opens)) => {
                let message =
                    format!("upgrade.policy is Window, and the next one opens at {opens}");
                ("Window", message)
            }
            Waits::Window(None) => {
                let message = "upgrade.policy is Window, and none opens in the next four years";
                ("Window", message.to_owned())
            }
            Waits::Other((namespace, name)) => {
                let message = format!(
                    "pods of cluster {namespace}/{name} are being replaced; the next cluster follows when it is done"
                );
                ("OtherCluster", message)
            }
            Waits::Starting => {
                let message = "the operator has begun a moment ago, and looks which clusters are being rolled out";
                ("Starting", message.to_owned())
            }
        };
        let opens_at = match self.waits {
            Waits::Window(opens) => opens.map(Time),
            _ => None,
        };
        PendingRollout {
            changes: self.changes.iter().map(Change::told).collect(),
            pods,
            reason: reason.to_owned(),
            message,
            opens_at,
            accept: number.clone(),
        }
    }
}
