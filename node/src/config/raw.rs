//! Where settings come from, before anybody judges them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt,
};

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{SETTINGS, Setting, subcommands::subcommands};

/// Names that begin like a setting's: of the operator, which may start nodes on its own machine, and of tests.
pub(super) const OF_OTHERS: [&str; 2] = ["OSC_OPERATOR_", "OSC_TEST_"];

/// What is wrong with bytes that are no UTF-8.
pub(super) const NO_TEXT: &str = "is no UTF-8 text";

/// Everything that is wrong with a configuration, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError(pub Vec<String>);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is not usable:")?;
        self.0
            .iter()
            .try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

impl std::error::Error for UsageError {}

/// The settings that were given, by name without `OSC_`: flags over environment over `.env` over defaults.
#[derive(Default)]
pub struct Layers {
    values: BTreeMap<&'static str, String>,
    unknown: BTreeSet<String>,
    /// What cannot be read: where it stands, and what is wrong with it.
    pub(super) faults: BTreeMap<String, String>,
    /// Secrets of `.env` that are another text than what stands there, one line each.
    pub(super) rewritten: Vec<String>,
}

/// Only the names: values may be secrets, also where a secret stands in the wrong place.
impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Layers {
    /// Lays the sources over each other; what is given blank has its default. `environment` and `dotenv` are pairs of whole
    /// variable names and values.
    pub fn new(
        flags: &ArgMatches,
        environment: impl IntoIterator<Item = (String, String)>,
        dotenv: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let environment: BTreeMap<_, _> = dotenv.into_iter().chain(environment).collect();
        let mut faults = BTreeMap::new();
        let mut flag = |setting: &Setting| {
            let value = flags.get_one::<OsString>(setting.name)?;
            if value.to_str().is_none() {
                let place = format!("{} ({})", setting.variable(), setting.flag());
                faults.insert(place, NO_TEXT.to_owned());
            }
            value.to_str().map(str::to_owned)
        };
        let mut values = BTreeMap::new();
        for setting in SETTINGS {
            let value = flag(setting)
                .or_else(|| environment.get(&setting.variable()).cloned())
                .filter(|value| !value.trim().is_empty())
                .or_else(|| setting.default.map(str::to_owned));
            if let Some(value) = value {
                values.insert(setting.name, value);
            }
        }
        let known: BTreeSet<_> = SETTINGS.iter().map(Setting::variable).collect();
        let unknown = environment.into_keys().filter(|name| {
            name.starts_with("OSC_")
                && !known.contains(name)
                && !OF_OTHERS.iter().any(|prefix| name.starts_with(prefix))
        });
        Self {
            values,
            unknown: unknown.collect(),
            faults,
            rewritten: Vec::new(),
        }
    }

    /// Variables that look like settings and are none, such as mistyped ones.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.unknown.iter().map(String::as_str)
    }

    /// One value by its name without `OSC_`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

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
             4 'import' left something out.\n\n\
             Examples:\n  \
             OSC_API_KEY_REQUIRED=true OSC_API_KEY_FILE=./api-key osc-node --host-port 9000\n  \
             osc-node backup --output backup.db",
        )
        .args(SETTINGS.iter().map(flag))
        .subcommands(subcommands().into_iter().map(with_settings))
}

fn flag(setting: &Setting) -> Arg {
    let default = setting
        .default
        .map(|value| format!(" [default: {value}]"))
        .unwrap_or_default();
    Arg::new(setting.name)
        .long(setting.flag().trim_start_matches('-').to_owned())
        .value_name(setting.value)
        // Bytes that are no text are refused by their setting's name, which clap would not tell.
        .value_parser(value_parser!(OsString))
        .help(format!(
            "{}{default} [env: {}]",
            setting.help,
            setting.variable()
        ))
        .global(true)
}

/// A command about a file shows only the settings that matter to it, and takes all, since they are judged as a whole.
fn with_settings(command: Command) -> Command {
    let shown: &[&str] = match command.get_name() {
        "check" | "backup" | "vacuum" => &["DATABASE_PATH"],
        "restore" => &["DATABASE_PATH", "SALT_FILE_PATH", "CLUSTER_NODE_ID"],
        "adopt" => &["DATABASE_PATH", "CLUSTER_NODE_ID"],
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
