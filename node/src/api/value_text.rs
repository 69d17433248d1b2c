//! Values as JSON text: checked once, and spelled anew without a tree.

use std::{fmt, ops::Range, sync::Arc};

use zeroize::Zeroizing;

use super::{answer::entry_json::Format, extract::received_body::ReceivedBody};
use crate::json::{
    Findings, Limits, ParseError, inspect, parse, respell_as_text, respell_for_storage,
    respell_for_wire,
};

/// Stored plaintexts were bounded when they came in; those of an old database nest as deep as Python reads and writes,
/// which is less than this. Threads that serve requests have stacks for it (see `json::STACK`).
pub(super) const MAX_STORED_DEPTH: usize = 2000;

/// What is known of a stored value beforehand: nothing, but that it is not deeper than this.
const STORED: Limits = Limits {
    depth: MAX_STORED_DEPTH,
    values: usize::MAX,
};

/// A value: JSON text in which no object has a name twice. Cheap to clone.
#[derive(Clone)]
pub(super) struct ValueText {
    source: Arc<Source>,
    at: Range<usize>,
}

enum Source {
    Body(Arc<ReceivedBody>),
    Plaintext(Zeroizing<Vec<u8>>),
    Written(Zeroizing<String>),
}

/// Never the value.
impl fmt::Debug for ValueText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueText({} bytes)", self.at.len())
    }
}

impl ValueText {
    /// A part of a body, in which nothing was found that the tree would have changed.
    pub(super) fn of_body(body: Arc<ReceivedBody>, at: Range<usize>) -> Self {
        Self::new(Source::Body(body), at)
    }

    /// A text as it is stored.
    pub(super) fn written(text: String) -> Self {
        let at = 0..text.len();
        Self::new(Source::Written(text.into()), at)
    }

    /// What a token held; the error says why it is no value.
    pub(super) fn of_plaintext(plaintext: Zeroizing<Vec<u8>>) -> Result<Self, String> {
        let text = std::str::from_utf8(&plaintext).map_err(|error| error.to_string())?;
        let findings = inspect(text, STORED).map_err(|error| error.to_string())?;
        if findings.has_duplicates {
            let text = without_duplicates(text).map_err(|error| error.to_string())?;
            return Ok(Self::written(text));
        }
        let at = 0..plaintext.len();
        Ok(Self::new(Source::Plaintext(plaintext), at))
    }

    fn new(source: Source, at: Range<usize>) -> Self {
        Self {
            source: Arc::new(source),
            at,
        }
    }

    /// The text as it came.
    pub(super) fn as_str(&self) -> &str {
        let bytes = match &*self.source {
            Source::Body(body) => body.as_bytes(),
            Source::Plaintext(bytes) => bytes,
            Source::Written(text) => text.as_bytes(),
        };
        let bytes = bytes.get(self.at.clone()).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// How long it is as it came, in bytes.
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    /// Appends it as answers have it.
    pub(super) fn write_wire(&self, out: &mut impl fmt::Write) -> fmt::Result {
        respell_for_wire(self.as_str(), out)
    }

    /// The same where the answer is the value alone.
    pub(super) fn write_as(&self, format: Format, out: &mut impl fmt::Write) -> fmt::Result {
        match format {
            Format::Json => self.write_wire(out),
            Format::Text => respell_as_text(self.as_str(), out),
        }
    }

    /// How long it is as it is stored, in bytes.
    pub(super) fn storage_length(&self) -> usize {
        let mut length = Length(0);
        // Counting does not fail.
        let _ = respell_for_storage(self.as_str(), &mut length);
        length.0
    }

    /// As it is stored.
    pub(super) fn to_storage(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.storage_length()));
        // Writing to a string does not fail.
        let _ = respell_for_storage(self.as_str(), &mut *text);
        text
    }
}

/// What the tree of a text is, in which each object has each name once.
pub(super) fn without_duplicates(text: &str) -> Result<String, ParseError> {
    Ok(parse(text, MAX_STORED_DEPTH)?.to_python())
}

/// Whether half a surrogate pair is left where of names that are there twice only the last counts.
pub(super) fn has_lone_surrogate(text: &str, findings: Findings) -> bool {
    findings.has_lone_surrogate
        && (!findings.has_duplicates
            || parse(text, MAX_STORED_DEPTH).is_ok_and(|tree| tree.has_lone_surrogate()))
}

struct Length(usize);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_value_fits_the_stack_and_a_deeper_one_is_refused() {
        let nested =
            |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
        let of = |text: &str| ValueText::of_plaintext(Zeroizing::new(text.as_bytes().to_vec()));
        let on_a_serving_thread = move || {
            for (open, close) in [("[", "]"), ("{\"a\": ", "}")] {
                let text = nested(open, close, MAX_STORED_DEPTH);
                assert_eq!(*of(&text).unwrap().to_storage(), text);
                assert_eq!(without_duplicates(&text).unwrap(), text);
                of(&nested(open, close, MAX_STORED_DEPTH + 1)).unwrap_err();
            }
        };
        std::thread::Builder::new()
            .stack_size(crate::json::STACK)
            .spawn(on_a_serving_thread)
            .unwrap()
            .join()
            .unwrap();
    }

    #[test]
    fn the_threads_of_lists_read_values_as_deep_as_those_that_serve() {
        assert_eq!(crate::store::VISITOR_STACK, crate::json::STACK);
    }

    #[test]
    fn of_a_name_that_is_there_twice_the_last_value_counts() {
        let plaintext = br#"{"a": 1, "b": 2, "a": 3}"#.to_vec();
        let value = ValueText::of_plaintext(plaintext.into()).unwrap();
        let mut wire = String::new();
        value.write_wire(&mut wire).unwrap();
        assert_eq!(wire, r#"{"a":3,"b":2}"#);
    }
}
