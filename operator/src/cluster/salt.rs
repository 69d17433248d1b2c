//! The operator's copy of the cluster's salt, and the source of a lost one. Pure.

use opensecureconf_contract::Salt;

use super::{observe::ordinal_of, secrets::ManagedSecret, validate::ValidatedCluster, volumes};

/// The salt of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSalt {
    /// The node's name.
    pub node: String,
    /// Its database's identity.
    pub incarnation: String,
    /// Its salt.
    pub salt: Salt,
}

/// The salts that nodes report where the Secret is lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaltReports {
    /// The members of the cluster: only they surely have its salt. A blank node has the one that was mounted when it started.
    pub members: Vec<MemberSalt>,
    /// Names of nodes that should run and do not answer.
    pub silent: Vec<String>,
    /// Whether no node is to run.
    pub asleep: bool,
}

/// Why a lost salt is not put back now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreBlocked {
    /// No member is left that has it.
    #[error("no node belongs to the cluster, so none surely has it")]
    Nowhere,
    /// No running node could be asked.
    #[error("no node runs that could bring it, because hibernate is true")]
    Asleep,
    /// A node that may know better does not answer.
    #[error(
        "the operator puts it back from a node that belongs to the cluster, and waits for {} to answer", .0.join(", ")
    )]
    Silent(Vec<String>),
    /// Members of several clusters answer.
    #[error("nodes have different salts ({}), so which one was lost is for you to say", told(.0))]
    Disputed(Vec<MemberSalt>),
}

fn told(members: &[MemberSalt]) -> String {
    let each = members.iter();
    let each = each.map(|member| format!("{}: {}", member.node, member.salt.fingerprint()));
    each.collect::<Vec<_>>().join(", ")
}

/// Chooses the salt to restore. `had` is the fingerprint of the lost one, where the status remembers it: one member that has it
/// is enough, otherwise all nodes must answer first.
///
/// # Errors
/// Where no salt is surely the lost one.
pub fn restorable(
    salt_reports: &SaltReports,
    had: Option<&str>,
) -> Result<MemberSalt, RestoreBlocked> {
    let SaltReports {
        members,
        silent,
        asleep,
    } = salt_reports;
    if let Some(first) = members.first()
        && members.iter().any(|member| member.salt != first.salt)
    {
        return Err(RestoreBlocked::Disputed(members.clone()));
    }
    let same =
        |member: &&MemberSalt| had.is_some_and(|had| member.salt.fingerprint().to_string() == had);
    if let Some(member) = members.iter().find(same) {
        return Ok(member.clone());
    }
    if !silent.is_empty() {
        return Err(RestoreBlocked::Silent(silent.clone()));
    }
    if *asleep && members.is_empty() {
        return Err(RestoreBlocked::Asleep);
    }
    members.first().cloned().ok_or(RestoreBlocked::Nowhere)
}

/// A salt that is missing beside the volumes that need it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Secret {secret} is missing, but volumes of this cluster exist ({}): without their salt no value on them can be opened; {why}. {steps}",
    .claims.join(", ")
)]
pub struct SaltMissing {
    secret: String,
    claims: Vec<String>,
    why: RestoreBlocked,
    /// The remedies.
    steps: String,
}

impl SaltMissing {
    /// For this cluster, whose claims are named one by one: a pattern would match another cluster's too.
    pub fn new(cluster: &ValidatedCluster, claims: &[String], why: RestoreBlocked) -> Self {
        Self {
            secret: ManagedSecret::Salt.name(&cluster.name),
            claims: claims.to_vec(),
            steps: steps(cluster, claims, &why),
            why,
        }
    }
}

