//! Conditional requests (RFC 9110, section 13): entity tags are entry versions.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use bytes::Bytes;

use crate::domain::Version;

/// The version of the entry that an answer is about.
pub(in crate::api) const VERSION: HeaderName = HeaderName::from_static("x-osc-version");

/// Which versions a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) enum Versions {
    /// `*`: any.
    Any,
    /// These. Tags that are no versions of ours match nothing.
    These(Vec<Version>),
}

impl Versions {
    /// Reads all lines of a header; `None` when there is none. `weak` says whether `W/"..."` counts.
    fn of(headers: &HeaderMap, name: HeaderName, weak: bool) -> Option<Self> {
        let mut values = headers.get_all(name).iter().peekable();
        values.peek()?;
        let mut versions = Vec::new();
        for value in values {
            let value = value.to_str().unwrap_or_default();
            if value.trim() == "*" {
                return Some(Self::Any);
            }
            let tags =
                value
                    .split(',')
                    .map(str::trim)
                    .filter_map(|tag| match tag.strip_prefix("W/") {
                        Some(tag) => Some(tag).filter(|_| weak),
                        None => Some(tag),
                    });
            versions.extend(tags.filter_map(|tag| {
                tag.strip_prefix('"')?
                    .strip_suffix('"')?
                    .parse::<Version>()
                    .ok()
            }));
        }
        Some(Self::These(versions))
    }

    /// What a member of a body names: any version (`*`), or one, with the quotes of an entity tag or without.
    pub(in crate::api) fn named(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let version = text.trim_matches('"').parse().ok()?;
        Some(Self::These(vec![version]))
    }

    fn contain(&self, version: Version) -> bool {
        match self {
            Self::Any => true,
            Self::These(versions) => versions.contains(&version),
        }
    }
}

/// What a request demands of the entry before it acts.
#[derive(Debug)]
pub(in crate::api) struct Preconditions {
    if_match: Option<Versions>,
    if_none_match: Option<Versions>,
}

/// Which demand is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum FailedPrecondition {
    /// `If-Match`: the entry has another version, or none.
    OtherVersion(Option<Version>),
    /// `If-None-Match`: the entry has a version that it must not have.
    Exists(Version),
}

impl fmt::Display for FailedPrecondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherVersion(Some(version)) => write!(
                f,
                "If-Match names another version; the current one is {version}"
            ),
            Self::OtherVersion(None) => {
                f.write_str("If-Match names a version, but the configuration does not exist")
            }
            Self::Exists(version) => {
                write!(f, "If-None-Match forbids the current version {version}")
            }
        }
    }
}

impl Preconditions {
    pub(in crate::api) fn new(if_match: Option<Versions>, if_none_match: Option<Versions>) -> Self {
        Self {
            if_match,
            if_none_match,
        }
    }

    pub(in crate::api) fn of(headers: &HeaderMap) -> Self {
        Self {
            if_match: Versions::of(headers, header::IF_MATCH, false),
            if_none_match: Versions::of(headers, header::IF_NONE_MATCH, true),
        }
    }

    /// Whether the request may only create (`If-None-Match: *`).
    pub(in crate::api) fn create_only(&self) -> bool {
        self.if_none_match == Some(Versions::Any)
    }

    /// Whether a reader has this version already.
    pub(in crate::api) fn has(&self, version: Version) -> bool {
        self.if_none_match
            .as_ref()
            .is_some_and(|versions| versions.contain(version))
    }

    /// Judges `If-Match` alone.
    pub(in crate::api) fn check_match(
        &self,
        current: Option<Version>,
    ) -> Result<(), FailedPrecondition> {
        match &self.if_match {
            Some(wanted) if !current.is_some_and(|current| wanted.contain(current)) => {
                Err(FailedPrecondition::OtherVersion(current))
            }
            _ => Ok(()),
        }
    }

    /// Judges a change of the entry with this version; `None` where it does not exist.
    pub(in crate::api) fn check(&self, current: Option<Version>) -> Result<(), FailedPrecondition> {
        self.check_match(current)?;
        match current {
            Some(current) if self.has(current) => Err(FailedPrecondition::Exists(current)),
            _ => Ok(()),
        }
    }
}

/// The headers that name the version of an answer.
pub(in crate::api) fn version_headers(version: Version) -> [(HeaderName, HeaderValue); 2] {
    let value = |text| {
        HeaderValue::from_maybe_shared(text).unwrap_or(const { HeaderValue::from_static("") })
    };
    // One text for both.
    let mut tag = [b'"'; Version::TEXT + 2];
    if let Some(place) = tag.get_mut(1..=Version::TEXT) {
        place.copy_from_slice(&version.text());
    }
    let tag = Bytes::copy_from_slice(&tag);
    let unquoted = tag.slice(1..tag.len().saturating_sub(1).max(1));
    [(header::ETAG, value(tag)), (VERSION, value(unquoted))]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0000000000000001-000000000000000a";
    const TWO: &str = "0000000000000002-000000000000000a";

    fn preconditions(name: &HeaderName, value: &str) -> Preconditions {
        Preconditions::of(&HeaderMap::from_iter([(
            name.clone(),
            value.parse().unwrap(),
        )]))
    }

    fn holds(name: &HeaderName, value: &str, current: Option<&str>) -> bool {
        let current = current.map(|text| text.parse().unwrap());
        preconditions(name, value).check(current).is_ok()
    }

    #[test]
    fn if_match_wants_one_of_its_versions_and_no_weak_one() {
        let name = &header::IF_MATCH;
        assert!(holds(name, &format!("\"{ONE}\""), Some(ONE)));
        assert!(holds(name, &format!("\"{TWO}\", \"{ONE}\""), Some(ONE)));
        assert!(!holds(name, &format!("\"{TWO}\""), Some(ONE)));
        assert!(!holds(name, &format!("W/\"{ONE}\""), Some(ONE)));
        assert!(!holds(name, "rubbish", Some(ONE)));
        assert!(holds(name, "*", Some(ONE)));
        assert!(!holds(name, "*", None));
        assert!(!holds(name, &format!("\"{ONE}\""), None));
    }

    #[test]
    fn if_none_match_forbids_its_versions_weak_ones_too() {
        let name = &header::IF_NONE_MATCH;
        assert!(!holds(name, &format!("\"{ONE}\""), Some(ONE)));
        assert!(!holds(name, &format!("W/\"{ONE}\""), Some(ONE)));
        assert!(holds(name, &format!("\"{TWO}\""), Some(ONE)));
        assert!(!holds(name, "*", Some(ONE)));
        assert!(holds(name, "*", None));
        assert!(preconditions(name, "*").create_only());
        assert!(!preconditions(name, &format!("\"{ONE}\"")).create_only());
    }
}
