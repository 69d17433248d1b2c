//! The promises about conditions as such, in every state.

use std::collections::BTreeMap;

use serde_json::Value;

use super::all;

#[test]
fn conditions_of_every_state_are_whole_and_do_not_contradict_each_other() {
    for state in all() {
        let name = &state["name"];
        let told = state["resource"]["status"]["conditions"].as_array();
        let told: Vec<_> = told.into_iter().flatten().collect();
        let by_type: BTreeMap<_, _> = told
            .iter()
            .map(|told| {
                (
                    told["type"].as_str().unwrap(),
                    told["status"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(by_type.len(), told.len(), "{name}: one of a type");
        for condition in told {
            for member in ["reason", "message", "lastTransitionTime"] {
                let text = condition[member].as_str();
                assert!(
                    text.is_some_and(|text| !text.is_empty()),
                    "{name}: {condition}"
                );
            }
            assert!(
                condition["observedGeneration"].is_i64(),
                "{name}: {condition}"
            );
        }
        // They are there only while they are true.
        for type_ in ["Reconciling", "Stalled", "Paused", "RebuildBlocked"] {
            let status = by_type.get(type_);
            assert!(
                status.is_none_or(|status| *status == "True"),
                "{name}: {type_}"
            );
        }
        let both = ["Reconciling", "Stalled"].map(|type_| by_type.contains_key(type_));
        assert_ne!(both, [true, true], "{name}");
        for type_ in ["Ready", "Available"] {
            assert_ne!(by_type.get(type_), Some(&"Unknown"), "{name}: {type_}");
        }
        let is_known = state["resource"]["status"]["conditions"] != Value::Null;
        assert_eq!(is_known, by_type.contains_key("Ready"), "{name}");
    }
}
