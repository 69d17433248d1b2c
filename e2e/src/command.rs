//! Programs of this machine, as a person runs them.

use anyhow::{Context, ensure};
use tokio::process::Command;

/// Longest time of a command, in seconds: an endless command fails by itself, before the whole story times out.
const LIMIT: &str = "300";

/// Runs a program, such as `docker` or `kubectl`, to its end.
///
/// # Errors
/// The program's error output where it fails; that there is no such program.
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
