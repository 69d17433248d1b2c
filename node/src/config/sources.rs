//! The inputs of this process: its environment, and the `.env` file in its working directory.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, Read},
    path::Path,
};

use clap::ArgMatches;

use super::{
    Layers, SETTINGS,
    dotenv::{self, DotEnv},
    layers::{NO_TEXT, OF_OTHERS},
};
use crate::os::regular_file;

/// No file of settings is larger; a wrong file is not read to its end.
const LARGEST_DOTENV: u64 = 1 << 20;

impl Layers {
    /// The flags of this process, over its environment, over `.env` in its working directory.
    /// [`Config::from_layers`](super::Config::from_layers) reports the sources that cannot be read.
    pub fn of_process(flags: &ArgMatches) -> Self {
        let (environment, mut faults) = environment(std::env::vars_os());
        let path = std::env::current_dir().unwrap_or_default().join(".env");
        let file = match read_dotenv(&path) {
            Ok(Some(bytes)) => dotenv::read(&bytes, |name| environment.get(name).cloned()),
            Ok(None) => DotEnv::default(),
            Err(fault) => {
                faults.insert(path.display().to_string(), fault);
                DotEnv::default()
            }
        };
        let place = |line: usize| format!("{} line {line}", path.display());
        faults.extend(
            file.faults
                .into_iter()
                .map(|(line, fault)| (place(line), fault)),
        );
        let variables = file
            .values
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let mut layers = Self::new(flags, environment, variables);
        layers.faults.append(&mut faults);
        let rewritten = file.rewritten.into_iter();
        layers.rewritten = rewritten
            .map(|(line, why)| format!("{}: {why}", place(line)))
            .collect();
        layers
    }
}

/// The variables that are text, and the faults of our variables that are not.
fn environment(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let (mut texts, mut faults) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in variables {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => {
                texts.insert(name, value);
            }
            (name, _) => {
                let name = name.unwrap_or_else(|name| name.to_string_lossy().into_owned());
                if may_be_a_setting(&name) {
                    faults.insert(name, NO_TEXT.to_owned());
                }
            }
        }
    }
    (texts, faults)
}

fn may_be_a_setting(name: &str) -> bool {
    let is_known = SETTINGS.iter().any(|setting| setting.variable() == name);
    let is_of_others = OF_OTHERS.iter().any(|prefix| name.starts_with(prefix));
    is_known || (name.starts_with("OSC_") && !is_of_others)
}

/// The file's bytes; `None` where there is none.
fn read_dotenv(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let unreadable = |error: io::Error| {
        match error.kind() {
        io::ErrorKind::IsADirectory => {
            "is a folder; settings are read from a file of this name: rename the folder, or start the node elsewhere"
                .to_owned()
        }
        _ => format!("cannot be read: {error}"),
    }
    };
    let file = match regular_file::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST_DOTENV + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_DOTENV {
        return Err(format!(
            "is larger than {LARGEST_DOTENV} bytes, so it is no file of settings"
        ));
    }
    Ok(Some(bytes))
}
