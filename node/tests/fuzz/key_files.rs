//! Key files: the node accepts the lines that are keys, exactly as they stand, and no others.

use std::fs;

use crate::corpus::{Share, run};
use opensecureconf_node::{
    cli::command,
    config::{Config, Layers},
};
use tempfile::TempDir;

const WORDS: &[&str] = &[
    "\n",
    "\r\n",
    "\r",
    "\u{feff}",
    "# mine",
    " ",
    "\t",
    "\0",
    "é",
    "0123456789abcdef",
    "your-super-secret-api-key-here",
];

#[test]
fn any_key_file_is_read_line_by_line_or_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keys");
    let flags = command().try_get_matches_from(["osc-node"]).unwrap();
    let settings = [
        ("OSC_API_KEY_REQUIRED".to_owned(), "true".to_owned()),
        ("OSC_API_KEY_FILE".to_owned(), path.display().to_string()),
    ];
    run("keys", Share(50), WORDS, |bytes| {
        fs::write(&path, bytes).unwrap();
        let layers = Layers::new(&flags, settings.clone(), []);
        let Ok(config) = Config::from_layers(&layers) else {
            return Ok(());
        };
        let keys = config.api_keys.ok_or("a required key is missing")?;
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        for line in bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
            if keys.accept(line) == line.is_empty() {
                return Err(format!(
                    "{:?} counts wrongly",
                    String::from_utf8_lossy(line)
                ));
            }
        }
        Ok(())
    });
}
