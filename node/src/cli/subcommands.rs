//! The commands beside serving: their arguments and their help.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

/// The end of the help of a command that speaks to a running node with its cluster key.
fn order_help(example: &str) -> String {
    format!(
        "In Kubernetes it runs in the node's pod:\n  kubectl exec POD -c node -- osc-node {example}\n\n\
         The command signs what it asks with the cluster key. With OSC_PEER_PORT it asks there, with the certificate of \
         OSC_NODE_TLS_DIR, and the node takes it from its own machine only.\n\n\
         Exit codes: 0 done, 1 the node refused or does not answer, 2 arguments or settings that are not usable"
    )
}

/// All of them.
pub(crate) fn subcommands() -> Vec<Command> {
    vec![
        Command::new("config").about("Print the settings in effect, with secrets masked, and stop"),
        Command::new("check")
            .about("Check a database that no node is using, row by row, and stop; exit code 3 where it is damaged, or no database"),
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
                    .help("Where the copy goes; must not exist. - is standard output. The copy holds the salt too, so keep it secret"),
            )
            .after_help(
                "Examples:\n  osc-node backup --output backup.db\n  \
                 kubectl exec POD -c node -- osc-node backup --output - > backup.db",
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
                    .help("The cluster that the backup comes from is lost: forget it, so that a new one can be bootstrapped with these entries. Without it the node joins the living cluster anew"),
            ),
        import_command(),
        database_command(),
        copy_command(),
        Command::new("adopt").about(
            "Give a database that no node is using this node's name (OSC_CLUSTER_NODE_ID), and stop",
        ),
        Command::new("health")
            .about("Ask the running node with these settings whether it is healthy, and stop; exit code 0 or 1")
            .arg(
                Arg::new("ready")
                    .long("ready")
                    .action(ArgAction::SetTrue)
                    .help("Ask whether it is ready to serve entries instead: /ready, not /health"),
            ),
        members_command(),
        Command::new("leave")
            .about("Make the running node with these settings leave its cluster, and stop")
            .long_about(
                "Make the running node with these settings leave its cluster, and stop.\n\n\
                 The node refuses writes from now on, waits until every other member holds what it holds, and then has left. Run \
                 it again to see how far it is. Then stop the node, and remove it on another one: osc-node members remove NAME.",
            )
            .after_help(order_help("leave")),
        bootstrap_command(),
        unfence_command(),
        salt_command(),
        admin_command(),
    ]
}

fn database_command() -> Command {
    Command::new("database")
        .about("Make the tables of a database that nodes share (OSC_DATABASE_URL), or give its store to another cluster")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("migrate")
                .about("Make the tables, or bring those of an earlier release to this one's version, and stop")
                .long_about(
                    "Make the tables, or bring those of an earlier release to this one's version, and stop.\n\n\
                     It is one transaction, and does nothing where everything is there. Nodes of the release before go on meanwhile. \
                     A new store belongs to OSC_CLUSTER_ID and to the salt of OSC_SALT_SECRET_FILE from then on. The role of this \
                     command makes tables; that of the nodes needs to read and write them only.",
                )
                .after_help(
                    "Exit codes: 0 done, 1 failed, 2 settings that are not usable or do not fit the store\n\n\
                     Example:\n  \
                     OSC_DATABASE_URL_FILE=./url OSC_SALT_SECRET_FILE=./salt osc-node database migrate --wait 300",
                )
                .arg(wait()),
        )
        .subcommand(
            Command::new("adopt")
                .about("Give the store in a copy of another cluster's database to this cluster (OSC_CLUSTER_ID), and stop; refused while a node is connected")
                .arg(
                    text("from", "NAME", "The cluster that it belongs to now (its OSC_CLUSTER_ID; \"\" for none)")
                        .long("from")
                        .required(true),
                )
                .arg(wait()),
        )
}

/// How long a command waits for the database that nodes share.
fn wait() -> Arg {
    Arg::new("wait")
        .long("wait")
        .value_parser(value_parser!(u64))
        .value_name("SECONDS")
        .default_value("0")
        .help(
            "Try again for so long where the database is away, or another session holds its tables",
        )
}

fn copy_command() -> Command {
    let database = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_parser(value_parser!(PathBuf))
            .value_name("DATABASE")
            .required(true)
            .help(help)
    };
    Command::new("copy")
        .about("Copy a whole store from a database in a file into the one that nodes share (OSC_DATABASE_URL), or back, and stop; exit code 4 where a node still uses what is copied, or wrote to it meanwhile")
        .long_about(
            "Copy a whole store from a database in a file into the one that nodes share (OSC_DATABASE_URL), or back, and stop.\n\n\
             Entries keep their values, encrypted as they are, and their names, categories, versions and times; deletes are copied, \
             too. No user key is needed. The target must have no entries, or be what an earlier run of this has left: run it \
             again where it was interrupted, and it goes on with what is missing. At the end both are compared by their \
             digests.\n\n\
             While nodes write to the source it copies what is there, and says that the copy is not finished. Then stop \
             them and run it again: it brings what was written meanwhile, which is quick, and gives the copy to its nodes. No node \
             serves the target before that.\n\n\
             Losing versions of conflicts stay behind.",
        )
        .after_help(
            "Exit codes: 0 finished, 1 failed (what was copied stands; run it again), 2 settings or arguments that are not usable, \
             4 not finished: a node still uses the source, or wrote to it meanwhile; stop it and run this again.\n\n\
             Examples:\n  \
             osc-node salt export --from configurations.db --output salt\n  \
             OSC_DATABASE_URL_FILE=./url OSC_SALT_SECRET_FILE=./salt osc-node copy --from configurations.db --to shared\n  \
             OSC_DATABASE_URL_FILE=./url OSC_SALT_SECRET_FILE=./salt osc-node copy --from shared --to configurations.db",
        )
        .arg(database(
            "from",
            "What is copied: a file, or 'shared' for the database of OSC_DATABASE_URL (a file of that name is ./shared)",
        ))
        .arg(database("to", "What it becomes: 'shared', or a file that does not exist"))
        .arg(wait())
}

