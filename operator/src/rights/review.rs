//! The rights that the operator lacks in a namespace, as the API server itself reports them.

use std::fmt;

use k8s_openapi::api::authorization::v1::{
    ResourceRule, SelfSubjectRulesReview, SelfSubjectRulesReviewSpec, SubjectRulesReviewStatus,
};
use kube::{Api, Client, api::PostParams};

use super::{Need, RIGHTS, Rule, Scope};

/// The missing verbs on one kind of object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The verbs that are missing.
    pub verbs: Vec<&'static str>,
    /// The kind in the form for `kubectl`, such as `statefulsets.apps`.
    pub objects: String,
    /// Whether the operator can do without.
    pub need: Need,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verbs.join(", "), self.objects)
    }
}

/// Asks the API server for the rights of this process in a namespace. `None` where they are not known: then each refusal shows
/// it.
pub(super) async fn review(client: &Client, namespace: &str) -> Option<Vec<Lack>> {
    let question = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec {
            namespace: Some(namespace.to_owned()),
        },
        ..SelfSubjectRulesReview::default()
    };
    let api: Api<SelfSubjectRulesReview> = Api::all(client.clone());
    match api.create(&PostParams::default(), &question).await {
        Ok(answer) => answer.status.filter(is_whole).map(|told| lacks(&told)),
        Err(error) => {
            tracing::debug!(error = %error, namespace, "rights_not_reviewed");
            None
        }
    }
}

/// An authorizer outside Kubernetes need not list the rights that it grants.
fn is_whole(told: &SubjectRulesReviewStatus) -> bool {
    !told.incomplete
}

fn lacks(told: &SubjectRulesReviewStatus) -> Vec<Lack> {
    let mut lacks = Vec::new();
    for right in RIGHTS.iter().filter(|right| right.scope == Scope::Clusters) {
        let Rule {
            group,
            resources,
            verbs,
        } = right.rule;
        for resource in resources {
            let missing: Vec<_> = verbs
                .iter()
                .copied()
                .filter(|verb| {
                    let mut rules = told.resource_rules.iter();
                    !rules.any(|rule| allows(rule, group, resource, verb))
                })
                .collect();
            if !missing.is_empty() {
                lacks.push(Lack {
                    verbs: missing,
                    objects: qualified(group, resource),
                    need: right.need,
                });
            }
        }
    }
    lacks
}

/// Whether a rule allows this for objects of every name.
fn allows(rule: &ResourceRule, group: &str, resource: &str, verb: &str) -> bool {
    let has = |list: Option<&Vec<String>>, wanted: &str| {
        list.is_some_and(|list| list.iter().any(|item| item == wanted || item == "*"))
    };
    let of_any_parent = resource
        .split_once('/')
        .is_some_and(|(_, subresource)| has(rule.resources.as_ref(), &format!("*/{subresource}")));
    has(Some(&rule.verbs), verb)
        && has(rule.api_groups.as_ref(), group)
        && (has(rule.resources.as_ref(), resource) || of_any_parent)
        && rule.resource_names.as_ref().is_none_or(Vec::is_empty)
}

/// A kind in the form for `kubectl`.
pub(crate) fn qualified(group: &str, resource: &str) -> String {
    match (group, resource.split_once('/')) {
        ("", _) => resource.to_owned(),
        (group, None) => format!("{resource}.{group}"),
        (group, Some((resource, subresource))) => format!("{resource}.{group}/{subresource}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> ResourceRule {
        let owned = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect::<Vec<_>>();
        ResourceRule {
            api_groups: Some(owned(groups)),
            resources: Some(owned(resources)),
            verbs: owned(verbs),
            resource_names: None,
        }
    }

    fn told(resource_rules: Vec<ResourceRule>) -> SubjectRulesReviewStatus {
        SubjectRulesReviewStatus {
            resource_rules,
            ..SubjectRulesReviewStatus::default()
        }
    }

    fn all() -> Vec<ResourceRule> {
        RIGHTS
            .iter()
            .map(|right| rule(&[right.rule.group], right.rule.resources, right.rule.verbs))
            .collect()
    }

    #[test]
    fn what_the_list_grants_is_enough_and_an_administrator_lacks_nothing() {
        assert_eq!(lacks(&told(all())), []);
        assert_eq!(lacks(&told(vec![rule(&["*"], &["*"], &["*"])])), []);
    }

    #[test]
    fn each_missing_verb_is_named_with_its_kind() {
        let mut rules = all();
        for rule in &mut rules {
            if rule.resources == Some(vec!["secrets".to_owned()]) {
                rule.verbs.retain(|verb| verb != "create" && verb != "list");
            }
        }
        rules.retain(|rule| rule.resources != Some(vec!["statefulsets".to_owned()]));
        let lacks = lacks(&told(rules));
        let words: Vec<_> = lacks.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                "get, list, watch, create, patch statefulsets.apps",
                "delete statefulsets.apps",
                "list, create secrets"
            ]
        );
        let needs = lacks.iter().map(|lack| lack.need);
        assert!(needs.eq([Need::Required, Need::Optional, Need::Required]));
    }

    #[test]
    fn a_right_to_some_names_only_is_none() {
        let mut rules = all();
        for rule in &mut rules {
            if rule.resources == Some(vec!["secrets".to_owned()]) {
                rule.resource_names = Some(vec!["one".to_owned()]);
            }
        }
        assert_eq!(lacks(&told(rules)).len(), 1);
    }

    #[test]
    fn a_subresource_of_every_kind_is_understood() {
        let rule = rule(&["opensecureconf.io"], &["*/status"], &["patch"]);
        let allowed = |resource| allows(&rule, "opensecureconf.io", resource, "patch");
        assert!(allowed("opensecureconfclusters/status"));
        assert!(!allowed("opensecureconfclusters/finalizers"));
        assert!(!allowed("opensecureconfclusters"));
    }

    #[test]
    fn an_answer_that_is_not_whole_decides_nothing() {
        let mut answer = told(Vec::new());
        assert!(is_whole(&answer));
        answer.incomplete = true;
        assert!(!is_whole(&answer));
    }
}
