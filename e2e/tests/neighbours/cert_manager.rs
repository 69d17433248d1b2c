//! cert-manager makes the certificate that clients see.

use std::time::Instant;

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use opensecureconf_e2e::{Stage, Workload};
use serde_json::{Value, json};

use crate::report;

/// Waits until 9443 shows the first certificate of a PEM text to a client that trusts the others, then writes and reads there.
/// Nodes read their files every two seconds, the kubelet refreshes them every ten.
const SERVED: &str = "
import json, socket, ssl, time, urllib.request
from urllib.parse import urlsplit
host = urlsplit(os.environ['ENDPOINT']).hostname
end = '-----END CERTIFICATE-----'
leaf = ssl.PEM_cert_to_DER_cert(chain.split(end)[0] + end)
context = ssl.create_default_context(cadata=authorities)
def shown():
    with socket.create_connection((host, 9443), timeout=5) as plain:
        with context.wrap_socket(plain, server_hostname=host) as tls:
            # curl refuses a certificate that names no issuer.
            assert tls.getpeercert()['issuer'], tls.getpeercert()
            return tls.getpeercert(binary_form=True)
began, last = time.monotonic(), None
while last != leaf:
    try:
        last = shown()
    except OSError as failure:
        last = failure
    assert time.monotonic() - began < 120, repr(last)
    time.sleep(0.2)
url = f'https://{host}:9443/configs/seen?upsert=true'
keys = {'X-API-Key': os.environ['API_KEY'], 'X-User-Key': os.environ['USER_KEY'], 'Content-Type': 'application/json'}
request = urllib.request.Request(url, method='PUT', data=json.dumps({'value': 1}).encode(), headers=keys)
with urllib.request.urlopen(request, context=context, timeout=5) as answer:
    assert answer.status in (200, 201), answer.status
";

