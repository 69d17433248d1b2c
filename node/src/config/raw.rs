//! Where settings come from, before anybody judges them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt,
    path::PathBuf,
};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{SETTINGS, Setting};

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
            "Exit codes: 0 stopped as asked, 1 failed while running, 2 settings that are not usable, 3 'check' found damage, \
             4 'import' left something out.\n\n\
             Examples:\n  \
             OSC_API_KEY_REQUIRED=true OSC_API_KEY_FILE=./api-key osc-node --host-port 9000\n  \
             osc-node backup --output backup.db",
        )
        .args(SETTINGS.iter().map(flag))
        .subcommands(subcommands().map(with_settings))
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
        _ => return command,
    };
    let others = SETTINGS
        .iter()
        .filter(|setting| !shown.contains(&setting.name));
    command
        .args(others.map(|setting| flag(setting).hide(true)))
        .after_help("Every other setting is accepted too: osc-node --help")
}

fn import_command() -> Command {
    Command::new("import")
        .about("Bring the entries of another database in through the running node with these settings, and stop; exit code 4 where some were left out")
        .long_about(
            "Bring the entries of another database in through the running node with these settings, and stop.\n\n\
             For two nodes that hold entries of their own and never were one cluster: they do not merge by themselves. \
             Name the database of the one, and run this with the settings of a member of the other (OSC_CLUSTER_KEY, \
             OSC_HOST_PORT). The database may be of this release or an older one, or of the Python original; it is only read, \
             but its node should be stopped, or what it writes meanwhile is not brought.\n\n\
             Values travel as they are, encrypted; nobody needs a user key. So both must have the same salt. Entries keep \
             their names, categories and times of creation, and become ordinary writes of the node. An entry whose name is \
             taken there is left out and named: nothing is ever replaced. Run it again at will: what is there already is \
             not written again; but what was deleted meanwhile comes back.",
        )
        .after_help(
            "Exit codes: 0 everything is there, 1 failed (what was written stands; run it again), 2 settings that are not usable, \
             4 done, but some entries were left out: they are named.\n\n\
             Examples:\n  \
             osc-node import --from old/configurations.db --dry-run\n  \
             osc-node import --from original/configurations.db --salt original/encryption.salt",
        )
        .arg(
            Arg::new("from")
                .long("from")
                .value_parser(value_parser!(PathBuf))
                .value_name("FILE")
                .required(true)
                .help("The database whose entries are wanted; it is only read"),
        )
        .arg(
            Arg::new("salt")
                .long("salt")
                .value_parser(value_parser!(PathBuf))
                .value_name("FILE")
                .help("The salt file that goes with it; a database of this software holds its salt itself, one of the original does not"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Only tell what would be written and what would be left out"),
        )
}

fn subcommands() -> [Command; 10] {
    [
        Command::new("config").about("Print the settings in effect, with secrets masked, and stop"),
        Command::new("check")
            .about("Check a database that no node is using, row by row, and stop; exit code 3 where it is damaged"),
        Command::new("vacuum").about(
            "Write a database anew that no node is using, so that nothing is left of what earlier releases deleted, and stop",
        ),
        Command::new("backup")
            .about("Copy the database consistently, also while a node is writing to it, and stop")
            .arg(
                Arg::new("output")
                    .long("output")
                    .value_parser(value_parser!(PathBuf))
                    .value_name("FILE")
                    .required(true)
                    .help("Where the copy goes; must not exist. It holds the salt too, so keep it secret"),
            ),
        Command::new("restore")
            .about("Put a backup in the database's place, while no node is using it, and stop")
            .arg(
                Arg::new("input")
                    .long("input")
                    .value_parser(value_parser!(PathBuf))
                    .value_name("FILE")
                    .required(true)
                    .help("The backup; it is verified before anything is replaced"),
            )
            .arg(
                Arg::new("force")
                    .long("force")
                    .action(ArgAction::SetTrue)
                    .help("Replace a database that exists"),
            )
            .arg(
                Arg::new("new-cluster")
                    .long("new-cluster")
                    .action(ArgAction::SetTrue)
                    .help("The cluster that the backup comes from is lost: forget it, so that a new one can be founded with these entries. Without it the node joins the living cluster anew"),
            ),
        import_command(),
        Command::new("adopt").about(
            "Give a database that no node is using this node's name (OSC_CLUSTER_NODE_ID), and stop",
        ),
        Command::new("unfence")
            .about("Let the running node with these settings go on with what it has, where it is fenced or suspended and no other node could give it a snapshot; deleted entries may come back, and are listed")
            .arg(
                Arg::new("dry-run")
                    .long("dry-run")
                    .action(ArgAction::SetTrue)
                    .help("Only list the entries that may have been deleted"),
            ),
        Command::new("health")
            .about("Ask the running node with these settings whether it is healthy, and stop; exit code 0 or 1")
            .arg(
                Arg::new("ready")
                    .long("ready")
                    .action(ArgAction::SetTrue)
                    .help("Ask whether it is ready to serve entries instead: /ready, not /health"),
            ),
        Command::new("init")
            .about("Tell the running node with these settings to found its cluster, once, and stop")
            .arg(
                Arg::new("force")
                    .long("force")
                    .action(ArgAction::SetTrue)
                    .help("Also where a listed node does not answer or belongs to a cluster"),
            ),
    ]
}
