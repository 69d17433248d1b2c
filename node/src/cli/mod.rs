//! `osc-node`: reads the settings, and serves or runs a command.

mod administration;
mod command;
mod commands;
mod copy;
mod database;
mod given_database;
mod running_node;
mod serve;
mod subcommands;
mod waiting;

use std::{
    io::{self, Write},
    process::ExitCode,
};

pub use command::command;
use commands::Outcome;
use opensecureconf_contract::EXIT_NEWER_DATABASE;

use crate::{
    config::{Config, Layers, UsageError},
    os::{allocator, open_files, process_privacy},
    store::{postgres::PostgresError, sqlite::OpenError},
};

/// Runs the command line of this process, and gives the exit code.
pub fn run() -> ExitCode {
    process_privacy::withdraw();
    open_files::raise();
    let arguments = command().get_matches();
    let (name, flags) = match arguments.subcommand() {
        Some((name, flags)) => (name, flags),
        None => ("serve", &arguments),
    };
    if name == "serve" {
        allocator::give_back_at_once();
    }
    let layers = Layers::of_process(flags);
    let config = match Config::from_layers(&layers) {
        Ok(config) => config,
        // Docker accepts only 0 and 1.
        Err(error) => return complain(&error, if name == "health" { 1 } else { 2 }),
    };
    let outcome = match name {
        "config" => commands::show_config(&layers, &config),
        "check" => commands::check(&config),
        "vacuum" => commands::vacuum(&config),
        "backup" => commands::backup(&config, flags),
        "restore" => commands::restore(&config, flags),
        "adopt" => commands::adopt(&config),
        "import" => commands::import(&config, flags),
        "copy" => copy::copy(&config, flags),
        "database" => database::database(&config, flags),
        "bootstrap" => administration::bootstrap(&config, flags),
        "members" => administration::members(&config, flags),
        "leave" => administration::leave(&config),
        "unfence" => administration::unfence(&config, flags),
        "salt" => administration::salt(&config, flags),
        "admin" => administration::admin(&config, flags),
        "health" => commands::health(&layers, &config, flags),
        _ => serve::serve(config),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Damaged) => ExitCode::from(3),
        Ok(Outcome::Incomplete) => ExitCode::from(4),
        Err(error) => {
            let code = if error.is::<UsageError>() {
                2
            } else if name == "serve" && is_newer_database(&error) {
                EXIT_NEWER_DATABASE
            } else {
                1
            };
            complain(&format_args!("{error:#}"), code)
        }
    }
}

/// Whether a later release wrote the database.
fn is_newer_database(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let own = matches!(cause.downcast_ref(), Some(OpenError::NewerSchema { .. }));
        own || matches!(
            cause.downcast_ref(),
            Some(PostgresError::NewerSchema { .. })
        )
    })
}

fn complain(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    // Where standard error is gone the error cannot be reported.
    let _ = writeln!(io::stderr(), "osc-node: {error}");
    ExitCode::from(code)
}