fn members_command() -> Command {
    Command::new("members")
        .about("List the members of the cluster as the running node with these settings sees them, or remove one")
        .after_help(order_help("members"))
        .subcommand(
            Command::new("remove")
                .about("Remove a member that has left, or with --force one whose disk is lost")
                .long_about(
                    "Remove a member that has left, or with --force one whose disk is lost.\n\n\
                     Run it on any other member. A member that was removed by force and comes back is refused: what only it had is \
                     not taken. It joins anew on an empty disk.",
                )
                .after_help(order_help("members remove NAME --force"))
                .arg(text("name", "NAME", "The member's name").required(true))
                .arg(
                    text("incarnation", "INCARNATION", "Which one, where several have that name")
                        .long("incarnation"),
                )
                .arg(
                    Arg::new("force")
                        .long("force")
                        .action(ArgAction::SetTrue)
                        .help("Also where it has not left: it is dead, and its disk is lost"),
                ),
        )
}

fn bootstrap_command() -> Command {
    Command::new("bootstrap")
        .about("Instruct the running node with these settings to bootstrap its cluster, once, and stop")
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Also where a listed node does not answer or belongs to a cluster"),
        )
        .after_help(order_help("bootstrap"))
}

fn unfence_command() -> Command {
    Command::new("unfence")
        .about("Let the running node with these settings go on with what it has, where it is fenced or suspended and no other node could give it a snapshot; deleted entries may come back, and are listed")
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Only list the entries that may have been deleted; refused where the order itself would be"),
        )
        .after_help(order_help("unfence --dry-run"))
}

fn salt_command() -> Command {
    let file = |name| {
        Arg::new(name)
            .value_parser(value_parser!(PathBuf))
            .value_name("FILE")
            .required(true)
    };
    Command::new("salt")
        .about("Export the salt of the running node with these settings, or compare another one with it")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("export")
                .about("Write the salt into a file; keep it secret, and together with a backup")
                .after_help(format!(
                    "{}\n\nFrom a backup, on a node that has no salt yet:\n  \
                     kubectl exec -i POD -c node -- osc-node salt export --from - --output - < backup.db > salt",
                    order_help("salt export --output /tmp/salt")
                ))
                .arg(
                    file("output")
                        .long("output")
                        .help("Where the salt goes; must not exist. - is standard output"),
                )
                .arg(
                    file("from")
                        .long("from")
                        .required(false)
                        .help("A backup whose salt is wanted, not the running node's. - is standard input"),
                ),
        )
        .subcommand(
            Command::new("compare")
                .about("Report whether a file holds the node's salt; exit code 1 where it does not")
                .after_help(order_help("salt compare /tmp/salt"))
                .arg(file("file").help("The salt file")),
        )
}

fn admin_command() -> Command {
    Command::new("admin")
        .about("Administer the running node with these settings: delete an entry unread, change the log level")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("force-delete")
                .about("Delete an entry unread, for entries whose user key is lost")
                .after_help(order_help("admin force-delete KEY --environment NAME"))
                .arg(text("key", "KEY", "The entry's name").required(true))
                .arg(
                    text("environment", "NAME", "Its environment [default: the default one]")
                        .long("environment"),
                ),
        )
        .subcommand(
            Command::new("log-level")
                .about("Show the log level, or change it until the node restarts")
                .after_help(order_help("admin log-level DEBUG"))
                .arg(text("level", "LEVEL", "DEBUG, INFO, WARNING, ERROR or CRITICAL")),
        )
}

fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).value_name(value).help(help)
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
             Values travel as they are, encrypted; no user key is needed. So both must have the same salt. Entries keep \
             their names, categories and times of creation, and become ordinary writes of the node. An entry whose name is \
             taken there is left out and named: nothing is ever replaced. Run it again at will: what is there already is \
             not written again; but what was deleted meanwhile comes back.",
        )
        .after_help(
            "Exit codes: 0 everything is there, 1 failed (what was written stands; run it again), 2 settings that are not usable, \
             4 done, but some entries were left out: they are named.\n\n\
             Examples:\n  \
             osc-node import --from old/configurations.db --dry-run\n  \
             osc-node import --from original/configurations.db --salt original/encryption.salt\n  \
             kubectl exec -i POD -c node -- osc-node import --from - < backup.db",
        )
        .arg(
            Arg::new("from")
                .long("from")
                .value_parser(value_parser!(PathBuf))
                .value_name("FILE")
                .required(true)
                .help("The database whose entries are wanted; it is only read. - is standard input"),
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
                .help("Only report what would be written and what would be left out"),
        )
}
