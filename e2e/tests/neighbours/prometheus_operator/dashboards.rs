//! Every panel of the dashboards shows data.

use opensecureconf_e2e::{Dashboard, Prometheus, Stage, Workload};
use serde_json::json;

use super::{LIMIT, scraped};

/// Some of every counted event: all operations, their failures, and a wrong key.
const SCRIPT: &str = "
import time
from opensecureconf_client import OpenSecureConfClient
until = time.monotonic() + 40
rounds = 0
while time.monotonic() < until:
    key = f'entry-{rounds}'
    client.create(key, {'round': rounds}, 'load')
    client.read(key)
    client.update(key, {'round': rounds, 'again': True})
    client.list_all()
    if rounds % 2:
        client.delete(key)
    for wrong in (lambda: client.read('missing'), lambda: client.create(key, ''), lambda: stranger.read(key)):
        try:
            wrong()
        except Exception:
            pass
    if rounds == 0:
        stranger = OpenSecureConfClient(
            base_url=os.environ['ENDPOINT'], user_key='another-horse-battery', api_key=os.environ['API_KEY'])
    rounds += 1
    time.sleep(0.2)
print(rounds, 'rounds')
";

#[test]
fn every_panel_has_data() {
    Stage::tell("dashboards", |stage| async move {
        let prometheus = scraped(&stage, &json!({})).await?;
        let workload = Workload {
            stage: &stage,
            cluster: "config",
        };
        let script = workload.start(SCRIPT).await?;
        for file in ["dashboard.json", "operator/dashboard.json"] {
            let dashboard = Dashboard::read(file)?;
            prometheus
                .until(
                    LIMIT,
                    "all panels full",
                    async |prometheus| empty(prometheus, &dashboard, &stage.namespace).await,
                    Vec::is_empty,
                )
                .await?;
        }
        script.end().await?;
        Ok(())
    });
}

/// Panel queries without a result, with their panels.
async fn empty(
    prometheus: &Prometheus,
    dashboard: &Dashboard,
    namespace: &str,
) -> anyhow::Result<Vec<String>> {
    let variables = [
        ("namespace", namespace),
        ("pod", ".*"),
        ("name", ".*"),
        ("__rate_interval", "20s"),
    ];
    let mut empty = Vec::new();
    for panel in &dashboard.panels {
        for target in &panel.targets {
            let expression = target.expression(&variables);
            let found = prometheus.query(&expression).await?;
            let told = |series: &serde_json::Value| {
                series
                    .pointer("/value/1")
                    .is_some_and(|value| value != "NaN")
            };
            if !found.iter().any(told) {
                empty.push(format!("{}: {expression}", panel.title));
            }
        }
    }
    Ok(empty)
}
