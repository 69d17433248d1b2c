//! Which salt a node uses: the rules.

use opensecureconf_contract::{Fingerprint, Salt};

/// Where a salt may be found when a node starts.
#[derive(Debug, Clone, Default)]
pub struct SaltSources {
    /// From outside: a mounted Secret.
    pub mounted: Option<Salt>,
    /// The salt file beside the database.
    pub file: Option<Salt>,
    /// The copy in the database.
    pub database: Option<Salt>,
    /// Whether the database holds any row, tombstones included.
    pub has_rows: bool,
}

/// Whether this node may make a salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaltPolicy {
    /// A standalone node makes a salt beside an empty database.
    Generate,
    /// The salt is given from outside, or there is none.
    Never,
    /// The node of a cluster: it gets the salt when it joins, or makes it when it bootstraps.
    Wait,
}

/// The decision about the salt at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaltDecision {
    /// Use this one, and write it wherever it is missing.
    Use(Salt),
    /// Make a new salt.
    Generate,
    /// Wait for it.
    Wait,
}

/// Why a node must not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SaltError {
    /// Two places hold different salts.
    #[error(
        "the salt {first_place} (fingerprint {first}) differs from the salt {second_place} (fingerprint {second}): \
         values sealed under one do not open under the other; put back the one that belongs to this database"
    )]
    Differ {
        /// Where the first one is.
        first_place: &'static str,
        /// Its fingerprint.
        first: Fingerprint,
        /// Where the second one is.
        second_place: &'static str,
        /// Its fingerprint.
        second: Fingerprint,
    },
    /// There are rows but no salt that could open them.
    #[error(
        "the database holds entries but there is no salt to open them; restore the salt file from a backup"
    )]
    MissingBesideRows,
    /// There is no salt and this node may not make one.
    #[error(
        "there is no salt, and this node may not make one; mount the cluster's salt (OSC_SALT_SECRET_FILE)"
    )]
    Missing,
}

/// Decides which salt a starting node uses. One salt ever: the node never replaces it and never chooses between two.
pub fn decide(sources: &SaltSources, policy: SaltPolicy) -> Result<SaltDecision, SaltError> {
    let SaltSources {
        mounted,
        file,
        database,
        has_rows,
    } = sources;
    let mut found = [
        ("that was mounted", mounted),
        ("in the salt file", file),
        ("in the database", database),
    ]
    .into_iter()
    .filter_map(|(place, salt)| Some((place, salt.as_ref()?)));
    let Some((first_place, salt)) = found.next() else {
        return match (has_rows, policy) {
            (true, _) => Err(SaltError::MissingBesideRows),
            (false, SaltPolicy::Generate) => Ok(SaltDecision::Generate),
            (false, SaltPolicy::Never) => Err(SaltError::Missing),
            (false, SaltPolicy::Wait) => Ok(SaltDecision::Wait),
        };
    };
    match found.find(|(_, other)| *other != salt) {
        None => Ok(SaltDecision::Use(salt.clone())),
        Some((second_place, other)) => Err(SaltError::Differ {
            first_place,
            first: salt.fingerprint(),
            second_place,
            second: other.fingerprint(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn salt(byte: u8) -> Option<Salt> {
        Salt::from_bytes(&[byte; 64])
    }

    #[test]
    fn a_salt_in_any_place_is_used_whatever_the_policy() {
        let places = [
            SaltSources {
                mounted: salt(1),
                ..SaltSources::default()
            },
            SaltSources {
                file: salt(1),
                has_rows: true,
                ..SaltSources::default()
            },
            SaltSources {
                database: salt(1),
                has_rows: true,
                ..SaltSources::default()
            },
            SaltSources {
                mounted: salt(1),
                file: salt(1),
                database: salt(1),
                has_rows: true,
            },
        ];
        for sources in places {
            for policy in [SaltPolicy::Generate, SaltPolicy::Never] {
                assert_eq!(
                    decide(&sources, policy),
                    Ok(SaltDecision::Use(salt(1).unwrap()))
                );
            }
        }
    }

    #[test]
    fn two_different_salts_stop_the_start() {
        for sources in [
            SaltSources {
                mounted: salt(1),
                file: salt(2),
                ..SaltSources::default()
            },
            SaltSources {
                mounted: salt(1),
                database: salt(2),
                ..SaltSources::default()
            },
            SaltSources {
                file: salt(1),
                database: salt(2),
                ..SaltSources::default()
            },
        ] {
            assert!(matches!(
                decide(&sources, SaltPolicy::Generate),
                Err(SaltError::Differ { .. })
            ));
        }
    }

    #[test]
    fn a_salt_is_made_only_beside_an_empty_database_and_only_where_allowed() {
        let empty = SaltSources::default();
        let rows = SaltSources {
            has_rows: true,
            ..SaltSources::default()
        };
        assert_eq!(
            decide(&empty, SaltPolicy::Generate),
            Ok(SaltDecision::Generate)
        );
        assert_eq!(decide(&empty, SaltPolicy::Never), Err(SaltError::Missing));
        assert_eq!(
            decide(&rows, SaltPolicy::Generate),
            Err(SaltError::MissingBesideRows)
        );
        assert_eq!(
            decide(&rows, SaltPolicy::Never),
            Err(SaltError::MissingBesideRows)
        );
    }
}
