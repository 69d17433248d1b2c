//! The storage classes that let volumes grow. Read only for claims that are to grow, and each time: a class may change.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::{Api, Client};

use super::growth::Expansion;
use crate::rights::refusal;

/// The state of these classes.
///
/// # Errors
/// Where the API server does not answer.
pub(super) async fn expansion(
    client: &Client,
    classes: impl IntoIterator<Item = String>,
) -> Result<BTreeMap<String, Expansion>, kube::Error> {
    let api: &Api<StorageClass> = &Api::all(client.clone());
    let looked = classes.into_iter().map(|name| async move {
        let expansion = match api.get_opt(&name).await {
            Ok(Some(class)) if class.allow_volume_expansion == Some(true) => Expansion::Allowed,
            Ok(Some(_)) => Expansion::NotAllowed,
            Ok(None) => Expansion::NoClass,
            // The API server itself will report it.
            Err(error) if refusal(&error).is_some() => Expansion::Unknown,
            Err(error) => return Err(error),
        };
        Ok((name, expansion))
    });
    Ok(try_join_all(looked).await?.into_iter().collect())
}
