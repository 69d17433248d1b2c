//! The account of pods: it has no rights, and its token is not mounted.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata;
use crate::cluster::validate::ValidatedCluster;

pub(super) fn build(cluster: &ValidatedCluster) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata::owned(cluster, cluster.name.as_str().to_owned()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
