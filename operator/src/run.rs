//! The operator inside Kubernetes: waits for the Lease, reconciles while it holds it, and ends when it loses it.

use std::net::SocketAddr;

use anyhow::{Context as _, anyhow};
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    admin,
    cluster::{context::Context, controller, validate::Installation},
    cluster_domain,
    leader::Leadership,
    metrics::Metrics,
    names::{OPERATOR, OPERATOR_NAMESPACE},
};

/// Settings of the operator.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// Watch only this namespace; may be given several times [default: all namespaces]
    #[arg(
        long = "namespace",
        value_name = "NAMESPACE",
        env = "OSC_OPERATOR_NAMESPACES",
        value_delimiter = ','
    )]
    pub namespaces: Vec<String>,
    /// Node image of clusters that name none
    #[arg(long, value_name = "IMAGE", env = "OSC_OPERATOR_NODE_IMAGE", default_value = concat!("opensecureconf-node:", env!("CARGO_PKG_VERSION")))]
    pub node_image: String,
    /// Address of /healthz, /readyz and /metrics
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "OSC_OPERATOR_ADMIN_BIND",
        default_value = "[::]:8080"
    )]
    pub admin_bind: SocketAddr,
    /// This process's name in the Lease; must be unique
    #[arg(
        long,
        value_name = "NAME",
        env = "POD_NAME",
        default_value = "osc-operator"
    )]
    pub identity: String,
    /// What the names of Services end in [default: what /etc/resolv.conf says, else cluster.local]
    #[arg(long, value_name = "DOMAIN", env = "OSC_OPERATOR_CLUSTER_DOMAIN")]
    pub cluster_domain: Option<String>,
    /// Namespace of the operator and its Lease
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = OPERATOR_NAMESPACE)]
    pub lease_namespace: String,
    /// Name of the Lease: operators that share it take turns, others work side by side. Clusters are marked with it
    #[arg(long, value_name = "NAME", env = "OSC_OPERATOR_LEASE_NAME", default_value = OPERATOR)]
    pub lease_name: String,
    /// Leave this namespace to another operator; may be given several times
    #[arg(
        long = "exclude-namespace",
        value_name = "NAMESPACE",
        env = "OSC_OPERATOR_EXCLUDE_NAMESPACES",
        value_delimiter = ','
    )]
    pub excluded_namespaces: Vec<String>,
}

/// Runs until a signal (well) or until the Lease is lost (an error).
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let metrics = Metrics::new()?;
    let listener = admin::listen(settings.admin_bind).with_context(|| {
        format!(
            "cannot listen on {}; choose another --admin-bind",
            settings.admin_bind
        )
    })?;
    let admin = axum::serve(listener, admin::router(metrics.clone()));
    let client = Client::try_default()
        .await
        .context("no Kubernetes cluster: neither a service account nor a kubeconfig was found")?;
    let mut leadership = Leadership::candidate(
        client.clone(),
        (&settings.lease_namespace, &settings.lease_name),
        settings.identity,
        metrics.clone(),
    );
    let installation = Installation {
        operator: format!("{}/{}", settings.lease_namespace, settings.lease_name),
        namespace: settings.lease_namespace,
        cluster_domain: settings
            .cluster_domain
            .unwrap_or_else(cluster_domain::of_this_pod),
    };
    let context = Context::new(client, metrics, settings.node_image)
        .at(installation)
        .without(settings.excluded_namespaces);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), admin = %settings.admin_bind, "operator_started");

    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let work = async {
        leadership.acquire().await?;
        tokio::select! {
            () = leadership.keep() => Err(anyhow!("the Lease was lost; another process may lead now")),
            () = controller::run(context, &settings.namespaces) => Err(anyhow!("the watch ended")),
        }
    };
    let result = tokio::select! {
        result = work => result,
        served = async { admin.await } => served.context("the admin server ended"),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    if result.is_ok() {
        // The next one would otherwise wait for the Lease to expire; it can.
        if let Err(error) = leadership.release().await {
            tracing::warn!(error = %error, "lease_not_released");
        }
    }
    tracing::info!("operator_stopped");
    result
}
