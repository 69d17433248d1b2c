use serde_json::{Value, json};

use super::*;
use crate::names::ANNOTATION_ASKED_SIZE;

/// A claim that requests one size and has another capacity.
fn claim(ordinal: usize, requested: &str, capacity: &str) -> VolumeClaim {
    read(ordinal, requested, |claim| {
        claim["status"] = json!({ "phase": "Bound", "capacity": { "storage": capacity } });
    })
}

fn read(ordinal: usize, requested: &str, change: impl Fn(&mut Value)) -> VolumeClaim {
    let mut claim = json!({
        "metadata": { "name": format!("data-prod-{ordinal}"), "uid": "u", "resourceVersion": "7" },
        "spec": { "storageClassName": "fast", "resources": { "requests": { "storage": requested } } },
        "status": { "phase": "Pending" },
    });
    change(&mut claim);
    VolumeClaim::read(&serde_json::from_value(claim).unwrap()).unwrap()
}

/// The same, requested by the operator.
fn asked(ordinal: usize, requested: &str, capacity: &str) -> VolumeClaim {
    read(ordinal, requested, |claim| {
        claim["metadata"]["annotations"] = json!({ ANNOTATION_ASKED_SIZE: requested });
        claim["status"] = json!({ "phase": "Bound", "capacity": { "storage": capacity } });
    })
}

fn three(of: [(&str, &str); 3]) -> Vec<VolumeClaim> {
    let of = of.into_iter().enumerate();
    of.map(|(ordinal, (requested, capacity))| claim(ordinal, requested, capacity))
        .collect()
}

fn decide(
    wanted: &str,
    template: Option<&str>,
    claims: &[VolumeClaim],
    class: Expansion,
) -> Growth {
    let situation = Situation {
        wanted: VolumeSize::read(wanted),
        template: template.and_then(VolumeSize::read),
        nodes: 3,
        claims,
    };
    plan(&situation, &[("fast".to_owned(), class)].into())
}

fn grow(wanted: &str, template: &str, claims: &[VolumeClaim]) -> Growth {
    decide(wanted, Some(template), claims, Expansion::Allowed)
}

/// The claims with a request, and the message in the status.
fn growing(growth: &Growth) -> (Vec<&str>, String) {
    let Growth::Growing { asks, .. } = growth else {
        panic!("{growth:?}");
    };
    let asked = asks.iter().map(|ask| ask.claim.name.as_str()).collect();
    (asked, growth.message().unwrap())
}

fn stalled(growth: &Growth) -> (&str, &str) {
    let why = growth.stalled().unwrap();
    (why.reason, &why.message)
}

#[test]
fn volumes_of_the_size_that_is_asked_for_are_left_alone() {
    let same = three([("1Gi", "1Gi"); 3]);
    assert_eq!(grow("1Gi", "1Gi", &same), Growth::Settled);
    assert_eq!(grow("1024Mi", "1Gi", &same), Growth::Settled);
    let made_beforehand = three([("1Gi", "10Gi"); 3]);
    assert_eq!(grow("1Gi", "1Gi", &made_beforehand), Growth::Settled);
    let new = [read(0, "1Gi", |_| {}), read(1, "1Gi", |_| {})];
    assert_eq!(grow("1Gi", "1Gi", &new), Growth::Settled);
}

#[test]
fn every_smaller_claim_is_asked_for_more_and_its_file_system_is_waited_for() {
    let begun = grow("2Gi", "1Gi", &three([("1Gi", "1Gi"); 3]));
    let all = vec!["data-prod-0", "data-prod-1", "data-prod-2"];
    assert_eq!(growing(&begun), (all, "0 of 3 volumes have 2Gi".to_owned()));

    let on_the_way = three([("2Gi", "2Gi"), ("2Gi", "1Gi"), ("1Gi", "1Gi")]);
    let on_the_way = grow("2Gi", "1Gi", &on_the_way);
    let words = "1 of 3 volumes has 2Gi".to_owned();
    assert_eq!(growing(&on_the_way), (vec!["data-prod-2"], words));

    let waiting = three([("2Gi", "2Gi"), ("2Gi", "2Gi"), ("2Gi", "1Gi")]);
    let words = "2 of 3 volumes have 2Gi".to_owned();
    assert_eq!(growing(&grow("2Gi", "1Gi", &waiting)), (vec![], words));
}

#[test]
fn the_template_follows_once_all_volumes_have_it() {
    let grown = grow("2Gi", "1Gi", &three([("2Gi", "2Gi"); 3]));
    assert!(matches!(grown, Growth::Following { .. }), "{grown:?}");
    assert!(
        grown
            .message()
            .unwrap()
            .starts_with("3 of 3 volumes have 2Gi; ")
    );
    assert_eq!(
        grow("2Gi", "2Gi", &three([("2Gi", "2Gi"); 3])),
        Growth::Settled
    );
}

#[test]
fn a_kept_volume_that_a_node_takes_up_again_grows_after_the_template() {
    let kept = three([("2Gi", "2Gi"), ("2Gi", "2Gi"), ("1Gi", "1Gi")]);
    let words = "2 of 3 volumes have 2Gi".to_owned();
    assert_eq!(
        growing(&grow("2Gi", "2Gi", &kept)),
        (vec!["data-prod-2"], words)
    );
    let mut of_nobody = three([("2Gi", "2Gi"); 3]);
    of_nobody.push(claim(3, "1Gi", "1Gi"));
    assert_eq!(
        grow("2Gi", "2Gi", &of_nobody),
        Growth::Settled,
        "its node is not there"
    );
}

