//! Platforms that are stricter than Kubernetes itself, and ways into the cluster. Stories without a kubelet also run beside the
//! API server alone.

mod services;

use std::{future::ready, pin::pin, time::Duration};

use anyhow::{Context, bail, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::{
    admissionregistration::v1::{
        MatchResources, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
        ValidatingAdmissionPolicyBindingSpec,
    },
    core::v1::{Event, Namespace, Node, Pod, ServiceAccount},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use opensecureconf_e2e::Stage;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

const POLICY: &str = include_str!("no-fixed-users.yaml");
const REFUSAL: &str = "users and groups are given by the platform";
const OPERATOR: &str = "opensecureconf-operator";

#[test]
fn a_platform_that_refuses_fixed_users_runs_operator_and_nodes_that_name_none() {
    Stage::tell("platform", |stage| async move {
        // PodSecurity is a part of the API server; this is the strictest of its levels.
        restrict(&stage).await?;
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(stage.client.clone());
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(stage.client.clone());
        let policy: ValidatingAdmissionPolicy = serde_saphyr::from_str(
            &POLICY.replace("name: NAMESPACE", &format!("name: {}", stage.namespace)),
        )?;
        policies.create(&PostParams::default(), &policy).await?;
        bindings
            .create(&PostParams::default(), &binding(&stage.namespace))
            .await?;
        let outcome = under_the_policy(&stage).await;
        for removed in [
            bindings
                .delete(&stage.namespace, &DeleteParams::default())
                .await
                .map(drop),
            policies
                .delete(&stage.namespace, &DeleteParams::default())
                .await
                .map(drop),
        ] {
            removed.context("the policy does not go away")?;
        }
        outcome
    });
}

async fn under_the_policy(stage: &Stage) -> anyhow::Result<()> {
    until_in_force(stage).await?;

    // The operator, by both manifests; a test of the charts holds that a chart renders the same.
    let account = ServiceAccount {
        metadata: ObjectMeta {
            name: Some(OPERATOR.to_owned()),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    };
    stage.api().create(&PostParams::default(), &account).await?;
    refused(stage, &operator_pod("install.yaml")?).await?;
    admitted(stage, &operator_pod("install-platform.yaml")?).await?;

    // The nodes, as their controller makes them.
    let resource = |name: &str, pod_security: &str| {
        format!(
            "apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: {{name: {name}}}\nspec: {{replicas: 1, podSecurity: {pod_security}}}\n"
        )
    };
    stage.apply(&resource("fixed", "Fixed")).await?;
    stage.apply(&resource("given", "Platform")).await?;
    stage
        .until(stage.api::<Pod>(), "given-0", "there", |pod| pod.is_some())
        .await?;
    until_event(stage, "fixed", REFUSAL).await?;
    ensure!(
        stage.api::<Pod>().get_opt("fixed-0").await?.is_none(),
        "the policy let a fixed user in"
    );
    if has_kubelets(&stage.client).await? {
        stage.until_condition("given", "Ready", "True").await?;
    }
    Ok(())
}

async fn restrict(stage: &Stage) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    let label =
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
    namespaces
        .patch(
            &stage.namespace,
            &PatchParams::default(),
            &Patch::Merge(&label),
        )
        .await?;
    Ok(())
}

fn binding(namespace: &str) -> ValidatingAdmissionPolicyBinding {
    ValidatingAdmissionPolicyBinding {
        metadata: ObjectMeta {
            name: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(ValidatingAdmissionPolicyBindingSpec {
            policy_name: Some(namespace.to_owned()),
            validation_actions: Some(vec!["Deny".to_owned()]),
            match_resources: Some(MatchResources {
                namespace_selector: Some(LabelSelector {
                    match_labels: Some(
                        [(
                            "kubernetes.io/metadata.name".to_owned(),
                            namespace.to_owned(),
                        )]
                        .into(),
                    ),
                    ..LabelSelector::default()
                }),
                ..MatchResources::default()
            }),
            ..ValidatingAdmissionPolicyBindingSpec::default()
        }),
    }
}

/// The API server applies a new policy after some seconds, and reports that nowhere.
async fn until_in_force(stage: &Stage) -> anyhow::Result<()> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "generateName": "probe-" },
        "spec": {
            "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{ "name": "probe", "image": "none:1", "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
            } }],
        },
    }))?;
    for _ in 0..60 {
        if refused(stage, &pod).await.is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(500)).await;
    }
    bail!("the policy is not in force after 30 s")
}

/// The pod that a controller would make from the Deployment of a manifest.
fn operator_pod(manifest: &str) -> anyhow::Result<Pod> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/");
    let text = std::fs::read_to_string(format!("{path}{manifest}"))?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)?;
    let deployment = documents
        .iter()
        .find(|document| document["kind"] == "Deployment")
        .context("no Deployment")?;
    let template = deployment.pointer("/spec/template").context("no pods")?;
    let mut pod: Pod = serde_json::from_value(template.clone())?;
    pod.metadata.generate_name = Some("operator-".to_owned());
    Ok(pod)
}

fn on_trial() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

async fn admitted(stage: &Stage, pod: &Pod) -> anyhow::Result<()> {
    stage.api().create(&on_trial(), pod).await?;
    Ok(())
}

async fn refused(stage: &Stage, pod: &Pod) -> anyhow::Result<()> {
    match stage.api().create(&on_trial(), pod).await {
        Ok(_) => bail!("a pod with a fixed user was let in"),
        Err(kube::Error::Api(status)) if status.message.contains(REFUSAL) => Ok(()),
        Err(error) => Err(error).context("refused for another reason"),
    }
}

/// Waits for an event on an object whose message contains these words.
async fn until_event(stage: &Stage, name: &str, words: &str) -> anyhow::Result<()> {
    let of = watcher::Config::default().fields(&format!("involvedObject.name={name}"));
    let told = watcher(stage.api::<Event>(), of).applied_objects();
    let told = told.try_filter(|event| {
        let message = event.message.as_deref().unwrap_or_default();
        ready(message.contains(words))
    });
    let heard = timeout(Duration::from_mins(1), pin!(told).try_next()).await;
    heard
        .with_context(|| format!("{name}: no event says '{words}' within a minute"))??
        .context("the watch ended")?;
    Ok(())
}

/// Whether pods really run here.
pub(crate) async fn has_kubelets(client: &Client) -> anyhow::Result<bool> {
    let nodes: Api<Node> = Api::all(client.clone());
    Ok(!nodes.list(&ListParams::default()).await?.items.is_empty())
}
