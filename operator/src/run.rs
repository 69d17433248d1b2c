//! The operator inside Kubernetes: waits for the Lease, reconciles while it holds it, and ends when it loses it.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::builder::NonEmptyStringValueParser;
use kube::Config;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    admin,
    api_requests::counted_clients,
    cluster::{
        context::Context,
        controller,
        rollout::{ANSWER_TIMEOUT, AT_ONCE},
        validate::Installation,
    },
    cluster_domain, duration,
    hangup::Hangup,
    leader::{Ended, Leadership},
    metrics::Metrics,
    names::{OPERATOR, OPERATOR_NAMESPACE},
    object_names::{namespace, object_name},
};

/// Shorter ones would take every late answer for a node that is cut off, longer ones hold a rollout that is to mend it.
const ANSWER_TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);
/// More would be written with an exponent by Helm.
const ROLLOUTS_AT_ONCE: RangeInclusive<usize> = 1..=10_000;

/// Settings of the operator.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// Watch only this namespace; several separated by commas, or given several times [default: all namespaces]
    #[arg(
        long = "namespace",
        value_name = "NAMESPACE",
        env = "OSC_OPERATOR_NAMESPACES",
        value_delimiter = ',',
        value_parser = namespace
    )]
    pub namespaces: Vec<String>,
    /// Node image of clusters that name none
    #[arg(long, value_name = "IMAGE", env = "OSC_OPERATOR_NODE_IMAGE", value_parser = NonEmptyStringValueParser::new(), default_value = concat!("opensecureconf-node:", env!("CARGO_PKG_VERSION")))]
    pub node_image: String,
    /// Clusters whose pods are replaced at the same time for changes of the operator's own, such as another --node-image
    #[arg(
        long,
        value_name = "NUMBER",
        env = "OSC_OPERATOR_MAX_CONCURRENT_ROLLOUTS",
        default_value_t = AT_ONCE,
        value_parser = rollouts_at_once
    )]
    pub max_concurrent_rollouts: usize,
    /// How long a rollout waits for nodes that serve and do not answer the operator, from 1s to 24h; then it counts that they serve
    #[arg(
        long,
        value_name = "DURATION",
        env = "OSC_OPERATOR_ANSWER_TIMEOUT",
        default_value = duration::write(ANSWER_TIMEOUT),
        value_parser = answer_timeout
    )]
    pub answer_timeout: Duration,
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
        value_parser = NonEmptyStringValueParser::new(),
        default_value = "osc-operator"
    )]
    pub identity: String,
    /// What the names of Services end in [default: what /etc/resolv.conf says, else cluster.local]
    #[arg(long, value_name = "DOMAIN", env = "OSC_OPERATOR_CLUSTER_DOMAIN", value_parser = object_name)]
    pub cluster_domain: Option<String>,
    /// Namespace of the operator and its Lease
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", value_parser = namespace, default_value = OPERATOR_NAMESPACE)]
    pub lease_namespace: String,
    /// Name of the Lease: operators that share it take turns, others work side by side. Clusters are marked with it
    #[arg(long, value_name = "NAME", env = "OSC_OPERATOR_LEASE_NAME", value_parser = object_name, default_value = OPERATOR)]
    pub lease_name: String,
    /// Leave this namespace to another operator; several separated by commas, or given several times
    #[arg(
        long = "exclude-namespace",
        value_name = "NAMESPACE",
        env = "OSC_OPERATOR_EXCLUDE_NAMESPACES",
        value_delimiter = ',',
        value_parser = namespace
    )]
    pub excluded_namespaces: Vec<String>,
}

fn answer_timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration::read(text)?;
    if ANSWER_TIMEOUTS.contains(&timeout) {
        Ok(timeout)
    } else {
        Err("it must be from 1s to 24h".to_owned())
    }
}

fn rollouts_at_once(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if ROLLOUTS_AT_ONCE.contains(&number) => Ok(number),
        _ => Err("it must be a number from 1 to 10000".to_owned()),
    }
}

impl Settings {
    /// Checks what no setting says alone.
    ///
    /// # Errors
    /// Names the two that contradict each other; a command line that is wrong ends with exit code 2.
    pub fn check(&self) -> Result<(), clap::Error> {
        let excluded = |namespace: &&String| self.excluded_namespaces.contains(namespace);
        match self.namespaces.iter().find(excluded) {
            None => Ok(()),
            Some(both) => Err(clap::Error::raw(
                clap::error::ErrorKind::ArgumentConflict,
                format!(
                    "--namespace and --exclude-namespace both name '{both}'; this operator either runs its clusters or leaves them to another\n"
                ),
            )),
        }
    }
}

