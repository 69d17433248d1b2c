//! The settings that `e2e/soak-cluster.sh` passes on: its own for the cluster, and the user's for the time.

use std::{env, time::Duration};

use anyhow::Context;

/// How the cluster is treated.
#[derive(Debug)]
pub(crate) struct Settings {
    /// For how long, at least.
    pub(crate) time: Duration,
    /// Whether its volumes are file systems that fill up.
    pub(crate) volumes_have_sizes: bool,
    /// A node image beside the operator's, which all machines have.
    pub(crate) other_image: String,
    /// The earlier revision of which that is; without one it is the same program under another name.
    pub(crate) earlier: Option<String>,
}

impl Settings {
    /// The settings of the environment.
    pub(crate) fn of_environment() -> anyhow::Result<Self> {
        let minutes = env::var("SOAK_MINUTES").unwrap_or_else(|_| "60".to_owned());
        let minutes: u32 = minutes
            .parse()
            .with_context(|| format!("SOAK_MINUTES: '{minutes}' is no whole number of minutes"))?;
        Ok(Self {
            time: Duration::from_mins(minutes.into()),
            volumes_have_sizes: env::var("SOAK_VOLUMES").as_deref() != Ok("folders"),
            other_image: env::var("SOAK_NODE_IMAGE").context("SOAK_NODE_IMAGE is not set")?,
            earlier: env::var("SOAK_EARLIER").ok(),
        })
    }
}
