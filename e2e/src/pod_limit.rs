//! A limit on a namespace's pods: a node whose pod goes stays away.

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use crate::Stage;

/// The name of its quota.
const NAME: &str = "pod-limit";

/// Limits the number of pods until it is lifted.
#[derive(Debug)]
pub struct PodLimit(Api<ResourceQuota>);

impl PodLimit {
    /// Limits the pods of the namespace, and waits until the quota counts the existing ones.
    pub async fn set(stage: &Stage, pods: u8) -> anyhow::Result<Self> {
        let quota: ResourceQuota = serde_json::from_value(json!({
            "metadata": { "name": NAME }, "spec": { "hard": { "pods": pods.to_string() } },
        }))?;
        let quotas: Api<ResourceQuota> = stage.api();
        quotas.create(&PostParams::default(), &quota).await?;
        stage
            .until(quotas.clone(), NAME, "counted", |found| {
                let status = found.and_then(|found| found.status.as_ref());
                status.is_some_and(|status| status.used.is_some())
            })
            .await?;
        Ok(Self(quotas))
    }

    /// Makes room again.
    pub async fn lift(self) -> anyhow::Result<()> {
        self.0.delete(NAME, &DeleteParams::default()).await?;
        Ok(())
    }
}
