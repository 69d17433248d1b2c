//! The one salt of a shared database. It is made with the cluster; once nodes have run with it, a lost one can only be
//! restored.

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::{
    cluster::{
        dereference::SaltSecret,
        observe::{self, Connection},
        salt::{MemberSalt, RestoreBlocked, SaltReports, restorable},
        secrets::{ManagedSecret, NewSecret, SaltPlan, SecretPlan},
        stalled::Stalled,
        validate::ValidatedCluster,
    },
    node::NodeDetails,
};

use super::objects::SharedObjects;

/// Whether nodes have run with a salt whose Secret is gone.
pub(super) fn is_lost(shared: &SharedObjects, had: Option<&str>) -> bool {
    let is_missing = shared.found.salt() == SaltSecret::Missing;
    is_missing && (shared.deployment.is_some() || had.is_some())
}

/// The salts of nodes that run.
pub(super) async fn reports(
    nodes: Option<&Connection>,
    cluster: &ValidatedCluster,
    pods: &[(Pod, Option<NodeDetails>)],
) -> SaltReports {
    let answers = join_all(pods.iter().map(|(pod, details)| async {
        let details = details.as_ref()?;
        let salt = nodes?.client.salt(&observe::address(cluster, pod)).await?;
        Some(MemberSalt {
            node: pod.name_any(),
            incarnation: details.incarnation.clone(),
            salt,
        })
    }))
    .await;
    SaltReports {
        members: answers.into_iter().flatten().collect(),
        // A node without the one salt of the database does not start: one node that answers is enough.
        silent: Vec::new(),
        asleep: cluster.spec.hibernate,
    }
}

/// Restores a lost salt in the plan, instead of making another one.
///
/// # Errors
/// Where no node has it.
pub(super) fn restore(
    cluster: &ValidatedCluster,
    plan: SecretPlan,
    reports: &SaltReports,
    had: Option<&str>,
) -> Result<SecretPlan, Stalled> {
    let member = restorable(reports, had).map_err(|why| missing(cluster, &why))?;
    let create = plan.create.into_iter().map(|new| match new {
        NewSecret::Salt => NewSecret::RestoredSalt(member.clone()),
        other => other,
    });
    Ok(SecretPlan {
        create: create.collect(),
        salt: SaltPlan::Restore(member),
    })
}

pub(super) fn missing(cluster: &ValidatedCluster, why: &RestoreBlocked) -> Stalled {
    let (name, namespace) = (&cluster.name, &cluster.namespace);
    let secret = ManagedSecret::Salt.name(name);
    let cause = match why {
        RestoreBlocked::Asleep => "no node runs that could bring it, because hibernate is true",
        RestoreBlocked::Disputed(_) => "nodes have different ones",
        RestoreBlocked::Nowhere | RestoreBlocked::Silent(_) => "no node answers that has it",
    };
    Stalled {
        reason: "SaltMissing",
        message: format!(
            "Secret {secret} is missing, and without it no value in the database can be opened: {cause}. Put it back from where it is kept \
             beside the database's backups: `kubectl create secret generic {secret} -n {namespace} --from-file=salt=salt` (64 bytes). A \
             database that never held an entry needs no old one: delete the OpenSecureConfCluster {name}, empty the schema opensecureconf, \
             and apply it again"
        ),
    }
}

#[cfg(test)]
mod tests {
    use opensecureconf_contract::Salt;

    use super::*;
    use crate::cluster::{resource::prod, validate::validate};

    /// The reports of nodes with these salts.
    fn reports(salts: &[u8], asleep: bool) -> SaltReports {
        let members = salts.iter().map(|byte| MemberSalt {
            node: "prod-7f9c-24567".to_owned(),
            incarnation: "i".to_owned(),
            salt: Salt::new([*byte; 64]),
        });
        SaltReports {
            members: members.collect(),
            silent: Vec::new(),
            asleep,
        }
    }

    #[test]
    fn a_lost_salt_is_put_back_from_a_node_and_no_other_one_is_made() {
        let resource = prod("{mode: Shared, database: {secretRef: {name: pg-app}}}");
        let cluster = validate(&resource, "node:1").unwrap();
        let restored = |reports: &SaltReports| {
            let plan = SecretPlan {
                salt: SaltPlan::Create,
                create: vec![NewSecret::Salt, NewSecret::Key(ManagedSecret::ApiKey)],
            };
            restore(&cluster, plan, reports, None)
        };
        let plan = restored(&reports(&[1, 1], false)).unwrap();
        let SaltPlan::Restore(member) = plan.salt else {
            panic!("it is not put back");
        };
        assert_eq!(member.salt, Salt::new([1; 64]));
        let create = [
            NewSecret::RestoredSalt(member),
            NewSecret::Key(ManagedSecret::ApiKey),
        ];
        assert_eq!(plan.create, create);
        for (reports, cause) in [
            (reports(&[], false), "no node answers that has it"),
            (reports(&[], true), "hibernate is true"),
            (reports(&[1, 2], false), "nodes have different ones"),
        ] {
            let stalled = restored(&reports).unwrap_err();
            assert_eq!(stalled.reason, "SaltMissing");
            assert!(stalled.message.contains(cause), "{stalled:?}");
        }
    }
}
