//! Deletes the very object that was judged, in the state of that moment.

use kube::{
    Api, Resource,
    api::{DeleteParams, Preconditions},
};
use serde::de::DeserializeOwned;

use super::{
    apply::{self, failed},
    rules::Rule,
    validate::ValidatedCluster,
};

/// Deletes an object. Returns whether it was this very one.
///
/// # Errors
/// Where the API server refuses.
pub(super) async fn delete<K>(
    cluster: &ValidatedCluster,
    api: &Api<K>,
    name: &str,
    judged: Preconditions,
) -> Result<bool, apply::Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let rules = cluster.installation.rules;
    let parameters = DeleteParams {
        preconditions: Some(judged).filter(|_| rules.hold(Rule::NothingElseIsDeleted)),
        ..DeleteParams::default()
    };
    match api.delete(name, &parameters).await {
        Ok(_) => Ok(true),
        // The object is another one by now, or gone.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(false),
        Err(source) => Err(failed::<K>("delete", name, source)),
    }
}
