//! Names of entries and environments in log lines: a keyed hash, unless a setting asks for the names themselves.

use std::{
    fmt::{self, Write as _},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::os::random;

/// The form of a name in a line. Every process makes a new key, so a log alone cannot be searched for guessed names.
enum NamesInLog {
    Plain,
    Hashed(Hmac<Sha256>),
    /// The system gave no random bytes.
    Hidden,
}

impl NamesInLog {
    fn hashed(key: &[u8; 32]) -> Self {
        Hmac::new_from_slice(key).map_or(Self::Hidden, Self::Hashed)
    }
}

static SHOWN: AtomicBool = AtomicBool::new(false);

/// Shows names from now on, or hides them; for the whole process.
pub(super) fn show_names(shown: bool) {
    SHOWN.store(shown, Ordering::Relaxed);
}

fn names_in_log() -> &'static NamesInLog {
    static HASHED: OnceLock<NamesInLog> = OnceLock::new();
    if SHOWN.load(Ordering::Relaxed) {
        return &NamesInLog::Plain;
    }
    HASHED.get_or_init(|| random().map_or(NamesInLog::Hidden, |key| NamesInLog::hashed(&key)))
}

/// A name of an entry or an environment as log lines may show it: `#` and 16 hexadecimal digits, the same for the same name
/// as long as the process lives. The default environment, which has no name, stays empty.
#[derive(Clone, Copy)]
pub struct LoggedName<'a>(&'a str);

/// How a name may stand in a log line. Every event that carries a name passes it through here.
pub fn logged_name(name: &str) -> LoggedName<'_> {
    LoggedName(name)
}

impl fmt::Display for LoggedName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(names_in_log(), f)
    }
}

impl fmt::Debug for LoggedName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl LoggedName<'_> {
    fn write(self, names: &NamesInLog, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name) = self;
        match names {
            // A line break would begin a line of the console's log that the node did not write.
            NamesInLog::Plain => name.chars().try_for_each(|character| {
                if character.is_control() {
                    write!(f, "{}", character.escape_default())
                } else {
                    f.write_char(character)
                }
            }),
            _ if name.is_empty() => Ok(()),
            NamesInLog::Hidden => f.write_str("#"),
            NamesInLog::Hashed(keyed) => {
                let hash = keyed.clone().chain_update(name.as_bytes()).finalize();
                let first = hash.into_bytes().first_chunk().copied();
                write!(f, "#{:016x}", u64::from_be_bytes(first.unwrap_or_default()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct With<'a>(&'a str, NamesInLog);

    impl fmt::Display for With<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            logged_name(self.0).write(&self.1, f)
        }
    }

    #[test]
    fn the_same_name_has_the_same_hash_under_one_key_and_another_under_another() {
        let hashed = |text, key| With(text, NamesInLog::hashed(&[key; 32])).to_string();
        let first = hashed("database/password", 1);
        assert_eq!(first, hashed("database/password", 1));
        assert_ne!(first, hashed("database/password", 2));
        assert_ne!(first, hashed("database/passwords", 1));
        assert_eq!((first.len(), first.starts_with('#')), (17, true));
        assert_eq!(hashed("", 1), "");
    }

    #[test]
    fn names_are_shown_only_where_that_is_asked_for() {
        assert_eq!(With("k", NamesInLog::Plain).to_string(), "k");
        assert_eq!(
            With("ä\"\u{7f}\nERROR x", NamesInLog::Plain).to_string(),
            "ä\"\\u{7f}\\nERROR x"
        );
        assert_eq!(With("k", NamesInLog::Hidden).to_string(), "#");
        assert!(!logged_name("k").to_string().contains('k'));
    }
}
