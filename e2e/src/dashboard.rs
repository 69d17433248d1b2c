//! A Grafana dashboard: the parts that query Prometheus.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A dashboard.
#[derive(Debug, Clone, Deserialize)]
pub struct Dashboard {
    /// The title above the dashboard.
    pub title: String,
    /// Its pictures, in their order.
    pub panels: Vec<Panel>,
}

/// One panel.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Panel {
    /// The title above the panel.
    pub title: String,
    /// The queries of the panel.
    pub targets: Vec<PanelQuery>,
    field_config: FieldConfig,
}

#[derive(Debug, Clone, Deserialize)]
struct FieldConfig {
    defaults: FieldDefaults,
}

#[derive(Debug, Clone, Deserialize)]
struct FieldDefaults {
    unit: String,
    max: Option<f64>,
}

/// One query, which gives lines of a panel.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PanelQuery {
    expr: String,
    legend_format: String,
}

impl Dashboard {
    /// Reads a dashboard below `manifests/monitoring`.
    pub fn read(file: &str) -> anyhow::Result<Self> {
        let path = crate::stage::top().join("manifests/monitoring").join(file);
        Self::read_from(&path).with_context(|| path.display().to_string())
    }

    fn read_from(path: &Path) -> anyhow::Result<Self> {
        Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
    }
}

impl Panel {
    /// Grafana's name of the unit.
    pub fn unit(&self) -> &str {
        &self.field_config.defaults.unit
    }

    /// The end of its axis, if the panel sets one.
    pub fn max(&self) -> Option<f64> {
        self.field_config.defaults.max
    }
}

impl PanelQuery {
    /// The expression with Grafana's variables filled in, such as `namespace` and `__rate_interval`.
    pub fn expression(&self, variables: &[(&str, &str)]) -> String {
        variables
            .iter()
            .fold(self.expr.clone(), |expression, (name, value)| {
                expression.replace(&format!("${name}"), value)
            })
    }

    /// The legend of a series with these labels.
    pub fn legend(&self, labels: &Map<String, Value>) -> String {
        labels
            .iter()
            .fold(self.legend_format.clone(), |legend, (name, value)| {
                legend.replace(
                    &format!("{{{{{name}}}}}"),
                    value.as_str().unwrap_or_default(),
                )
            })
    }
}
