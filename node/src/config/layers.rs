//! Where settings come from, before they are judged.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt,
};

use clap::ArgMatches;

use super::{SETTINGS, Setting};

/// Names that begin like a setting's: of the operator, which may start nodes on its own machine, and of tests.
pub(crate) const OF_OTHERS: [&str; 2] = ["OSC_OPERATOR_", "OSC_TEST_"];

/// The fault of bytes that are no UTF-8.
pub(crate) const NO_TEXT: &str = "is no UTF-8 text";

/// All faults of a configuration, one line each.
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
    /// Sources that cannot be read: the place, and its fault.
    pub(crate) faults: BTreeMap<String, String>,
    /// Secrets of `.env` whose value differs from the text in the file, one line each.
    pub(crate) rewritten: Vec<String>,
}

/// Only the names: values may be secrets, also where a secret stands in the wrong place.
impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Layers {
    /// Lays the sources over each other; a blank value counts as the default. `environment` and `dotenv` are pairs of whole
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
