//! Programs of this machine, as a person runs them.

use anyhow::{Context, ensure};
use tokio::process::Command;

/// Longest time of a command, in seconds: one that never ends fails, and not only when everything times out.
const LIMIT: &str = "300";

/// Runs a program, such as `docker` or `kubectl`, to its end.
///
/// # Errors
/// What it says where it fails; that it is not there.
pub async fn command(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("timeout");
    command.arg(LIMIT).arg(program).args(arguments);
    let ran = command
        .output()
        .await
        .with_context(|| format!("no {program}"))?;
    let told = String::from_utf8_lossy(&ran.stderr);
    ensure!(
        ran.status.success(),
        "{program} {}: {told}",
        arguments.join(" ")
    );
    Ok(())
}
