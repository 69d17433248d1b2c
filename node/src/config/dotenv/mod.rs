//! `.env`: as python-dotenv reads it, except that a dollar sign between single quotes is a plain one, and that the node reports
//! every setting that would be lost or changed. Pure: bytes in, names and values out.

mod substitution;
mod syntax;

use std::{borrow::Cow, collections::BTreeMap};

use substitution::{Missing, substitute};
use syntax::{Content, Rewriting, Statement, Value};

use super::{SETTINGS, Setting};

/// The content of a file. Messages about it name lines, and never repeat their text, which may be a secret.
#[derive(Default)]
pub struct DotEnv {
    /// The last value of each name, whether it is a setting or not; `None` where a name stands without `=`.
    pub values: BTreeMap<String, Option<String>>,
    /// Settings that cannot be read: the line, from 1, and its fault.
    pub faults: Vec<(usize, String)>,
    /// Secrets whose value differs from the text in the file: the line, from 1, and why.
    pub rewritten: Vec<(usize, String)>,
}

/// Only the names: values may be secrets.
impl std::fmt::Debug for DotEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DotEnv")
            .field("names", &self.values.keys())
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// Reads a whole file. `environment` answers for names that the file does not set above the line with `${NAME}`.
pub fn read(bytes: &[u8], environment: impl Fn(&str) -> Option<String>) -> DotEnv {
    let mut file = DotEnv::default();
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let fault = "is the beginning of UTF-16 text; save the file as UTF-8";
        file.faults.push((1, fault.to_owned()));
        return file;
    }
    let text = String::from_utf8_lossy(bytes);
    let is_utf8 = matches!(text, Cow::Borrowed(_));
    let text = text
        .trim_start_matches('\u{feff}')
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    for statement in syntax::statements(&text) {
        if !is_utf8 && statement.text.contains('\u{fffd}') && is_ours(&statement.text) {
            file.fault(
                &statement,
                "holds bytes that are no UTF-8; save the file as UTF-8",
            );
            continue;
        }
        file.take(&statement, &environment);
    }
    file
}

impl DotEnv {
    fn take(&mut self, statement: &Statement, environment: &impl Fn(&str) -> Option<String>) {
        if let Some((distance, name)) = swallowed(&statement.text) {
            let fault = format!(
                "begins a quoted text that goes on over line {}, which sets {name}; end it with its quotes",
                statement.line + distance
            );
            self.fault(statement, &fault);
            return;
        }
        match &statement.content {
            Content::Malformed => {
                if let Some(name) = setting_of(&statement.text) {
                    let fault = format!(
                        "is not {name}=value: a quote that does not end, or text behind one; put the whole value between single quotes"
                    );
                    self.fault(statement, &fault);
                }
            }
            Content::Binding { name, value: None } => {
                if is_setting(name) {
                    self.fault(statement, &format!("has no value: write {name}=value"));
                }
                self.values.insert(name.clone(), None);
            }
            Content::Binding {
                name,
                value: Some(value),
            } => {
                let text = self.substituted(statement, name, value, environment);
                self.values.insert(name.clone(), Some(text));
            }
        }
    }

    /// The value with each `${NAME}` replaced.
    fn substituted(
        &mut self,
        statement: &Statement,
        name: &str,
        value: &Value,
        environment: &impl Fn(&str) -> Option<String>,
    ) -> String {
        let mut rewriting = value.rewriting.map(|rewriting| match rewriting {
            Rewriting::Comment => "what follows the # is taken for a comment",
            Rewriting::Escape => "a backslash has a meaning between quotes",
        });
        let mut text = value.text.clone();
        if !value.single_quoted {
            let known = |name: &str| match self.values.get(name) {
                Some(value) => value.clone(),
                None => environment(name),
            };
            let substituted = substitute(&value.text, known);
            if is_setting(name)
                && let Some(Missing(variable)) = substituted.missing
            {
                let fault = format!(
                    "sets {name} to the value of ${{{variable}}}, which is set neither above it nor in the environment; if the value is to stand as it is, put it between single quotes"
                );
                self.fault(statement, &fault);
            }
            if substituted.replaced {
                rewriting = Some("${...} is replaced by the value of that name");
            }
            text = substituted.text;
        }
        if let (Some(why), true) = (rewriting, is_secret(name)) {
            let line = format!(
                "{name} is not what stands there: {why}; if it is to stand as it is, put it between single quotes, with a backslash before each backslash and single quote"
            );
            self.rewritten.push((statement.line, line));
        }
        text
    }

    fn fault(&mut self, statement: &Statement, fault: &str) {
        self.faults.push((statement.line, fault.to_owned()));
    }
}

/// A later line of a value that itself looks like a setting: how far behind the first, and the name.
fn swallowed(text: &str) -> Option<(usize, &str)> {
    text.lines()
        .enumerate()
        .skip(1)
        .find_map(|(distance, line)| {
            let name = setting_of(line)?;
            line.contains('=').then_some((distance, name))
        })
}

fn is_ours(text: &str) -> bool {
    text.lines().any(|line| setting_of(line).is_some())
}

/// The setting whose name a line begins with.
fn setting_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line
        .strip_prefix("export")
        .map_or(line, str::trim_start)
        .trim_start_matches('\'');
    let end = line
        .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .unwrap_or(line.len());
    line.get(..end).filter(|name| is_setting(name))
}

/// Settings, and names that were probably meant as such.
fn is_setting(name: &str) -> bool {
    name.starts_with("OSC_") || SETTINGS.iter().any(|setting| setting.variable() == name)
}

fn is_secret(name: &str) -> bool {
    SETTINGS
        .iter()
        .any(|setting: &Setting| setting.is_secret() && setting.variable() == name)
}

#[cfg(test)]
mod tests;