/// The remedies for a person, the ones that lose nothing first.
fn steps(cluster: &ValidatedCluster, claims: &[String], why: &RestoreBlocked) -> String {
    let (name, namespace) = (&cluster.name, &cluster.namespace);
    let secret = ManagedSecret::Salt.name(name);
    let create =
        format!("`kubectl create secret generic {secret} -n {namespace} --from-file=salt=salt`");
    let mut steps = Vec::new();
    match why {
        RestoreBlocked::Nowhere => {}
        RestoreBlocked::Asleep => steps.push(format!(
            "Wake them, and one that belongs to the cluster brings it: \
             `kubectl patch osc {name} -n {namespace} --type merge -p '{{\"spec\":{{\"hibernate\":false}}}}'`"
        )),
        RestoreBlocked::Silent(silent) => {
            let ordinals: Vec<_> = silent.iter().filter_map(|node| ordinal_of(node)).collect();
            let renewal = volumes::renewal(cluster, &ordinals);
            steps.push(format!(
                "Their events and logs say what they wait for; where their disks are lost, give those up: `{renewal}`"
            ));
        }
        RestoreBlocked::Disputed(members) => {
            let each = members.iter().map(|MemberSalt { node, .. }| {
                format!("`kubectl exec {node} -n {namespace} -c node -- osc-node salt export --output - > salt`")
            });
            let each = each.collect::<Vec<_>>().join(" or ");
            steps.push(format!("Take that of one node, {each}, and put it back: {create}"));
        }
    }
    steps.push(format!(
        "From a backup, by way of any pod that runs: `kubectl exec -i {name}-0 -n {namespace} -c node -- osc-node salt export --from - --output - \
         < backup.db > salt`, then {create} (64 bytes)"
    ));
    if i32::try_from(claims.len()).unwrap_or(i32::MAX) > cluster.spec.replicas {
        let count = claims.len();
        steps.push(format!(
            "Some of these volumes have no node now: with {count} replicas theirs are asked too"
        ));
    }
    let claims = claims.join(" ");
    steps.push(format!(
        "If no copy of the salt is left anywhere, the entries are lost: then delete the OpenSecureConfCluster and these claims \
         (`kubectl delete osc {name} -n {namespace} && kubectl delete pvc {claims} -n {namespace}`), and apply it again to begin anew without them"
    ));
    steps.join(". ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{resource::prod, validate::validate};

    fn of(node: &str, byte: u8) -> MemberSalt {
        MemberSalt {
            node: node.to_owned(),
            incarnation: "i".to_owned(),
            salt: Salt::new([byte; 64]),
        }
    }

    fn heard(members: &[MemberSalt], silent: &[&str]) -> SaltReports {
        SaltReports {
            members: members.to_vec(),
            silent: silent.iter().map(|name| (*name).to_owned()).collect(),
            asleep: false,
        }
    }

    #[test]
    fn where_the_status_knows_it_one_member_is_enough() {
        let had = Salt::new([1; 64]).fingerprint().to_string();
        let one = heard(&[of("a", 1)], &["b"]);
        assert_eq!(restorable(&one, Some(&had)), Ok(of("a", 1)));
    }

    #[test]
    fn otherwise_all_nodes_are_heard_first() {
        let other = Salt::new([9; 64]).fingerprint().to_string();
        for had in [None, Some(other.as_str())] {
            let some = heard(&[of("a", 1)], &["b"]);
            let waits = Err(RestoreBlocked::Silent(vec!["b".to_owned()]));
            assert_eq!(restorable(&some, had), waits);
            // Whatever the status remembers: it also remembers a Secret that was wrong.
            let all = heard(&[of("a", 1), of("b", 1)], &[]);
            assert_eq!(restorable(&all, had), Ok(of("a", 1)));
        }
        let silent = heard(&[], &["a"]);
        assert!(matches!(
            restorable(&silent, None),
            Err(RestoreBlocked::Silent(_))
        ));
        assert_eq!(
            restorable(&heard(&[], &[]), None),
            Err(RestoreBlocked::Nowhere)
        );
    }

    #[test]
    fn nodes_that_sleep_are_to_be_woken_first() {
        let asleep = SaltReports {
            asleep: true,
            ..SaltReports::default()
        };
        assert_eq!(restorable(&asleep, None), Err(RestoreBlocked::Asleep));
        let cluster = validate(&prod("{hibernate: true}"), "node:1").unwrap();
        let claims = ["data-prod-0".to_owned()];
        let told = SaltMissing::new(&cluster, &claims, RestoreBlocked::Asleep).to_string();
        let wake =
            r#"`kubectl patch osc prod -n default --type merge -p '{"spec":{"hibernate":false}}'`"#;
        assert!(told.contains(wake), "{told}");
    }

    #[test]
    fn members_with_different_salts_are_for_a_person() {
        let had = Salt::new([1; 64]).fingerprint().to_string();
        let both = heard(&[of("a", 1), of("b", 2)], &[]);
        for had in [None, Some(had.as_str())] {
            let text = restorable(&both, had).unwrap_err().to_string();
            assert!(text.contains("a: ") && text.contains("b: "), "{text}");
        }
    }
}