/// Runs until a signal (well) or until the Lease is lost (an error).
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    // First of all: until a process listens, a signal says nothing to the first one of a container.
    let (mut terminate, mut interrupt, mut hangup) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        Hangup::listen()?,
    );
    let metrics = Metrics::new()?;
    let listener = admin::listen(settings.admin_bind).with_context(|| {
        format!(
            "cannot listen on {}; choose another --admin-bind",
            settings.admin_bind
        )
    })?;
    let admin = axum::serve(listener, admin::router(metrics.clone()));
    let config = Config::infer()
        .await
        .context("no Kubernetes cluster: neither a service account nor a kubeconfig was found")?;
    let clients = counted_clients(config, &metrics)?;
    let client = clients.patient;
    let mut leadership = Leadership::candidate(
        client.clone(),
        (&settings.lease_namespace, &settings.lease_name),
        settings.identity,
        metrics.clone(),
    );
    let installation = Installation {
        operator: format!("{}/{}", settings.lease_namespace, settings.lease_name),
        namespace: settings.lease_namespace,
        cluster_domain: cluster_domain::of_this_pod(settings.cluster_domain),
        answer_timeout: settings.answer_timeout,
        ..Installation::default()
    };
    let term = leadership.term();
    let evictions = term.client(&clients.prompt);
    let context = Context::new(term.client(&client), metrics, settings.node_image)
        .evicting_by(evictions)
        .at(installation)
        .acting_in(term)
        .rolling_out_at_once(settings.max_concurrent_rollouts)
        .without(settings.excluded_namespaces);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), admin = %settings.admin_bind, "operator_started");

    let work = async {
        let work = controller::run(context, &settings.namespaces);
        match leadership.lead(work).await? {
            Ended::LeaseLost => Err(anyhow!("the Lease was lost; another process may lead now")),
            Ended::WorkDone => Err(anyhow!("the watch ended")),
        }
    };
    let result = tokio::select! {
        result = work => result,
        served = async { admin.await } => served.context("the admin server ended"),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        // Of a terminal that closes.
        () = hangup.recv() => Ok(()),
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct CommandLine {
        #[command(flatten)]
        settings: Settings,
    }

    fn settings(arguments: &[&str]) -> Result<Settings, clap::Error> {
        let line = ["run"].iter().chain(arguments);
        let settings = CommandLine::try_parse_from(line)?.settings;
        settings.check()?;
        Ok(settings)
    }

    #[test]
    fn a_setting_that_names_nothing_is_refused_by_its_name_with_exit_code_2() {
        let wrong: [(&[&str], &str); 18] = [
            (&["--lease-name", "Bad Name"], "--lease-name"),
            (&["--lease-name", ""], "--lease-name"),
            (&["--lease-name", "a/../b"], "--lease-name"),
            (&["--lease-namespace", "a.b"], "--lease-namespace"),
            (&["--namespace", "a, b"], "--namespace"),
            (&["--namespace", ""], "--namespace"),
            (&["--exclude-namespace", "a?b"], "--exclude-namespace"),
            (&["--exclude-namespace", "a,B"], "--exclude-namespace"),
            (&["--cluster-domain", ".local"], "--cluster-domain"),
            (&["--node-image", ""], "--node-image"),
            (&["--identity", ""], "--identity"),
            (
                &["--max-concurrent-rollouts", "0"],
                "--max-concurrent-rollouts",
            ),
            (
                &["--max-concurrent-rollouts", "all"],
                "--max-concurrent-rollouts",
            ),
            (&["--answer-timeout", "0s"], "--answer-timeout"),
            (&["--answer-timeout", "600"], "--answer-timeout"),
            (&["--answer-timeout=-5m"], "--answer-timeout"),
            (&["--answer-timeout", "25h"], "--answer-timeout"),
            (
                &["--namespace", "x,y", "--exclude-namespace", "y"],
                "--exclude-namespace",
            ),
        ];
        for (arguments, named) in wrong {
            let error = settings(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{arguments:?}");
            assert!(error.to_string().contains(named), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn nodes_that_do_not_answer_hold_a_rollout_for_as_long_as_is_said_else_for_ten_minutes() {
        let timeout = |given: &[&str]| settings(given).unwrap().answer_timeout;
        assert_eq!(timeout(&[]), Duration::from_mins(10));
        let hour = ["--answer-timeout", "1h"];
        assert_eq!(timeout(&hour), Duration::from_hours(1));
    }

    #[test]
    fn namespaces_may_be_a_list_or_be_given_several_times() {
        let given = settings(&[
            "--namespace",
            "a,b",
            "--namespace",
            "c",
            "--exclude-namespace",
            "d,e",
        ]);
        let given = given.unwrap();
        assert_eq!(given.namespaces, ["a", "b", "c"]);
        assert_eq!(given.excluded_namespaces, ["d", "e"]);
    }
}
