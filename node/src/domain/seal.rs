//! The seal binds a value to its entry: Fernet alone does not, so two values under one key could change places.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// The member of a row's extra fields that holds it.
const MEMBER: &str = "seal";
/// The text before the seal where there is no other member.
const ALONE: &str = r#"{"seal":""#;

/// The first 16 bytes of an HMAC-SHA256 over the environment and the key of an entry and the token of its value, under a key
/// that only the owner of the value has. It is made with the token, travels beside it, and is never made again.
///
/// As text it has 22 characters (base64 with `-` and `_`, not padded).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seal(pub [u8; 16]);

/// The text is no seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a seal has 22 characters of base64")]
pub struct NoSeal;

impl Seal {
    /// The seal in the extra fields of a row; `None` where there is none.
    pub fn of_extra(extra: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Members<'a> {
            // The characters of a seal need no escapes.
            #[serde(borrow)]
            seal: &'a str,
        }
        // As this release writes it, where it stands alone.
        let alone = extra
            .strip_prefix(ALONE)
            .and_then(|rest| rest.strip_suffix("\"}"));
        if let Some(seal) = alone.and_then(|text| text.parse().ok()) {
            return Some(seal);
        }
        let members: Members<'_> = serde_json::from_str(extra).ok()?;
        members.seal.parse().ok()
    }

    /// Extra fields with this seal; fields of a newer release stay.
    pub fn into_extra(self, extra: Option<&str>) -> String {
        if extra.is_none() {
            return format!(r#"{{"{MEMBER}":"{self}"}}"#);
        }
        let mut members: serde_json::Map<_, _> = extra
            .and_then(|extra| serde_json::from_str(extra).ok())
            .unwrap_or_default();
        members.insert(MEMBER.to_owned(), String::from(self).into());
        serde_json::Value::Object(members).to_string()
    }
}

impl TryFrom<String> for Seal {
    type Error = NoSeal;

    fn try_from(text: String) -> Result<Self, NoSeal> {
        text.parse()
    }
}

impl FromStr for Seal {
    type Err = NoSeal;

    fn from_str(text: &str) -> Result<Self, NoSeal> {
        let mut bytes = [0; 18];
        let length = URL_SAFE_NO_PAD
            .decode_slice(text, &mut bytes)
            .map_err(|_| NoSeal)?;
        let bytes = bytes.get(..length).unwrap_or_default();
        bytes.try_into().map(Self).map_err(|_| NoSeal)
    }
}

impl From<Seal> for String {
    fn from(seal: Seal) -> Self {
        URL_SAFE_NO_PAD.encode(seal.0)
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_read_from_the_extra_fields_and_leaves_others_alone() {
        let seal = Seal([7; 16]);
        let alone = seal.into_extra(None);
        assert_eq!(alone, r#"{"seal":"BwcHBwcHBwcHBwcHBwcHBw"}"#);
        assert_eq!(Seal::of_extra(&alone), Some(seal));
        let beside = Seal([8; 16]).into_extra(Some(r#"{"newer":[1],"seal":"x"}"#));
        assert!(beside.contains(r#""newer":[1]"#));
        assert_eq!(Seal::of_extra(&beside), Some(Seal([8; 16])));
    }

    #[test]
    fn what_is_no_seal_is_none() {
        for extra in [
            "",
            "{}",
            "[]",
            r#"{"seal":1}"#,
            r#"{"seal":"AA"}"#,
            r#"{"seal":"?"}"#,
        ] {
            assert_eq!(Seal::of_extra(extra), None, "{extra}");
        }
    }
}
