//! The command line: every setting as a flag, and the commands beside serving.

use clap::{Arg, Command, builder::UnknownArgumentValueParser};

use super::subcommands::subcommands;
use crate::config::{SETTINGS, flag};

/// The command line, with every setting as a flag.
pub fn command() -> Command {
    Command::new("osc-node")
        .version(env!("CARGO_PKG_VERSION"))
        .about("One node of OpenSecureConf: an encrypted configuration store with a REST API")
        .long_about(
            "One node of OpenSecureConf: an encrypted configuration store with a REST API.\n\n\
             Each value is encrypted under a key that only its caller holds (header X-User-Key).\n\
             Every setting below is a flag, an environment variable and a line of a .env file in the working \
             directory; a flag wins over the environment, the environment over the file. The file is read as python-dotenv \
             reads it: between single quotes a value stands as it is (write \\\\ and \\' for \\ and '); without them ${NAME} is \
             replaced and a # behind a blank begins a comment.",
        )
        .after_help(
            "Exit codes: 0 stopped as asked or done, 1 failed or refused, 2 settings that are not usable, 3 'check' found damage, \
             4 'import' left something out, 'copy' is not finished, or a later release wrote the database.\n\n\
             Examples:\n  \
             OSC_API_KEY_REQUIRED=true OSC_API_KEY_FILE=./api-key osc-node --host-port 9000\n  \
             osc-node backup --output backup.db",
        )
        .args(SETTINGS.iter().map(flag))
        .arg(port())
        .subcommands(subcommands().into_iter().map(with_settings))
}

/// The flag of many other servers: it is none here, but the error names the one that is meant.
fn port() -> Arg {
    Arg::new("port")
        .long("port")
        .value_name("PORT")
        .hide(true)
        .global(true)
        .value_parser(UnknownArgumentValueParser::suggest_arg("--host-port"))
}

/// The help of a command about a file lists only the settings that matter to it, but the command accepts all, since they are
/// judged as a whole.
fn with_settings(command: Command) -> Command {
    let shown: &[&str] = match command.get_name() {
        "check" | "backup" | "vacuum" => &["DATABASE_PATH"],
        "restore" => &["DATABASE_PATH", "SALT_FILE_PATH", "CLUSTER_NODE_ID"],
        "adopt" => &["DATABASE_PATH", "CLUSTER_NODE_ID"],
        "copy" | "database" => &[
            "DATABASE_URL",
            "DATABASE_URL_FILE",
            "DATABASE_CA_FILE",
            "DATABASE_TIMEOUT",
            "SALT_SECRET_FILE",
            "CLUSTER_ID",
        ],
        "health" => &["HOST", "HOST_PORT", "HTTPS_ENABLED", "HEALTH_BIND"],
        "members" | "leave" | "bootstrap" | "unfence" | "salt" | "admin" => &[
            "HOST",
            "HOST_PORT",
            "PEER_PORT",
            "NODE_TLS_DIR",
            "CLUSTER_KEY",
            "CLUSTER_KEY_FILE",
        ],
        _ => return command,
    };
    let others = SETTINGS
        .iter()
        .filter(|setting| !shown.contains(&setting.name));
    let more = "Every other setting is accepted too: osc-node --help";
    let help = match command.get_after_help() {
        Some(help) => format!("{help}\n\n{more}"),
        None => more.to_owned(),
    };
    command
        .args(others.map(|setting| flag(setting).hide(true)))
        .after_help(help)
}
