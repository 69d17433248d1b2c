//! Settings as flags of the command line.

use std::ffi::OsString;

use clap::{Arg, value_parser};

use super::Setting;

/// The flag of a setting, for every command.
pub(crate) fn flag(setting: &Setting) -> Arg {
    let default = setting
        .default
        .map(|value| format!(" [default: {value}]"))
        .unwrap_or_default();
    Arg::new(setting.name)
        .long(setting.flag().trim_start_matches('-').to_owned())
        .value_name(setting.value)
        // Bytes that are no text are refused by their setting's name, which clap would not name.
        .value_parser(value_parser!(OsString))
        .help(format!(
            "{}{default} [env: {}]",
            setting.help,
            setting.variable()
        ))
        .global(true)
}