#[test]
fn an_issuer_makes_the_certificate_that_clients_see_and_renews_it() {
    Stage::tell("cert-manager", |stage| async move {
        house(&stage).await?;
        stage.apply_sample("one-node.yaml").await?;
        let asked = Instant::now();
        configure(
            &stage,
            &json!({ "mode": "Issuer", "issuerRef": { "name": "house" } }),
        )
        .await?;
        stage.until_condition("demo", "TlsReady", "True").await?;
        report(
            "from tls.mode: Issuer to a certificate that is served",
            asked,
        );
        let first = secret(&stage, "demo-client-tls").await?;
        is_served(&stage, &first, &authorities(&stage, &first).await?).await?;

        // The condition that `cmctl renew` writes.
        let since = "2026-01-01T00:00:00Z";
        let renew = json!({ "status": { "conditions": [{ "type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "", "lastTransitionTime": since }] } });
        let asked = Instant::now();
        cert_manager(&stage, "Certificate")
            .patch_status("demo", &PatchParams::default(), &Patch::Merge(&renew))
            .await?;
        let renewed = another(&stage, "demo-client-tls", &first).await?;
        is_served(&stage, &renewed, &authorities(&stage, &renewed).await?).await?;
        report("from a renewal to a client that sees it", asked);

        // Here the certificate is its own authority; clients refuse one that names no issuer.
        configure(&stage, &json!({ "issuerRef": { "name": "itself" } })).await?;
        let own = another(&stage, "demo-client-tls", &renewed).await?;
        is_served(&stage, &own, &authorities(&stage, &own).await?).await?;
        Ok(())
    });
}

#[test]
fn secrets_of_every_form_that_it_writes_are_served() {
    Stage::tell("cert-manager-forms", |stage| async move {
        house(&stage).await?;
        stage.apply_sample("one-node.yaml").await?;
        configure(
            &stage,
            &json!({ "mode": "Secret", "secretRef": { "name": "mine" } }),
        )
        .await?;
        let name = format!("demo.{}.svc", stage.namespace);
        let mut last: Option<Secret> = None;
        for (algorithm, encoding, header) in [
            ("RSA", "PKCS1", "RSA PRIVATE KEY"),
            ("RSA", "PKCS8", "PRIVATE KEY"),
            ("ECDSA", "PKCS1", "EC PRIVATE KEY"),
            ("ECDSA", "PKCS8", "PRIVATE KEY"),
            ("Ed25519", "PKCS8", "PRIVATE KEY"),
        ] {
            let begun = Instant::now();
            let key =
                json!({ "algorithm": algorithm, "encoding": encoding, "rotationPolicy": "Always" });
            // Another name, so that another certificate is made: of a key in another encoding cert-manager only writes the Secret anew.
            let other = format!("{algorithm}-{encoding}.example.test").to_lowercase();
            let spec = json!({
                "secretName": "mine", "dnsNames": [name, other], "issuerRef": { "name": "house" }, "privateKey": key,
            });
            apply(&stage, "Certificate", "mine", &spec).await?;
            let made = match &last {
                None => secret(&stage, "mine").await?,
                Some(last) => another(&stage, "mine", last).await?,
            };
            let key = entry(&made, "tls.key")?;
            ensure!(
                key.contains(&format!("-----BEGIN {header}-----")),
                "{algorithm} {encoding} is another form"
            );
            let chain = entry(&made, "tls.crt")?;
            ensure!(
                chain.matches("BEGIN CERTIFICATE").count() == 2,
                "no intermediate authority in {chain}"
            );
            is_served(&stage, &made, &authorities(&stage, &made).await?).await?;
            report(&format!("a key as {algorithm} {encoding} is served"), begun);
            last = Some(made);
        }
        stage.until_condition("demo", "TlsReady", "True").await?;

        // As issuers write it that do not know their authority, ACME issuers for one.
        let root = entry(last.as_ref().context("no Secret")?, "ca.crt")?;
        for (secret, authority) in [("without", None), ("empty", Some(""))] {
            let last = last.clone().context("no Secret")?;
            let mut data = last.data.unwrap_or_default();
            data.remove("ca.crt");
            if let Some(authority) = authority {
                data.insert(
                    "ca.crt".to_owned(),
                    serde_json::from_value(json!(authority))?,
                );
            }
            let made: Secret = serde_json::from_value(json!({
                "metadata": { "name": secret }, "type": "kubernetes.io/tls", "data": data,
            }))?;
            stage
                .api::<Secret>()
                .create(&PostParams::default(), &made)
                .await?;
            configure(&stage, &json!({ "secretRef": { "name": secret } })).await?;
            stage.until_condition("demo", "TlsReady", "True").await?;
            is_served(&stage, &made, &root).await?;
            let absent = |found: Option<&ConfigMap>| {
                found.is_some_and(|map| {
                    let data = map.data.as_ref();
                    data.is_some_and(|data| {
                        !data.contains_key("ca.crt") && data.contains_key("node-ca.crt")
                    })
                })
            };
            stage
                .until(stage.api(), "demo-ca", "without ca.crt", absent)
                .await?;
        }
        Ok(())
    });
}

/// An issuer behind an intermediate authority, as a company has it.
async fn house(stage: &Stage) -> anyhow::Result<()> {
    apply(stage, "Issuer", "itself", &json!({ "selfSigned": {} })).await?;
    for (name, issuer) in [("root", "itself"), ("intermediate", "root")] {
        let spec = json!({
            "isCA": true, "commonName": name, "secretName": name, "issuerRef": { "name": issuer },
            "privateKey": { "algorithm": "ECDSA", "rotationPolicy": "Always" },
        });
        apply(stage, "Certificate", name, &spec).await?;
        let issuer = if name == "root" { "root" } else { "house" };
        apply(
            stage,
            "Issuer",
            issuer,
            &json!({ "ca": { "secretName": name } }),
        )
        .await?;
    }
    Ok(())
}

/// Objects of one of cert-manager's kinds in the namespace.
fn cert_manager(stage: &Stage, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("cert-manager.io", "v1", kind);
    Api::namespaced_with(
        stage.client.clone(),
        &stage.namespace,
        &ApiResource::from_gvk(&kind),
    )
}

async fn apply(stage: &Stage, kind: &str, name: &str, spec: &Value) -> anyhow::Result<()> {
    let object = json!({
        "apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": { "name": name }, "spec": spec,
    });
    cert_manager(stage, kind)
        .patch(name, &PatchParams::apply("story"), &Patch::Apply(&object))
        .await?;
    Ok(())
}

async fn configure(stage: &Stage, tls: &Value) -> anyhow::Result<()> {
    let change = json!({ "spec": { "tls": tls } });
    stage
        .clusters()
        .patch("demo", &PatchParams::default(), &Patch::Merge(&change))
        .await?;
    Ok(())
}

/// The Secret, as soon as it holds a certificate; until then cert-manager keeps the next key in another Secret.
async fn secret(stage: &Stage, name: &str) -> anyhow::Result<Secret> {
    let complete = |found: Option<&Secret>| found.is_some_and(|found| chain(found).is_some());
    let found = stage
        .until(stage.api(), name, "made by cert-manager", complete)
        .await?;
    found.context("the Secret is gone")
}

/// The Secret, as soon as it holds another certificate.
async fn another(stage: &Stage, name: &str, before: &Secret) -> anyhow::Result<Secret> {
    let other = |found: Option<&Secret>| found.is_some_and(|found| chain(found) != chain(before));
    let found = stage
        .until(stage.api(), name, "renewed by cert-manager", other)
        .await?;
    found.context("the Secret is gone")
}

fn chain(secret: &Secret) -> Option<&[u8]> {
    let chain = secret.data.as_ref()?.get("tls.crt")?;
    (!chain.0.is_empty()).then_some(chain.0.as_slice())
}

fn entry(secret: &Secret, name: &str) -> anyhow::Result<String> {
    let data = secret.data.as_ref().and_then(|data| data.get(name));
    let data = data.with_context(|| format!("the Secret has no {name}"))?;
    Ok(String::from_utf8(data.0.clone())?)
}

/// The authorities in the cluster's ConfigMap for clients, as soon as they match the Secret.
async fn authorities(stage: &Stage, secret: &Secret) -> anyhow::Result<String> {
    let wanted = entry(secret, "ca.crt")?;
    let told = |found: Option<&ConfigMap>| {
        let told = found.and_then(|map| map.data.as_ref()?.get("ca.crt"));
        told.is_some_and(|told| told.trim() == wanted.trim())
    };
    stage
        .until(stage.api(), "demo-ca", "with the Secret's ca.crt", told)
        .await?;
    Ok(wanted)
}

async fn is_served(stage: &Stage, secret: &Secret, authorities: &str) -> anyhow::Result<()> {
    let chain = entry(secret, "tls.crt")?;
    let script = format!("chain = {chain:?}\nauthorities = {authorities:?}\n{SERVED}");
    let workload = Workload {
        stage,
        cluster: "demo",
    };
    workload.run(&script).await.map(drop)
}
