//! JSON as Python's `json` module reads and writes it.
//!
//! Stored plaintexts have the form of `json.dumps`, and request bodies are read as `json.loads` reads them: integers of any
//! size, `NaN` and the infinities, lone surrogates, the last of duplicate members, and the decoder's own error texts. No JSON
//! crate keeps all of these, hence this one.

mod inspect;
mod number;
mod parse;
mod reader;
mod respell;
mod write;

#[cfg(test)]
mod tests;

use indexmap::IndexMap;

pub use inspect::{Findings, Items, Limits, Member, Root, inspect, inspect_items, inspect_members};
pub use number::Number;
pub use parse::{ParseError, parse};
pub use respell::{respell_as_text, respell_for_storage, respell_for_wire};
pub use write::write_string;

/// The stack of a thread that reads values, in bytes: enough for the deepest value allowed.
pub const STACK: usize = 8 << 20;

/// One JSON value, without loss against Python's reading of the same text.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer of any size, or a double.
    Number(Number),
    /// A string; it may hold lone surrogates.
    String(Text),
    /// An array.
    Array(Vec<Json>),
    /// An object: members in order of their first appearance, each with its last value.
    Object(IndexMap<Text, Json>),
}

/// A JSON string: UTF-8, except that lone surrogates are kept in their three-byte form (WTF-8).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Text(Vec<u8>);

impl Text {
    /// The string, or `None` when it holds a lone surrogate and so is no Unicode text.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    fn push(&mut self, code_point: u32) {
        if let Some(c) = char::from_u32(code_point) {
            self.0
                .extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            // A surrogate: the only code points below 0x110000 that are no `char`.
            let bits = |shift: u32, mask: u32| {
                u8::try_from((code_point >> shift) & mask).unwrap_or_default()
            };
            self.0.extend_from_slice(&[
                0xE0 | bits(12, 0x0F),
                0x80 | bits(6, 0x3F),
                0x80 | bits(0, 0x3F),
            ]);
        }
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl Json {
    /// Whether a lone surrogate (`\ud800`) stands in any string or member name of the value.
    pub fn has_lone_surrogate(&self) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => false,
            Self::String(text) => text.as_str().is_none(),
            Self::Array(items) => items.iter().any(Self::has_lone_surrogate),
            Self::Object(members) => members
                .iter()
                .any(|(name, value)| name.as_str().is_none() || value.has_lone_surrogate()),
        }
    }
}
