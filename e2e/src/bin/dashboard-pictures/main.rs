//! Draws the dashboards as they look over a cluster under load: `make dashboard-pictures`. Grafana itself is not needed.
//!
//! `dashboard-pictures [SECONDS [NAMESPACE]]`: for how long; or how far back, and in which namespace

mod axis;
mod load;
mod picture;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

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

/// A panel and its lines.
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
    // With a namespace the pictures show existing clusters, and nothing is loaded.
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
    let end = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let length = Duration::from_secs(seconds).as_secs_f64();
    let range = Range {
        start: end - length,
        end,
        step: length / 84.0,
    };
    for (file, picture) in DASHBOARDS {
        let dashboard = Dashboard::read(file)?;
        let panels = ask(prometheus, &dashboard, namespace, range).await?;
        let path = format!("{}/../docs/pictures/{picture}", env!("CARGO_MANIFEST_DIR"));
        picture::draw(path.as_ref(), &dashboard.title, &panels, range)?;
    }
    Ok(())
}

async fn ask(
    prometheus: &Prometheus,
    dashboard: &Dashboard,
    namespace: &str,
    range: Range,
) -> anyhow::Result<Vec<Picture>> {
    let variables = [
        ("namespace", namespace),
        ("pod", ".*"),
        ("name", ".*"),
        ("__rate_interval", "30s"),
    ];
    let mut panels = Vec::new();
    for panel in &dashboard.panels {
        // A node that comes back has another address, but keeps its line in the legend.
        let mut lines: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for target in &panel.targets {
            let found = prometheus
                .query_range(&target.expression(&variables), range)
                .await?;
            for Series { labels, points } in found {
                // The namespace of this run means nothing to a reader of the picture.
                let name = target.legend(&labels).replace(namespace, "shop");
                lines.entry(name).or_default().extend(points);
            }
        }
        let lines = lines.into_iter().map(|(name, mut points)| {
            points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            points.dedup_by_key(|(time, _)| *time);
            Line { name, points }
        });
        panels.push(Picture {
            panel: panel.clone(),
            lines: lines.collect(),
        });
    }
    Ok(panels)
}
