//! Creates the missing Secrets. The API server's create is the vote that makes exactly one of each.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt, api::PostParams};
use opensecureconf_contract::{Salt, bootstrap::BootstrapMark};

use super::{
    ManagedSecret, NewSecret, ObservedSecret, SecretPlan, build_key_secret, build_salt_secret,
};
use crate::{
    cluster::{
        apply::{Done, Error, failed},
        rules::Rule,
        salt::MemberSalt,
        validate::ValidatedCluster,
    },
    names::FIELD_MANAGER,
    node::AccessKey,
    random,
};

/// Creates them in the plan's order, the salt first. `done` gets the completed steps, even before a failure.
pub(in crate::cluster) async fn create(
    client: &Client,
    cluster: &ValidatedCluster,
    plan: &SecretPlan,
    done: &mut Vec<Done>,
) -> Result<(), Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &cluster.namespace);
    for new in &plan.create {
        let secret = content(cluster, new)?;
        let name = secret.name_any();
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        // A Secret that another operator made meanwhile is a conflict: the next reconcile reads it.
        let mut created = api.create(&parameters, &secret).await;
        let is_taken = matches!(&created, Err(kube::Error::Api(status)) if status.code == 409);
        if is_taken && !cluster.installation.rules.hold(Rule::SaltsAreMadeOnce) {
            created = api.replace(&name, &parameters, &secret).await;
        }
        created.map_err(|source| failed::<Secret>("create", &name, source))?;
        done.push(match new {
            NewSecret::RestoredSalt(member) => Done::Restored {
                secret: name,
                node: member.node.clone(),
            },
            NewSecret::Salt | NewSecret::Key(_) => Done::Created {
                kind: "Secret".to_owned(),
                name,
            },
        });
    }
    Ok(())
}

fn content(cluster: &ValidatedCluster, new: &NewSecret) -> Result<Secret, Error> {
    Ok(match new {
        NewSecret::Salt => {
            let salt = Salt::new(random::bytes().map_err(Error::Random)?);
            build_salt_secret(cluster, &salt, &BootstrapMark::Unchosen)
        }
        // As for every bootstrapped cluster: no node is instructed to bootstrap another one.
        NewSecret::RestoredSalt(MemberSalt {
            incarnation, salt, ..
        }) => build_salt_secret(cluster, salt, &BootstrapMark::Chosen(incarnation.clone())),
        NewSecret::Key(which) => {
            build_key_secret(cluster, *which, random::key().map_err(Error::Random)?)
        }
    })
}

/// The key in a Secret that is there by now; `None` where it is not, or holds none.
pub(in crate::cluster) async fn read_key(
    client: &Client,
    cluster: &ValidatedCluster,
    which: ManagedSecret,
) -> Result<Option<AccessKey>, Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &cluster.namespace);
    let name = which.name(&cluster.name);
    let found = api.get_opt(&name).await;
    let found = found.map_err(|source| failed::<Secret>("get", &name, source))?;
    let observed = found.map(|secret| ObservedSecret::read(secret, true, &cluster.uid));
    Ok(observed.and_then(|secret| secret.key(which.entry())))
}
