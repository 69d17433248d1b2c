//! The client Service in each of its types, and through a port of the Kubernetes nodes.

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Service};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use opensecureconf_e2e::{Stage, Workload};
use serde_json::{Value, json};

use super::has_kubelets;

#[test]
fn the_service_takes_each_type_and_leaves_it_again() {
    Stage::tell("services", |stage| async move {
        stage.apply_sample("one-node.yaml").await?;
        until_service(&stage, "ClusterIP", &[9443, 9000]).await?;

        service(
            &stage,
            &json!({ "type": "NodePort", "externalTrafficPolicy": "Local" }),
        )
        .await?;
        let made = until_service(&stage, "NodePort", &[9443]).await?;
        ensure!(field(&made, "/spec/externalTrafficPolicy") == "Local");
        let port = node_port(&made)?;

        let ranges = json!(["10.0.0.0/8", "192.0.2.0/24"]);
        service(
            &stage,
            &json!({
                "type": "LoadBalancer", "externalTrafficPolicy": "Cluster", "exposePlainHttp": true,
                "loadBalancerSourceRanges": ranges, "annotations": { "example.com/internal": "true" },
            }),
        )
        .await?;
        let made = until_service(&stage, "LoadBalancer", &[9443, 9000]).await?;
        ensure!(node_port(&made)? == port, "clients were given another port");
        ensure!(field(&made, "/spec/loadBalancerSourceRanges") == ranges);
        ensure!(field(&made, "/metadata/annotations/example.com~1internal") == "true");

        service(
            &stage,
            &json!({
                "type": "NodePort", "externalTrafficPolicy": null, "exposePlainHttp": false, "ipFamilyPolicy": "PreferDualStack",
                "loadBalancerSourceRanges": [], "annotations": { "example.com/internal": null },
            }),
        )
        .await?;
        let made = until_service(&stage, "NodePort", &[9443]).await?;
        ensure!(node_port(&made)? == port, "clients were given another port");
        ensure!(field(&made, "/spec/loadBalancerSourceRanges").is_null());
        ensure!(field(&made, "/metadata/annotations/example.com~1internal").is_null());
        if has_kubelets(&stage.client).await? {
            through_every_address(&stage, &made, &port).await?;
        }

        service(&stage, &json!({ "type": "ClusterIP" })).await?;
        let made = until_service(&stage, "ClusterIP", &[9443, 9000]).await?;
        ensure!(field(&made, "/spec/ports/0/nodePort").is_null());
        Ok(())
    });
}

/// Reads an entry at each address of the Service and of each Kubernetes node, in each IP family of the cluster: `IP_FAMILY`
/// names them, and is IPv4 by default.
async fn through_every_address(stage: &Stage, service: &Value, port: &Value) -> anyhow::Result<()> {
    let families = match std::env::var("IP_FAMILY").as_deref() {
        Ok("dual") => json!(["IPv4", "IPv6"]),
        Ok("ipv6") => json!(["IPv6"]),
        _ => json!(["IPv4"]),
    };
    ensure!(
        field(service, "/spec/ipFamilies") == families,
        "not {families}: {service}"
    );
    stage.until_condition("demo", "Ready", "True").await?;
    let nodes: Api<Node> = Api::all(stage.client.clone());
    let nodes = nodes.list(&ListParams::default()).await?;
    let mut addresses: Vec<_> = nodes
        .iter()
        .filter_map(|node| node.status.as_ref()?.addresses.as_ref())
        .flatten()
        .filter(|address| address.type_ == "InternalIP")
        .map(|address| (address.address.clone(), port.clone()))
        .collect();
    let own = field(service, "/spec/clusterIPs");
    let own: Vec<String> = serde_json::from_value(own)?;
    addresses.extend(own.into_iter().map(|address| (address, json!(9443))));
    let families = families.as_array().map_or(0, Vec::len);
    ensure!(
        addresses.len() == families * (nodes.items.len() + 1),
        "{addresses:?}"
    );
    let addresses = serde_json::to_string(&addresses)?;
    let map = stage.api::<ConfigMap>().get("demo-ca").await?;
    let authorities = map.data.and_then(|mut data| data.remove("ca.crt"));
    let authorities = authorities.context("demo-ca has no ca.crt")?;
    let script = format!(
        "
import http.client, json, socket, ssl
context = ssl.create_default_context(cadata={authorities:?})
headers = {{'X-API-Key': os.environ['API_KEY'], 'X-User-Key': os.environ['USER_KEY'], 'Content-Type': 'application/json'}}
def ask(address, port, method, path, body=None):
    plain = socket.create_connection((address, port), timeout=5)
    connection = http.client.HTTPSConnection(address, port)
    connection.sock = context.wrap_socket(plain, server_hostname='demo.{namespace}.svc')
    connection.request(method, path, body, headers)
    return json.load(connection.getresponse())
addresses = {addresses}
ask(*addresses[0], 'POST', '/configs', json.dumps({{'key': 'db', 'value': {{'port': 5432}}}}))
for address in addresses:
    assert ask(*address, 'GET', '/configs/db')['value'] == {{'port': 5432}}, address
",
        namespace = stage.namespace
    );
    let workload = Workload {
        stage,
        cluster: "demo",
    };
    workload.run(&script).await?;
    Ok(())
}

async fn service(stage: &Stage, wanted: &Value) -> anyhow::Result<()> {
    let change = json!({ "spec": { "service": wanted } });
    stage
        .clusters()
        .patch("demo", &PatchParams::default(), &Patch::Merge(&change))
        .await?;
    Ok(())
}

/// Waits until the client Service has this type and carries these ports alone.
async fn until_service(stage: &Stage, type_: &str, ports: &[i64]) -> anyhow::Result<Value> {
    let wanted = |found: Option<&Service>| {
        let Some(found) = found.and_then(|service| serde_json::to_value(service).ok()) else {
            return false;
        };
        let numbers = field(&found, "/spec/ports");
        let numbers = numbers.as_array().into_iter().flatten();
        let numbers: Vec<_> = numbers.filter_map(|port| port["port"].as_i64()).collect();
        field(&found, "/spec/type") == type_ && numbers == ports
    };
    let what = format!("{type_} with {ports:?}");
    let found = stage
        .until(stage.api::<Service>(), "demo", &what, wanted)
        .await?;
    Ok(serde_json::to_value(found.context("no Service")?)?)
}

fn node_port(service: &Value) -> anyhow::Result<Value> {
    let port = field(service, "/spec/ports/0/nodePort");
    ensure!(port.is_i64(), "no port of the nodes: {service}");
    Ok(port)
}

fn field(value: &Value, pointer: &str) -> Value {
    value.pointer(pointer).cloned().unwrap_or_default()
}
