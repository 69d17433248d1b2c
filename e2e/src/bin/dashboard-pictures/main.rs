//! Draws the dashboards as they look over a cluster under load: `make dashboard-pictures`. Grafana itself is not needed.
//!
//! `dashboard-pictures [SECONDS [NAMESPACE]]`: for how long, or how far back and of which namespace

mod axis;
mod load;
mod picture;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use kube::Client;
use opensecureconf_e2e::{Dashboard, Panel, Prometheus, Range, Series, Stage};

/// How long the cluster is under load, unless the first argument says otherwise.
const SECONDS: u64 = 420;
/// The dashboards below `manifests/monitoring`, and their pictures below `docs/pictures`.
const DASHBOARDS: [(&str, &str); 2] = [
    ("dashboard.json", "dashboard-nodes.svg"),
    ("operator/dashboard.json", "dashboard-operator.svg"),
];

/// A panel and what it shows.
struct Picture {
    panel: Panel,
    lines: Vec<Line>,
}

/// One line of a panel.
struct Line {
    /// In the legend.
    name: String,
    /// Seconds since 1970, and values.
    points: Vec<(f64, f64)>,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let seconds = match arguments.next() {
        Some(text) => text.parse().context("how many seconds?")?,
        None => SECONDS,
    };
    // Of clusters that are there: nothing is loaded then.
    if let Some(namespace) = arguments.next() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        return tokio::runtime::Runtime::new()?.block_on(async {
            let client = Client::try_default().await?;
            draw(&Prometheus::new(client), &namespace, seconds).await
        });
    }
    Stage::tell("shop", |stage| async move {
        load::run(&stage, Duration::from_secs(seconds)).await?;
        draw(
            &Prometheus::new(stage.client.clone()),
            &stage.namespace,
            seconds,
        )
        .await
    });
    Ok(())
}

async fn draw(prometheus: &Prometheus, namespace: &str, seconds: u64) -> anyhow::Result<()> {
    for (file, picture) in DASHBOARDS {
        let dashboard = Dashboard::read(file)?;
        let panels = ask(prometheus, &dashboard, namespace, seconds).await?;
        let path = format!("{}/../docs/pictures/{picture}", env!("CARGO_MANIFEST_DIR"));
        picture::draw(path.as_ref(), &dashboard.title, &panels)?;
    }
    Ok(())
}

async fn ask(
    prometheus: &Prometheus,
    dashboard: &Dashboard,
    namespace: &str,
    seconds: u64,
) -> anyhow::Result<Vec<Picture>> {
    let end = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let length = Duration::from_secs(seconds).as_secs_f64();
    let range = Range {
        start: end - length,
        end,
        step: length / 84.0,
    };
    let variables = [
        ("namespace", namespace),
        ("pod", ".*"),
        ("name", ".*"),
        ("__rate_interval", "30s"),
    ];
    let mut panels = Vec::new();
    for panel in &dashboard.panels {
        let mut lines = Vec::new();
        for target in &panel.targets {
            let found = prometheus
                .query_range(&target.expression(&variables), range)
                .await?;
            lines.extend(found.into_iter().map(|Series { labels, points }| {
                // The namespace of this run says nothing to who looks at the picture.
                let name = target.legend(&labels).replace(namespace, "shop");
                Line { name, points }
            }));
        }
        lines.sort_by(|one, other| one.name.cmp(&other.name));
        panels.push(Picture {
            panel: panel.clone(),
            lines,
        });
    }
    Ok(panels)
}
