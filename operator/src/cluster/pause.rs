//! Changes that wait while a resource is paused: children that differ from its spec, unless a user changed them by hand. Pure.

use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;

use super::{
    build::ClusterResources,
    dereference::{DereferencedObjects, OptionalKind},
    difference,
    stalled::Stalled,
};
use crate::{names::LABEL_AUTHORITIES, service_monitor::ServiceMonitor};

/// The waiting changes of a paused resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pause {
    /// The waiting changes, each as a child and its fields.
    pub waits: Vec<String>,
}

/// The reason where changes of a paused resource wait.
pub(super) const PAUSED: &str = "Paused";

impl Pause {
    /// The message in the status.
    pub(super) fn message(&self) -> String {
        if self.waits.is_empty() {
            return "spec.paused is true: changes of the spec wait, and there are none; certificates are renewed, and the status goes on"
                .to_owned();
        }
        format!(
            "spec.paused is true, so this waits: {}. Set it to false to have it applied; certificates are renewed, and the status goes on",
            self.waits.join("; ")
        )
    }

    /// That changes wait, where the resource has changed since it was last applied.
    pub(super) fn stalled(&self, applied: Option<i64>, generation: Option<i64>) -> Option<Stalled> {
        (!self.waits.is_empty() && applied < generation).then(|| Stalled {
            reason: PAUSED,
            message: self.message(),
        })
    }
}

/// Finds the waiting changes.
pub(super) fn waiting<W>(
    resources: &ClusterResources<W>,
    found: &DereferencedObjects,
) -> Vec<String>
where
    W: Resource<DynamicType = ()> + Serialize,
{
    let ClusterResources {
        service_account,
        config_map,
        // It follows the certificates, and so it never waits.
        ca_config_map: _,
        headless_service,
        client_service,
        network_policy,
        disruption_budget,
        service_monitor,
        certificate,
        // It follows the nodes.
        template_config_map: _,
        workload,
    } = resources;
    let own = workload.name_any();
    let served = |kind: &OptionalKind| *kind == OptionalKind::Served;
    let mut told = vec![
        one(found, &own, Some(workload)),
        one(found, &own, Some(client_service)),
        one(found, &headless_service.name_any(), Some(headless_service)),
        one(found, &config_map.name_any(), Some(config_map)),
        one(found, &own, Some(service_account)),
        one(found, &own, network_policy.as_ref()),
        one(found, &own, disruption_budget.as_ref()),
    ];
    if served(&found.service_monitors) {
        let wanted = service_monitor.clone();
        told.push(one(
            found,
            &own,
            wanted.map(|wanted| following(wanted, found)).as_ref(),
        ));
    }
    if served(&found.certificates) {
        told.push(one(found, &own, certificate.as_ref()));
    }
    told.into_iter().flatten().collect()
}

/// The same with the label that is there: it follows the authorities, and so it never waits.
fn following(mut wanted: ServiceMonitor, found: &DereferencedObjects) -> ServiceMonitor {
    let child = found.child(&ServiceMonitor::kind(&()), &wanted.name_any());
    let live = child.and_then(|child| child.live.as_ref());
    let labels = live.and_then(|live| live.object.pointer("/metadata/labels"));
    let there = labels.and_then(|labels| labels.get(LABEL_AUTHORITIES)?.as_str());
    if live.is_some()
        && let Some(labels) = wanted.metadata.labels.as_mut()
    {
        match there {
            Some(there) => labels.insert(LABEL_AUTHORITIES.to_owned(), there.to_owned()),
            None => labels.remove(LABEL_AUTHORITIES),
        };
    }
    wanted
}

fn one<K>(found: &DereferencedObjects, name: &str, wanted: Option<&K>) -> Option<String>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let kind = K::kind(&());
    let child = found.child(&kind, name);
    let live = child.and_then(|child| child.live.as_ref());
    match (wanted, live) {
        (None, None) => None,
        (None, Some(_)) => Some(format!("{kind} {name} goes")),
        (Some(_), None) => Some(format!("{kind} {name} is made")),
        (Some(wanted), Some(live)) => {
            let wanted: Value = serde_json::to_value(wanted).unwrap_or_default();
            let fields: Vec<_> = difference::differing(&wanted, &live.object)
                .into_iter()
                .filter(|path| difference::manager_of(path, &live.managers).is_none())
                .chain(difference::unwanted(&wanted, &live.managers))
                .map(|path| path.to_string())
                .collect();
            (!fields.is_empty()).then(|| format!("{kind} {name} ({})", fields.join(", ")))
        }
    }
}
