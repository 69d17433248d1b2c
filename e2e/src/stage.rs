//! A namespace of its own for each story.

use std::{
    fmt::Debug,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use futures::FutureExt;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Namespace, Node},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, ObjectMeta, Patch,
        PatchParams, PostParams,
    },
    runtime::wait::await_condition,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::diagnostics;

/// Longest wait for any event; on two cores a cluster is slow.
const LIMIT: Duration = Duration::from_mins(3);

/// A namespace on the cluster of `KUBECONFIG`.
#[derive(Clone)]
pub struct Stage {
    /// The cluster.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    /// The story's namespace: objects of it in other namespaces are deleted with it.
    home: String,
}

impl Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stage({})", self.namespace)
    }
}

impl Stage {
    /// Runs one story in a new namespace, which is removed afterwards. After a failure logs, events and resources of the
    /// namespace and of the operator are kept in a folder whose name is printed.
    ///
    /// # Panics
    /// When the story fails.
    #[expect(clippy::panic, reason = "a story is a test")]
    pub fn tell<F>(name: &str, story: impl FnOnce(Self) -> F)
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        if let Err(error) = Self::try_tell(name, story) {
            panic!("{name}: {error:?}");
        }
    }

    /// The same for a program that reports itself how its story ended.
    ///
    /// # Errors
    /// The failure of the story; that there is no cluster; that the namespace is not removed.
    pub fn try_tell<F>(name: &str, story: impl FnOnce(Self) -> F) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
        runtime.block_on(async {
            let stage = Self::open(name).await?;
            let outcome = AssertUnwindSafe(story(stage.clone())).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|_| bail!("the story panicked"));
            if outcome.is_err() {
                let folder = top().join(".e2e");
                diagnostics::keep(&stage.client, &stage.namespace, name, &folder).await;
            }
            let closed = stage.close().await;
            // The story's failure comes first: after it a namespace often does not go away either.
            outcome.and(closed)
        })
    }

    async fn open(name: &str) -> anyhow::Result<Self> {
        let client = Client::try_default()
            .await
            .context("no cluster; `make e2e` makes one")?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let metadata = ObjectMeta {
            generate_name: Some(format!("{name}-")),
            ..ObjectMeta::default()
        };
        let made = namespaces
            .create(
                &PostParams::default(),
                &Namespace {
                    metadata,
                    ..Namespace::default()
                },
            )
            .await?;
        let namespace = made.metadata.name.context("a namespace without a name")?;
        Ok(Self {
            client,
            home: namespace.clone(),
            namespace,
        })
    }

    /// The same story in another namespace, which is there already.
    #[must_use]
    pub fn within(&self, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ..self.clone()
        }
    }

    /// The same story in a second namespace, which is removed with the first one.
    pub async fn beside(&self, name: &str) -> anyhow::Result<Self> {
        let stage = self.within(&format!("{}-{name}", self.home));
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let metadata = ObjectMeta {
            name: Some(stage.namespace.clone()),
            owner_references: Some(vec![self.owner().await?]),
            ..ObjectMeta::default()
        };
        let namespace = Namespace {
            metadata,
            ..Namespace::default()
        };
        namespaces
            .create(&PostParams::default(), &namespace)
            .await?;
        Ok(stage)
    }

    /// The owner reference that makes an object go with the story's namespace, wherever it is.
    pub(crate) async fn owner(&self) -> anyhow::Result<OwnerReference> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let home = namespaces.get(&self.home).await?;
        home.owner_ref(&()).context("a namespace without a uid")
    }

    async fn close(&self) -> anyhow::Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await?;
        // The next story needs the room.
        let gone = await_condition(namespaces, &self.namespace, |found: Option<&Namespace>| {
            found.is_none()
        });
        tokio::time::timeout(LIMIT, gone)
            .await
            .context("the namespace does not go away")??;
        Ok(())
    }

    /// Objects of one kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The machine with the API server, which no story stops.
    pub async fn control_plane(&self) -> anyhow::Result<String> {
        let machines: Api<Node> = Api::all(self.client.clone());
        let labelled = ListParams::default().labels("node-role.kubernetes.io/control-plane");
        let found = machines.list(&labelled).await?;
        let first = found.items.first().context("no control plane")?;
        Ok(first.name_any())
    }

    /// The clusters in the namespace.
    pub fn clusters(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &osc())
    }

    /// Applies a sample of the repository.
    pub async fn apply_sample(&self, file: &str) -> anyhow::Result<DynamicObject> {
        let text = std::fs::read_to_string(top().join("manifests/samples").join(file))?;
        self.apply(&text).await
    }

    /// Applies an OpenSecureConfCluster as `kubectl apply` does it.
    pub async fn apply(&self, yaml: &str) -> anyhow::Result<DynamicObject> {
        self.apply_value(&serde_saphyr::from_str(yaml)?).await
    }

    /// The same, of a resource that is there already.
    pub async fn apply_value(&self, resource: &Value) -> anyhow::Result<DynamicObject> {
        let name = resource.pointer("/metadata/name").and_then(Value::as_str);
        let parameters = PatchParams::apply("story");
        Ok(self
            .clusters()
            .patch(
                name.unwrap_or_default(),
                &parameters,
                &Patch::Apply(resource),
            )
            .await?)
    }

    /// Waits until an object, or its absence, is as wanted.
    pub async fn until<K>(
        &self,
        api: Api<K>,
        name: &str,
        what: &str,
        wanted: impl Fn(Option<&K>) -> bool + Send + Sync,
    ) -> anyhow::Result<Option<K>>
    where
        K: Clone + Debug + Send + DeserializeOwned + Resource + 'static,
    {
        self.until_within(LIMIT, api, name, what, wanted).await
    }

    /// The same with another longest wait.
    pub async fn until_within<K>(
        &self,
        limit: Duration,
        api: Api<K>,
        name: &str,
        what: &str,
        wanted: impl Fn(Option<&K>) -> bool + Send + Sync,
    ) -> anyhow::Result<Option<K>>
    where
        K: Clone + Debug + Send + DeserializeOwned + Resource + 'static,
    {
        let reached = await_condition(api, name, |found: Option<&K>| wanted(found));
        let reached = tokio::time::timeout(limit, reached).await;
        Ok(reached
            .with_context(|| format!("{name}: not {what} within {} s", limit.as_secs()))??)
    }

    /// Waits until a cluster's condition has this status for its current generation.
    pub async fn until_condition(
        &self,
        name: &str,
        type_: &str,
        status: &str,
    ) -> anyhow::Result<DynamicObject> {
        let is = |found: Option<&DynamicObject>| {
            found.is_some_and(|cluster| {
                condition(cluster, type_).is_some_and(|(found, _, generation)| {
                    found == status && generation == cluster.metadata.generation
                })
            })
        };
        let found = self
            .until(self.clusters(), name, &format!("{type_}={status}"), is)
            .await?;
        found.context("the cluster is gone")
    }
}

/// The kind that all stories are about.
pub fn osc() -> ApiResource {
    let kind = GroupVersionKind::gvk("opensecureconf.io", "v1alpha1", "OpenSecureConfCluster");
    ApiResource::from_gvk_with_plural(&kind, "opensecureconfclusters")
}

/// Status, reason and observed generation of a cluster's condition.
pub fn condition<'a>(
    cluster: &'a DynamicObject,
    type_: &str,
) -> Option<(&'a str, &'a str, Option<i64>)> {
    let conditions = cluster.data.pointer("/status/conditions")?.as_array()?;
    let condition = conditions
        .iter()
        .find(|condition| condition["type"] == type_)?;
    Some((
        condition["status"].as_str()?,
        condition["reason"].as_str()?,
        condition["observedGeneration"].as_i64(),
    ))
}

/// The top of the repository.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}
