//! States of a change of the clients' key: nodes serve in each of them.

use super::{Means, States, with_course};
use crate::cluster::{
    api_key::{KeyRotation, WaitedFor},
    status::Course,
};

pub(super) fn add(states: &mut States) {
    let waited_for = |overdue| WaitedFor {
        nodes: vec!["prod-0".to_owned()],
        overdue,
    };
    for (name, rotation) in [
        ("while another API key waits", KeyRotation::Paused),
        (
            "while another API key is given to nodes",
            KeyRotation::Distributing(waited_for(false)),
        ),
        (
            "with a node that does not prove another API key",
            KeyRotation::Distributing(waited_for(true)),
        ),
        (
            "with the API key before still accepted",
            KeyRotation::PreviousAccepted,
        ),
        (
            "with an earlier API key in the way of another",
            KeyRotation::EarlierAccepted,
        ),
        (
            "while the API key before is forgotten",
            KeyRotation::Leaving(waited_for(false)),
        ),
        (
            "with a node that does not forget the API key before",
            KeyRotation::Leaving(waited_for(true)),
        ),
        ("with another API key", KeyRotation::Rotated),
    ] {
        let course = Course {
            api_key: Some(&rotation),
            ..Course::default()
        };
        let status = with_course(course, 1);
        states.add(&format!("ready, {name}"), Means::Ready, &status);
    }
}
