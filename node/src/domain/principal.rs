//! The maker of a request.

use std::{fmt, num::NonZeroU32};

use serde::{Deserialize, Serialize};

/// The maker of a request, as far as access keys show. The user key does not count: it opens values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Principal {
    /// A client of a node that requires no API key.
    #[default]
    Anonymous,
    /// A client with an API key.
    ApiKey(KeyNumber),
    /// The cluster admin: it has the cluster key.
    ClusterAdmin,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::ApiKey(number) => write!(f, "api-key-{number}"),
            Self::ClusterAdmin => f.write_str("cluster-admin"),
        }
    }
}

/// The number of the accepted access key, counted from 1 in the order of the file; previous keys follow the current ones. It
/// reveals nothing of the key itself, and may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyNumber(NonZeroU32);

impl KeyNumber {
    /// The number of the key at this place, which counts from 0.
    pub fn at(place: usize) -> Self {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        Self(NonZeroU32::MIN.saturating_add(place))
    }
}

impl fmt::Display for KeyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_reads_the_same_in_logs_and_arrives_at_other_nodes_as_it_was_sent() {
        for (principal, logged) in [
            (Principal::Anonymous, "anonymous"),
            (Principal::ApiKey(KeyNumber::at(1)), "api-key-2"),
            (Principal::ClusterAdmin, "cluster-admin"),
        ] {
            assert_eq!(principal.to_string(), logged);
            let sent = serde_json::to_string(&principal).unwrap();
            let arrived: Principal = serde_json::from_str(&sent).unwrap();
            assert_eq!(arrived, principal);
        }
    }

    #[test]
    fn keys_have_no_number_zero() {
        assert!(serde_json::from_str::<Principal>(r#"{"api_key":0}"#).is_err());
    }
}
