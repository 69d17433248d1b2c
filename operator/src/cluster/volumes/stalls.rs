//! Each way in which volumes make a cluster stand still, for tests of the status.

use serde_json::{Value, json};

use super::{
    Growth, VolumeClaim, VolumeSize,
    growth::{Expansion, Situation, another_class, plan},
};
use crate::cluster::stalled::Stalled;

fn claim(change: impl Fn(&mut Value)) -> VolumeClaim {
    let mut claim = json!({
        "metadata": { "name": "data-prod-0", "uid": "u", "resourceVersion": "7" },
        "spec": { "storageClassName": "fast", "resources": { "requests": { "storage": "2Gi" } } },
        "status": { "phase": "Bound", "capacity": { "storage": "2Gi" } },
    });
    change(&mut claim);
    VolumeClaim::read(&serde_json::from_value(claim).unwrap()).unwrap()
}

fn growth(wanted: &str, claim: VolumeClaim, class: Expansion) -> Growth {
    let situation = Situation {
        wanted: VolumeSize::read(wanted),
        template: VolumeSize::read("2Gi"),
        nodes: 1,
        claims: &[claim],
    };
    plan(&situation, &[("fast".to_owned(), class)].into())
}

/// All of them, as the operator reports them.
pub(in crate::cluster) fn all() -> Vec<Stalled> {
    let same = || claim(|_| {});
    let given_up = claim(|claim| {
        claim["spec"]["resources"]["requests"]["storage"] = json!("3Gi");
        claim["status"]["allocatedResourceStatuses"] =
            json!({ "storage": "ControllerResizeInfeasible" });
    });
    let planned = [
        growth("3Gi", same(), Expansion::NotAllowed),
        growth("3Gi", same(), Expansion::NoClass),
        growth("3Gi", given_up, Expansion::Allowed),
        growth("1Gi", same(), Expansion::Allowed),
        another_class(Some("slow"), Some("fast")).unwrap(),
        another_class(None, Some("fast")).unwrap(),
    ];
    let stalled = planned.iter().map(|growth| growth.stalled().cloned());
    let growing = growth("3Gi", same(), Expansion::Allowed);
    let may_not = growing.forbidden("shop", "claims is forbidden");
    stalled.chain([may_not]).map(Option::unwrap).collect()
}