#[test]
fn a_set_that_went_before_it_was_made_anew_is_made_with_the_new_size() {
    let grown = three([("2Gi", "2Gi"); 3]);
    assert_eq!(
        decide("2Gi", None, &grown, Expansion::Allowed),
        Growth::Settled
    );
    let smaller = decide("1Gi", None, &grown, Expansion::Allowed);
    assert_eq!(stalled(&smaller).0, "VolumeWouldShrink");
    let Growth::Stalled { template, .. } = smaller else {
        panic!("{smaller:?}");
    };
    assert_eq!(template, VolumeSize::read("2Gi"), "it is made all the same");
}

#[test]
fn a_class_without_expansion_stops_it_before_any_claim_is_asked() {
    for (class, said) in [
        (Expansion::NotAllowed, "kubectl patch storageclass fast"),
        (Expansion::NoClass, "does not exist"),
    ] {
        let growth = decide("2Gi", Some("1Gi"), &three([("1Gi", "1Gi"); 3]), class);
        let (reason, message) = stalled(&growth);
        assert_eq!(reason, "VolumesCannotGrow");
        assert!(message.contains(said), "{message}");
        assert!(
            message.contains("set storage.size back to 1Gi"),
            "{message}"
        );
        // The size is taken back.
        let back = decide("1Gi", Some("1Gi"), &three([("1Gi", "1Gi"); 3]), class);
        assert_eq!(back, Growth::Settled);
    }
    let unknown = decide(
        "2Gi",
        Some("1Gi"),
        &three([("1Gi", "1Gi"); 3]),
        Expansion::Unknown,
    );
    assert_eq!(
        growing(&unknown).0.len(),
        3,
        "the API server itself will say"
    );
    let no_class = read(0, "1Gi", |claim| {
        claim["spec"]["storageClassName"] = json!("");
        claim["status"] = json!({ "phase": "Bound", "capacity": { "storage": "1Gi" } });
    });
    let growth = grow("2Gi", "1Gi", &[no_class]);
    assert_eq!(stalled(&growth).0, "VolumesCannotGrow");
}

#[test]
fn what_the_driver_says_is_told_and_what_it_gave_up_stops_it() {
    let failing = |step: &str| {
        let (step, mut claims) = (step.to_owned(), three([("2Gi", "2Gi"); 3]));
        claims[1] = read(1, "2Gi", |claim| {
            claim["status"] = json!({
                "phase": "Bound", "capacity": { "storage": "1Gi" },
                "allocatedResourceStatuses": { "storage": step },
                "conditions": [{ "type": "ControllerResizeError", "status": "True", "message": "no space in the pool" }],
            });
        });
        grow("2Gi", "1Gi", &claims)
    };
    let (asked, told) = (
        Vec::<&str>::new(),
        "2 of 3 volumes have 2Gi; volume data-prod-1: no space in the pool",
    );
    assert_eq!(
        growing(&failing("ControllerResizeInProgress")),
        (asked, told.to_owned())
    );
    let given_up = failing("ControllerResizeInfeasible");
    let (reason, message) = stalled(&given_up);
    assert_eq!(reason, "VolumeGrowthFailed");
    assert!(message.contains("no space in the pool"), "{message}");
}

#[test]
fn a_growth_that_failed_is_taken_back_to_what_volumes_have() {
    let failed = [
        asked(0, "10Gi", "2Gi"),
        asked(1, "10Gi", "1Gi"),
        asked(2, "10Gi", "1Gi"),
    ];
    let sizes = |growth: &Growth| match growth {
        Growth::Growing { asks, .. } => asks.iter().map(|ask| ask.size.to_string()).collect(),
        _ => Vec::new(),
    };
    // Kubernetes lowers a request only to a size above the capacity.
    let above = ["2147483649", "1073741825", "1073741825"];
    assert_eq!(sizes(&grow("1Gi", "1Gi", &failed)), above);
    let lowered = [
        asked(0, above[0], "2Gi"),
        asked(1, above[1], "1Gi"),
        asked(2, above[2], "1Gi"),
    ];
    assert_eq!(grow("1Gi", "1Gi", &lowered), Growth::Settled);
    let rounded = three([(above[0], "3Gi"), (above[1], "2Gi"), (above[2], "2Gi")]);
    assert_eq!(
        grow("1Gi", "1Gi", &rounded),
        Growth::Settled,
        "as the driver counts"
    );
    let higher = grow("3Gi", "1Gi", &failed);
    assert_eq!(
        growing(&higher).0.len(),
        3,
        "claims ask for less, and for more than they have"
    );
    let after = three([(above[1], "1Gi"); 3]);
    assert!(matches!(
        grow("1Gi", "10Gi", &after),
        Growth::Following { .. }
    ));
    let partly = grow("1Gi", "10Gi", &failed);
    let (reason, message) = stalled(&partly);
    assert_eq!(reason, "VolumeWouldShrink");
    assert!(message.contains("Set it to 2Gi or more"), "{message}");
}

#[test]
fn a_claim_that_somebody_else_grows_is_left_alone() {
    let on_its_way = three([("10Gi", "1Gi"), ("1Gi", "1Gi"), ("1Gi", "1Gi")]);
    assert_eq!(grow("1Gi", "1Gi", &on_its_way), Growth::Settled);
    let done = three([("10Gi", "10Gi"), ("1Gi", "1Gi"), ("1Gi", "1Gi")]);
    assert_eq!(grow("1Gi", "1Gi", &done), Growth::Settled);
    // Other claims request the resource's size; this one has it, or requests more already.
    let others = vec!["data-prod-1", "data-prod-2"];
    for first in [done, on_its_way] {
        assert_eq!(growing(&grow("2Gi", "1Gi", &first)).0, others);
    }
}
