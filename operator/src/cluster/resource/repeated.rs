//! Lists of Kubernetes' own types that it keeps by a key: the API server takes no StatefulSet in which a key stands twice.

use std::collections::BTreeSet;

use super::{ClusterSpec, Violation};

/// The lists in which a key stands twice.
pub(super) fn violations(spec: &ClusterSpec) -> impl Iterator<Item = Violation> {
    let secrets = spec.image_pull_secrets.iter();
    let constraints = spec.topology_spread_constraints.iter();
    let claims = spec.resources.claims.iter().flatten();
    [
        (
            has_repeated(secrets.map(|secret| &secret.name)),
            Violation {
                field: "spec.imagePullSecrets",
                message: "a Secret stands there twice; name it once",
            },
        ),
        (
            has_repeated(constraints.map(|it| (&it.topology_key, &it.when_unsatisfiable))),
            Violation {
                field: "spec.topologySpreadConstraints",
                message: "a topologyKey stands there twice with one whenUnsatisfiable; keep one of them",
            },
        ),
        (
            has_repeated(claims.map(|claim| &claim.name)),
            Violation {
                field: "spec.resources.claims",
                message: "a claim stands there twice; name it once",
            },
        ),
    ]
    .into_iter()
    .filter_map(|(is_repeated, violation)| is_repeated.then_some(violation))
}

fn has_repeated<K: Ord>(mut keys: impl Iterator<Item = K>) -> bool {
    let mut seen = BTreeSet::new();
    !keys.all(|key| seen.insert(key))
}
