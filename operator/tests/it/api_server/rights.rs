//! What an operator may do here: what its list of rights grants, except for what a test took away.

use http::{Method, StatusCode};
use opensecureconf_operator::rights::RIGHTS;
use serde_json::{Value, json};

use super::{State, failure};

/// The verb and kind of a request, as RBAC sees it.
pub(super) struct Attempt {
    verb: &'static str,
    group: String,
    /// With its subresource.
    kind: String,
}

impl Attempt {
    /// `/api/v1/...` or `/apis/GROUP/VERSION/...`, then perhaps `namespaces/NAMESPACE/`, then `KIND/NAME/SUBRESOURCE`.
    pub(super) fn read(method: &Method, path: &str) -> Option<Self> {
        let (group, rest) = match path.strip_prefix("/apis/") {
            Some(rest) => rest.split_once('/')?,
            None => ("", path.strip_prefix("/api/")?),
        };
        let (_version, mut rest) = rest.split_once('/')?;
        if let Some((_, inside)) = rest
            .strip_prefix("namespaces/")
            .and_then(|inside| inside.split_once('/'))
        {
            rest = inside;
        }
        let mut parts = rest.split('/');
        let kind = parts.next()?.to_owned();
        let name = parts.next();
        let group = group.to_owned();
        Some(Self {
            verb: match (method, name) {
                (&Method::GET, None) => "list",
                (&Method::GET, Some(_)) => "get",
                (&Method::POST, _) => "create",
                (&Method::PATCH, _) => "patch",
                (&Method::DELETE, _) => "delete",
                _ => "update",
            },
            group,
            kind: parts
                .next()
                .map_or_else(|| kind.clone(), |part| format!("{kind}/{part}")),
        })
    }

    /// Whether the operator's list of rights allows it.
    pub(super) fn is_granted(&self, denied: &[(String, String)]) -> bool {
        let listed = RIGHTS.iter().any(|right| {
            right.rule.group == self.group
                && right.rule.resources.contains(&self.kind.as_str())
                && right.rule.verbs.contains(&self.verb)
        });
        listed
            && !denied
                .iter()
                .any(|(verb, kind)| verb == self.verb && *kind == self.kind)
    }

    pub(super) fn refusal(&self) -> Value {
        let Self { verb, group, kind } = self;
        let mut answer = failure(StatusCode::FORBIDDEN);
        answer["message"] = format!(
            "{kind} is forbidden: User \"system:serviceaccount:ops:operator\" cannot {verb} resource \"{kind}\" in API group \"{group}\" in \
             the namespace \"team\""
        )
        .into();
        answer
    }
}

/// The answer to a caller that asks who it is.
pub(super) fn account() -> Value {
    json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {},
        "status": { "userInfo": {
            "username": "system:serviceaccount:opensecureconf-system:opensecureconf-operator", "uid": "of the account",
        } },
    })
}

/// The operator's rights, in the form of the API server's review.
pub(super) fn review(state: &State) -> (StatusCode, Value) {
    if state.is_silent {
        return (StatusCode::FORBIDDEN, failure(StatusCode::FORBIDDEN));
    }
    let rules: Vec<_> = RIGHTS
        .iter()
        .flat_map(|right| {
            right.rule.resources.iter().map(|kind| {
                let verbs: Vec<_> = right
                    .rule
                    .verbs
                    .iter()
                    .filter(|verb| {
                        !state
                            .denied
                            .iter()
                            .any(|(no, of)| no == *verb && of == kind)
                    })
                    .collect();
                json!({ "apiGroups": [right.rule.group], "resources": [kind], "verbs": verbs })
            })
        })
        .collect();
    let answer = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "metadata": {}, "spec": {},
        "status": { "resourceRules": rules, "nonResourceRules": [], "incomplete": false },
    });
    (StatusCode::CREATED, answer)
}
