//! The reader that makes a tree of a text.

use std::ops::Range;

use indexmap::IndexMap;

use super::{
    Json, Number, Text,
    reader::{Builder, Scalar, TextSink, read},
};

/// Why a text is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// No JSON: CPython's message and the offset of the character it complains about.
    #[error("{message} (character {offset})")]
    Syntax {
        /// CPython's `JSONDecodeError.msg`.
        message: &'static str,
        /// Offset in characters, not bytes.
        offset: usize,
    },
    /// JSON, but nested deeper than allowed.
    #[error("nested too deeply")]
    TooDeep,
    /// JSON, but with an integer of more than 4300 digits, which Python does not read either.
    #[error("integer with too many digits")]
    IntegerTooLong,
    /// JSON, but of more values than allowed.
    #[error("more than {most} values")]
    TooManyValues {
        /// How many are allowed.
        most: usize,
    },
    /// An array of more items than allowed.
    #[error("more than {most} items")]
    TooManyItems {
        /// How many are allowed.
        most: usize,
    },
}

/// Reads one JSON value that fills the whole text; `max_depth` counts nested arrays and objects.
pub fn parse(text: &str, max_depth: usize) -> Result<Json, ParseError> {
    read(text, max_depth, Tree).map(|(value, Tree)| value)
}

struct Tree;

impl Builder for Tree {
    type Value = Json;
    type Array = Vec<Json>;
    type Object = IndexMap<Text, Json>;
    type Text = Text;
    type Name = Text;

    fn begin(&mut self) -> Result<(), ParseError> {
        Ok(())
    }

    fn scalar(&mut self, scalar: Scalar<'_>) -> Json {
        match scalar {
            Scalar::Null => Json::Null,
            Scalar::Bool(value) => Json::Bool(value),
            Scalar::Integer(digits) => Json::Number(Number::Integer(digits.to_owned())),
            Scalar::Float(spelled) => Json::Number(Number::float(spelled)),
        }
    }

    fn text(&mut self, _is_name: bool) -> Text {
        Text::default()
    }

    fn string(&mut self, text: Text) -> Json {
        Json::String(text)
    }

    fn array(&mut self) -> Vec<Json> {
        Vec::new()
    }

    fn push(&mut self, array: &mut Vec<Json>, value: Json) {
        array.push(value);
    }

    fn end_array(&mut self, array: Vec<Json>) -> Json {
        Json::Array(array)
    }

    fn object(&mut self) -> Self::Object {
        IndexMap::new()
    }

    fn name(&mut self, _object: &mut Self::Object, text: Text) -> Text {
        text
    }

    fn insert(&mut self, object: &mut Self::Object, name: Text, value: Json, _at: Range<usize>) {
        object.insert(name, value);
    }

    fn end_object(&mut self, object: Self::Object) -> Json {
        Json::Object(object)
    }
}

impl TextSink for Text {
    fn run(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn code_point(&mut self, code_point: u32) {
        self.push(code_point);
    }
}
