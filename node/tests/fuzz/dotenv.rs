//! `.env` files: the reader never panics, and every line that it reads becomes a setting or a fault.

use crate::corpus::{Share, run};
use opensecureconf_node::{
    cli::command,
    config::{Config, Layers, dotenv},
};

const WORDS: &[&str] = &[
    "OSC_API_KEY",
    "OSC_HOST_PORT",
    "OSC_CLUSTER_NODES",
    "OSC_API_KEY_REQUIRED",
    "=",
    "'",
    "\"",
    "\\",
    "${",
    "}",
    "${OSC_API_KEY}",
    "$",
    "#",
    "export ",
    "\n",
    "\r\n",
    "\r",
    "\u{feff}",
    "\0",
    " ",
    "\t",
    "é",
    "true",
    "9000",
    "\\n",
    "${A:-b}",
];

#[test]
fn any_dotenv_file_becomes_settings_or_faults() {
    let flags = command().try_get_matches_from(["osc-node"]).unwrap();
    run("dotenv", Share(100), WORDS, |bytes| {
        let file = dotenv::read(bytes, |_| None);
        let lines = bytes
            .iter()
            .filter(|byte| matches!(byte, b'\n' | b'\r'))
            .count()
            + 1;
        for (line, fault) in file.faults.iter().chain(&file.rewritten) {
            if *line == 0 || *line > lines || fault.is_empty() {
                return Err(format!("line {line} of {lines}: {fault:?}"));
            }
        }
        let pairs = file
            .values
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        // It may refuse them; it may not panic.
        drop(Config::from_layers(&Layers::new(&flags, [], pairs)));
        Ok(())
    });
}
