//! The content of a row in its value's place.

use std::fmt;

use sha2::{Digest, Sha256};

/// Begins a fingerprint; no Fernet token has a colon.
pub(crate) const FINGERPRINT: &str = "sha256:";

/// The content of a row in its value's place: the ciphertext, or its fingerprint where the ciphertext stays with its owner
/// (federated).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub enum Content {
    /// The value's Fernet token.
    Token(String),
    /// The fingerprint of a token that the row's writer has.
    Fingerprint(Fingerprint),
}

/// The SHA-256 of a Fernet token, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "rule-switches", derive(serde::Serialize))]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a token.
    pub fn of(token: &str) -> Self {
        let digest = Sha256::digest(token);
        let hex = digest.iter().map(|byte| format!("{byte:02x}"));
        Self(hex.fold(FINGERPRINT.to_owned(), |text, byte| text + &byte))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Content {
    /// Content from its stored or received text.
    pub fn from_text(text: String) -> Self {
        if text.starts_with(FINGERPRINT) {
            Self::Fingerprint(Fingerprint(text))
        } else {
            Self::Token(text)
        }
    }

    /// The text that is stored and travels.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Token(text) | Self::Fingerprint(Fingerprint(text)) => text,
        }
    }

    /// The token, where it is here.
    pub fn token(&self) -> Option<&str> {
        match self {
            Self::Token(token) => Some(token),
            Self::Fingerprint(_) => None,
        }
    }

    /// Whether this is a token, or its fingerprint.
    pub fn is_of(&self, token: &str) -> bool {
        match self {
            Self::Token(own) => own == token,
            Self::Fingerprint(own) => *own == Fingerprint::of(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_was_written_and_knows_its_token_alone() {
        let content = Content::Fingerprint(Fingerprint::of("gAAAAx"));
        assert_eq!(content.as_str().len(), FINGERPRINT.len() + 64);
        assert_eq!(Content::from_text(content.as_str().to_owned()), content);
        assert!(content.is_of("gAAAAx") && !content.is_of("gAAAAy"));
        assert_eq!(content.token(), None);
    }
}
