//! `osc-operator health`: asks the running operator, for images without a shell.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, ensure};

/// A probe that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of `health`.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// Address of /healthz, as the operator was started with it
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "OSC_OPERATOR_ADMIN_BIND",
        default_value = "[::]:8080"
    )]
    pub admin_bind: SocketAddr,
}

/// Asks `/healthz`.
///
/// # Errors
/// Where the operator does not answer within five seconds, or answers anything but 200.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let address = settings.admin_bind;
    // What listens everywhere listens here too.
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        // Which answers IPv4 too, also where the kernel has no IPv6.
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    };
    let url = format!("http://{}/healthz", SocketAddr::new(ip, address.port()));
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()?;
    let answer = client
        .get(&url)
        .send()
        .await
        .map_err(reqwest::Error::without_url)
        .with_context(|| format!("no answer from {url}"))?;
    ensure!(
        answer.status().is_success(),
        "{url} answers {}",
        answer.status()
    );
    Ok(())
}
