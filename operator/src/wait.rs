//! `osc-operator wait`: for installers that take every resource for ready as soon as it is there.

mod look;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use kube::Client;

use crate::{
    duration,
    names::OPERATOR,
    object_names::{namespace, object_name},
};
use look::{Look, Waited};

/// How often the API server is asked.
const PERIOD: Duration = Duration::from_secs(2);
/// A request that takes longer has failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of `wait`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A cluster is ready when its operator has seen the newest spec (status.observedGeneration) and says Ready: True. \
    What is still missing is printed each time it changes.\n\n\
    Exit codes: 0 ready, 1 no Kubernetes to ask, 2 wrong usage, 3 the time is over.\n\
    Rights needed: get opensecureconfclusters.opensecureconf.io, or get leases.coordination.k8s.io with --operator.\n\n\
    Examples:\n  \
    osc-operator wait config -n team --timeout 5m\n  \
    osc-operator wait --operator -n opensecureconf-system"
)]
pub struct Settings {
    /// The cluster: the name of an OpenSecureConfCluster
    #[arg(
        value_name = "NAME",
        value_parser = object_name,
        required_unless_present = "operator",
        conflicts_with = "operator"
    )]
    pub name: Option<String>,
    /// Wait for the operator itself: until one holds the Lease and renews it
    #[arg(long)]
    pub operator: bool,
    /// Name of the operator's Lease
    #[arg(long, value_name = "NAME", env = "OSC_OPERATOR_LEASE_NAME", value_parser = object_name, default_value = OPERATOR)]
    pub lease_name: String,
    /// Namespace of the cluster or the operator [default: the pod's own, or that of the kubeconfig]
    #[arg(short, long, value_name = "NAMESPACE", value_parser = namespace)]
    pub namespace: Option<String>,
    /// How long to wait, such as 90s, 5m or 1h30m
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::read)]
    pub timeout: Duration,
}

/// What was waited for did not come in time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{waited} is not ready after {after:?}: {missing}")]
pub struct TimeIsOver {
    /// What was waited for.
    waited: String,
    /// For how long.
    after: Duration,
    /// What was missing when it was last looked at.
    missing: String,
}

impl TimeIsOver {
    /// The exit code of a program that waited in vain.
    pub const EXIT_CODE: u8 = 3;
}

/// Waits, and prints what is missing each time it changes.
///
/// # Errors
/// [`TimeIsOver`]; or where there is no Kubernetes to ask.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let client = Client::try_default()
        .await
        .context("no Kubernetes cluster: neither a service account nor a kubeconfig was found")?;
    Ok(until_ready(client, settings, PERIOD, |line| {
        use std::io::Write as _;
        // Where standard output is gone nothing can be reported.
        let _ = writeln!(std::io::stdout(), "{line}");
    })
    .await?)
}

/// Looks once a period until what is waited for is ready, at least once.
///
/// # Errors
/// Where the time is over.
pub async fn until_ready(
    client: Client,
    settings: Settings,
    period: Duration,
    mut tell: impl FnMut(&str),
) -> Result<(), TimeIsOver> {
    let namespace = settings
        .namespace
        .unwrap_or_else(|| client.default_namespace().to_owned());
    let mut waited = match settings.name {
        Some(name) => Waited::cluster(client, &namespace, name),
        None => Waited::operator(client, &namespace, settings.lease_name),
    };
    let (begun, mut told) = (Instant::now(), String::new());
    loop {
        let look = match tokio::time::timeout(REQUEST_TIMEOUT, waited.look()).await {
            Ok(look) => look,
            Err(_) => Look::Missing("the API server does not answer".to_owned()),
        };
        let missing = match look {
            Look::Ready(message) => {
                tell(&format!("{waited} is ready: {message}"));
                return Ok(());
            }
            Look::Missing(missing) => missing,
        };
        if missing != told {
            tell(&format!("waiting for {waited}: {missing}"));
            told.clone_from(&missing);
        }
        if begun.elapsed() + period > settings.timeout {
            return Err(TimeIsOver {
                waited: waited.to_string(),
                after: settings.timeout,
                missing,
            });
        }
        tokio::time::sleep(period).await;
    }
}
