//! Reads settings one by one, and collects their faults.

use std::{
    collections::BTreeMap,
    fmt::Display,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{Config, Layers, SETTINGS, Setting, UsageError, remark_on_unknown};
use crate::os::names_a_file;

/// Reads settings by name and records their faults.
pub(super) struct Values<'a> {
    pub(super) layers: &'a Layers,
    pub(super) faults: &'a mut Faults,
}

impl<'a> Values<'a> {
    pub(super) fn new(layers: &'a Layers, faults: &'a mut Faults) -> Self {
        Self { layers, faults }
    }
}

impl Values<'_> {
    /// The value of a setting, or its default.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.layers.get(name).map(str::trim).map(str::to_owned)
    }

    /// Settings that depend on another one which is off, and unknown names: a user may believe that they protect the node.
    pub(super) fn ineffective(&mut self) -> Vec<String> {
        let unknown = self
            .layers
            .unknown()
            .map(|name| format!("{} (osc-node --help lists all)", remark_on_unknown(name)));
        let mut lines: Vec<_> = unknown.collect();
        for (name, switch) in [
            ("API_KEY_FILE", "API_KEY_REQUIRED"),
            ("API_KEY_PREVIOUS_FILE", "API_KEY_REQUIRED"),
            ("SSL_CERTFILE", "HTTPS_ENABLED"),
            ("SSL_KEYFILE", "HTTPS_ENABLED"),
            ("SSL_CA_CERTS", "HTTPS_ENABLED"),
        ] {
            let https = switch == "HTTPS_ENABLED" && self.text("HTTPS_PORT").is_some();
            if self.text(name).is_some() && !self.boolean(switch) && !https {
                let (variable, switch) = (variable(name), variable(switch));
                lines.push(format!("{variable} has no effect without {switch}=true"));
            }
        }
        if self.text("DATABASE_CA_FILE").is_some()
            && self.text("DATABASE_URL").is_none()
            && self.text("DATABASE_URL_FILE").is_none()
        {
            lines.push("OSC_DATABASE_CA_FILE has no effect without OSC_DATABASE_URL".to_owned());
        }
        if self.text("NODE_TLS_DIR").is_some()
            && self.text("PEER_PORT").is_none()
            && self.text("METRICS_BIND").is_none()
        {
            let line = "OSC_NODE_TLS_DIR has no effect without OSC_PEER_PORT or OSC_METRICS_BIND";
            lines.push(line.to_owned());
        }
        lines
    }

    pub(super) fn parse_optional<T: FromStr>(&mut self, name: &str, wanted: &str) -> Option<T> {
        let text = self.text(name)?;
        let value = text.parse().ok();
        if value.is_none() {
            self.faults
                .add(&variable(name), &format!("must be {wanted}, not '{text}'"));
        }
        value
    }

    pub(super) fn parse<T: FromStr + Default>(&mut self, name: &str, wanted: &str) -> T {
        self.parse_optional(name, wanted).unwrap_or_default()
    }

    /// The items of a list; a fault names all that are none.
    pub(super) fn items<'t, T>(
        &mut self,
        variable: &str,
        wanted: &str,
        texts: impl Iterator<Item = &'t str>,
        read: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        read_items(texts, read).unwrap_or_else(|bad| {
            self.faults
                .add(variable, &format!("must {wanted}, not {bad}"));
            Vec::new()
        })
    }

    /// The path of the database, which SQLite must read as a file's.
    pub(super) fn database_path(&mut self) -> PathBuf {
        let path = self.text("DATABASE_PATH").unwrap_or_default();
        if !names_a_file(Path::new(&path)) {
            let fault = format!(
                "must be the path of a file, not '{path}', which SQLite takes for something else; a file of this name is \
                 './{path}'"
            );
            self.faults.add("OSC_DATABASE_PATH", &fault);
        }
        path.into()
    }

    pub(super) fn one_of<T: Clone>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let choice = choices
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(&text))
            .map(|(_, value)| value.clone());
        if choice.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            self.faults.add(
                &variable(name),
                &format!("must be {}, not '{text}'", words.join(" or ")),
            );
        }
        choice
    }

    /// A whole number from a range.
    pub(super) fn within<T: FromStr + PartialOrd + Display>(
        &mut self,
        name: &str,
        unit: &str,
        range: RangeInclusive<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = text.parse().ok().filter(|value| range.contains(value));
        if value.is_none() {
            let (least, most) = (range.start(), range.end());
            let fault = format!("must be {unit} from {least} to {most}, not '{text}'");
            self.faults.add(&variable(name), &fault);
        }
        value
    }

    pub(super) fn boolean(&mut self, name: &str) -> bool {
        self.one_of(name, &[("true", true), ("false", false)])
            .unwrap_or_default()
    }
}

/// The items of a list, without blank ones; the error lists all invalid ones.
pub(super) fn read_items<'t, T>(
    texts: impl Iterator<Item = &'t str>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, String> {
    let (mut items, mut bad) = (Vec::new(), Vec::new());
    for text in texts.map(str::trim).filter(|text| !text.is_empty()) {
        match read(text) {
            Some(item) => items.push(item),
            None => bad.push(format!("'{text}'")),
        }
    }
    if bad.is_empty() {
        Ok(items)
    } else {
        Err(bad.join(", "))
    }
}

fn variable(name: &str) -> String {
    let setting = SETTINGS.iter().find(|setting| setting.name == name);
    setting.map_or_else(|| name.to_owned(), Setting::variable)
}

/// The faults of a configuration, by variable.
#[derive(Debug, Default)]
pub(super) struct Faults(BTreeMap<String, String>);

impl Faults {
    /// The faults of sources that could not be read.
    pub(super) fn of(layers: &Layers) -> Self {
        Self(layers.faults.clone())
    }

    pub(super) fn add(&mut self, variable: &str, fault: &str) {
        self.0.insert(variable.to_owned(), fault.to_owned());
    }

    pub(super) fn into_result(self, config: Config) -> Result<Config, UsageError> {
        if self.0.is_empty() {
            return Ok(config);
        }
        Err(UsageError(
            self.0
                .into_iter()
                .map(|(variable, fault)| format!("{variable} {fault}"))
                .collect(),
        ))
    }
}
