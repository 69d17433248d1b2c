//! The Secret with the addresses, as pods mount it: one form, whatever that of the user's Secret.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};

use super::address::Addresses;
use crate::{
    cluster::{
        apply::{Done, Error, failed},
        build::metadata,
        secrets::ObservedSecret,
        validate::ValidatedCluster,
    },
    names::{DATABASE_URL_ENTRY, FIELD_MANAGER, MIGRATION_URL_ENTRY},
};

/// Writes it where it differs.
///
/// # Errors
/// Where the API server refuses.
pub(super) async fn keep(
    client: &Client,
    cluster: &ValidatedCluster,
    addresses: &Addresses,
    there: Option<&ObservedSecret>,
    done: &mut Vec<Done>,
) -> Result<(), Error> {
    let line = |address: &str| format!("{address}\n").into_bytes();
    let entries: BTreeMap<_, _> = [
        (DATABASE_URL_ENTRY.to_owned(), line(&addresses.nodes)),
        (MIGRATION_URL_ENTRY.to_owned(), line(&addresses.migration)),
    ]
    .into();
    if there.is_some_and(|there| there.entries == entries) {
        return Ok(());
    }
    let name = cluster.name.database();
    let entries = entries.into_iter();
    let secret = Secret {
        metadata: metadata::owned(cluster, name.clone()),
        data: Some(
            entries
                .map(|(name, text)| (name, ByteString(text)))
                .collect(),
        ),
        ..Secret::default()
    };
    let api: Api<Secret> = Api::namespaced(client.clone(), &cluster.namespace);
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let applied = api.patch(&name, &parameters, &Patch::Apply(&secret)).await;
    applied.map_err(|source| failed::<Secret>("apply", &name, source))?;
    done.push(match there {
        Some(_) => Done::Updated,
        None => Done::Created {
            kind: "Secret".to_owned(),
            name,
        },
    });
    Ok(())
}
