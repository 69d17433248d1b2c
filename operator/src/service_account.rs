//! The service account as which this process speaks to the API server.

use k8s_openapi::{
    api::authentication::v1::{SelfSubjectReview, UserInfo},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{Api, Client, api::PostParams};

/// The account as the owner of an object in this namespace, which Kubernetes then removes with the account. `None` where this
/// process is another user, its account is of another namespace, or the API server may not say.
///
/// # Errors
/// Where the API server does not answer.
pub(crate) async fn as_owner(
    client: &Client,
    namespace: &str,
) -> Result<Option<OwnerReference>, kube::Error> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let question = SelfSubjectReview::default();
    match api.create(&PostParams::default(), &question).await {
        Ok(answer) => {
            let user = answer.status.and_then(|status| status.user_info);
            Ok(user.and_then(|user| owner(&user, namespace)))
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
            tracing::info!(refusal = status.message, "own_account_unknown");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn owner(user: &UserInfo, namespace: &str) -> Option<OwnerReference> {
    let account = user
        .username
        .as_deref()?
        .strip_prefix("system:serviceaccount:")?;
    let (home, name) = account.split_once(':')?;
    let uid = user.uid.clone().filter(|uid| !uid.is_empty())?;
    (home == namespace).then(|| OwnerReference {
        api_version: "v1".to_owned(),
        kind: "ServiceAccount".to_owned(),
        name: name.to_owned(),
        uid,
        ..OwnerReference::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_account_of_the_same_namespace_is_an_owner() {
        let owned = |username: &str, uid: &str| {
            let user = UserInfo {
                username: Some(username.to_owned()),
                uid: Some(uid.to_owned()),
                ..UserInfo::default()
            };
            owner(&user, "ops").map(|owner| (owner.kind, owner.name, owner.uid))
        };
        let account = ("ServiceAccount".into(), "osc".into(), "u".into());
        assert_eq!(owned("system:serviceaccount:ops:osc", "u"), Some(account));
        for (username, uid) in [
            ("system:serviceaccount:elsewhere:osc", "u"),
            ("system:serviceaccount:ops:osc", ""),
            ("kubernetes-admin", "u"),
        ] {
            assert_eq!(owned(username, uid), None, "{username}");
        }
    }
}
