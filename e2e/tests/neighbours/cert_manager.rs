//! cert-manager makes the certificate that clients see.

use std::time::Instant;

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use opensecureconf_e2e::{Stage, Workload, condition};
use serde_json::json;

use crate::report;

#[test]
fn its_definition_accepts_the_certificate_and_the_secret_that_follows_is_served() {
    Stage::tell("cert-manager", |stage| async move {
        stage.apply_sample("one-node.yaml").await?;
        stage.until_condition("demo", "TlsReady", "True").await?;
        let asked = Instant::now();
        let issuer =
            json!({ "spec": { "tls": { "mode": "Issuer", "issuerRef": { "name": "house" } } } });
        stage
            .clusters()
            .patch("demo", &PatchParams::default(), &Patch::Merge(&issuer))
            .await?;
        let kind = GroupVersionKind::gvk("cert-manager.io", "v1", "Certificate");
        let certificates: Api<DynamicObject> = Api::namespaced_with(
            stage.client.clone(),
            &stage.namespace,
            &ApiResource::from_gvk(&kind),
        );
        let waits = |found: Option<&DynamicObject>| {
            found
                .and_then(|cluster| condition(cluster, "TlsReady"))
                .is_some_and(|(_, reason, _)| reason == "CertificateMissing")
        };
        stage
            .until(stage.clusters(), "demo", "CertificateMissing", waits)
            .await?;
        let certificate = certificates.list(&Default::default()).await?.items;
        let certificate = certificate.first().context("no Certificate")?;
        ensure!(
            certificate.data["spec"]["secretName"] == "demo-client-tls",
            "{certificate:?}"
        );
        report("from tls.mode: Issuer to a Certificate", asked);

        let own = stage.api::<Secret>().get("demo-node-tls").await?;
        let made: Secret = serde_json::from_value(json!({
            "metadata": { "name": "demo-client-tls" }, "type": "kubernetes.io/tls", "data": own.data,
        }))?;
        stage
            .api::<Secret>()
            .create(&PostParams::default(), &made)
            .await?;
        stage.until_condition("demo", "TlsReady", "True").await?;
        let map = stage.api::<ConfigMap>().get("demo-ca").await?;
        ensure!(
            map.data.is_some_and(|data| data.contains_key("ca.crt")),
            "demo-ca has no ca.crt"
        );
        let workload = Workload {
            stage: &stage,
            cluster: "demo",
        };
        workload
            .run(
                "
endpoint = os.environ['ENDPOINT'].replace('http:', 'https:').replace(':9000', ':9443')
client = connect(endpoint, verify_ssl='/etc/config-ca/ca.crt')
client.create('db', 5432)
assert client.read('db')['value'] == 5432
",
            )
            .await?;
        Ok(())
    });
}
