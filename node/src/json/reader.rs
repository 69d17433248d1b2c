//! The grammar: CPython's `json.loads`, with its error texts and positions. A [`Builder`] decides what to make of a text.

use std::ops::Range;

use super::ParseError;

/// CPython refuses to convert longer integers (`sys.int_info.default_max_str_digits`).
const MAX_INTEGER_DIGITS: usize = 4300;

/// A value that holds no other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'t> {
    Null,
    Bool(bool),
    /// Digits with an optional minus; never `-0`.
    Integer(&'t str),
    /// The spelling of a double, or `NaN`, `Infinity`, `-Infinity`.
    Float(&'t str),
}

/// Receives the text between the quotes of a string.
pub(super) trait TextSink {
    /// Bytes that stand for themselves.
    fn run(&mut self, bytes: &[u8]);
    /// A character that was escaped, or a lone surrogate.
    fn code_point(&mut self, code_point: u32);
}

/// Receives the values of a text, in their order.
pub(super) trait Builder {
    type Value;
    type Array;
    type Object;
    type Text: TextSink;
    /// The name of a member, until its value is there.
    type Name;

    /// A value begins. An error ends the reading.
    fn begin(&mut self) -> Result<(), ParseError>;
    fn scalar(&mut self, scalar: Scalar<'_>) -> Self::Value;
    fn text(&mut self, is_name: bool) -> Self::Text;
    fn string(&mut self, text: Self::Text) -> Self::Value;
    fn array(&mut self) -> Self::Array;
    fn push(&mut self, array: &mut Self::Array, value: Self::Value);
    fn end_array(&mut self, array: Self::Array) -> Self::Value;
    fn object(&mut self) -> Self::Object;
    fn name(&mut self, object: &mut Self::Object, text: Self::Text) -> Self::Name;
    /// `at` is where the value stands, in bytes.
    fn insert(
        &mut self,
        object: &mut Self::Object,
        name: Self::Name,
        value: Self::Value,
        at: Range<usize>,
    );
    fn end_object(&mut self, object: Self::Object) -> Self::Value;
}

/// Reads one JSON value that fills the whole text; `max_depth` counts nested arrays and objects.
pub(super) fn read<B: Builder>(
    text: &str,
    max_depth: usize,
    builder: B,
) -> Result<(B::Value, B), ParseError> {
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        depth_left: max_depth,
        builder,
    };
    let start = reader.skip_blanks(0);
    let (value, end) = reader.value(start)?;
    let end = reader.skip_blanks(end);
    if end == text.len() {
        Ok((value, reader.builder))
    } else {
        Err(reader.error("Extra data", end))
    }
}

struct Reader<'a, B> {
    text: &'a str,
    bytes: &'a [u8],
    depth_left: usize,
    builder: B,
}

/// A value and the byte offset behind it.
type Read<T> = Result<(T, usize), ParseError>;

impl<B: Builder> Reader<'_, B> {
    fn error(&self, message: &'static str, at: usize) -> ParseError {
        let before = self.bytes.get(..at).unwrap_or(self.bytes);
        // Every byte but UTF-8 continuation bytes begins a character.
        ParseError::Syntax {
            message,
            offset: before.iter().filter(|byte| (**byte & 0xC0) != 0x80).count(),
        }
    }

    fn at(&self, index: usize) -> Option<u8> {
        self.bytes.get(index).copied()
    }

    fn skip_blanks(&self, mut index: usize) -> usize {
        while matches!(self.at(index), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            index += 1;
        }
        index
    }

    fn value(&mut self, start: usize) -> Read<B::Value> {
        let literal = |word: &'static str, scalar: Scalar<'static>| {
            self.bytes
                .get(start..)
                .is_some_and(|rest| rest.starts_with(word.as_bytes()))
                .then_some((scalar, start + word.len()))
        };
        self.builder.begin()?;
        let found = match self.at(start) {
            Some(b'"') => {
                let mut text = self.builder.text(false);
                let end = self.string(start + 1, &mut text)?;
                return Ok((self.builder.string(text), end));
            }
            Some(b'{') => return self.nested(start + 1, Self::object),
            Some(b'[') => return self.nested(start + 1, Self::array),
            Some(b'n') => literal("null", Scalar::Null),
            Some(b't') => literal("true", Scalar::Bool(true)),
            Some(b'f') => literal("false", Scalar::Bool(false)),
            Some(b'N') => literal("NaN", Scalar::Float("NaN")),
            Some(b'I') => literal("Infinity", Scalar::Float("Infinity")),
            Some(b'-') => literal("-Infinity", Scalar::Float("-Infinity")),
            _ => None,
        };
        let (scalar, end) = match found {
            Some(read) => read,
            None => self.number(start)?,
        };
        Ok((self.builder.scalar(scalar), end))
    }

    fn nested(
        &mut self,
        start: usize,
        read: fn(&mut Self, usize) -> Read<B::Value>,
    ) -> Read<B::Value> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(ParseError::TooDeep)?;
        let result = read(self, start);
        self.depth_left += 1;
        result
    }

    fn object(&mut self, start: usize) -> Read<B::Value> {
        let mut object = self.builder.object();
        let mut index = self.skip_blanks(start);
        if self.at(index) == Some(b'}') {
            return Ok((self.builder.end_object(object), index + 1));
        }
        loop {
            if self.at(index) != Some(b'"') {
                return Err(self.error("Expecting property name enclosed in double quotes", index));
            }
            let mut text = self.builder.text(true);
            let end = self.string(index + 1, &mut text)?;
            let name = self.builder.name(&mut object, text);
            index = self.skip_blanks(end);
            if self.at(index) != Some(b':') {
                return Err(self.error("Expecting ':' delimiter", index));
            }
            let start = self.skip_blanks(index + 1);
            let (value, end) = self.value(start)?;
            self.builder.insert(&mut object, name, value, start..end);
            index = self.skip_blanks(end);
            match self.at(index) {
                Some(b'}') => return Ok((self.builder.end_object(object), index + 1)),
                Some(b',') => index = self.skip_blanks(index + 1),
                _ => return Err(self.error("Expecting ',' delimiter", index)),
            }
        }
    }

    fn array(&mut self, start: usize) -> Read<B::Value> {
        let mut array = self.builder.array();
        let mut index = self.skip_blanks(start);
        if self.at(index) == Some(b']') {
            return Ok((self.builder.end_array(array), index + 1));
        }
        loop {
            let (value, end) = self.value(index)?;
            self.builder.push(&mut array, value);
            index = self.skip_blanks(end);
            match self.at(index) {
                Some(b']') => return Ok((self.builder.end_array(array), index + 1)),
                Some(b',') => index = self.skip_blanks(index + 1),
                _ => return Err(self.error("Expecting ',' delimiter", index)),
            }
        }
    }
}

impl<'a, B: Builder> Reader<'a, B> {
    fn number(&self, start: usize) -> Read<Scalar<'a>> {
        let digits = |from: usize| {
            self.bytes
                .iter()
                .skip(from)
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        };
        let unsigned = if self.at(start) == Some(b'-') {
            start + 1
        } else {
            start
        };
        let mut end = match self.at(unsigned) {
            Some(b'0') => unsigned + 1,
            Some(b'1'..=b'9') => unsigned + digits(unsigned),
            _ => return Err(self.error("Expecting value", start)),
        };
        let integer_end = end;
        if self.at(end) == Some(b'.') && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
        }
        if matches!(self.at(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.at(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent > 0 {
                end += 1 + sign + exponent;
            }
        }
        let spelled = self.text.get(start..end).unwrap_or_default();
        let number = if end > integer_end {
            Scalar::Float(spelled)
        } else if end - unsigned > MAX_INTEGER_DIGITS {
            return Err(ParseError::IntegerTooLong);
        } else if spelled == "-0" {
            Scalar::Integer("0")
        } else {
            Scalar::Integer(spelled)
        };
        Ok((number, end))
    }

    /// Reads from behind the opening quote; returns the offset behind the closing one.
    fn string(&self, start: usize, text: &mut impl TextSink) -> Result<usize, ParseError> {
        let mut index = start;
        loop {
            let chunk = self.bytes.get(index..).unwrap_or_default();
            let length = chunk
                .iter()
                .take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f))
                .count();
            text.run(chunk.get(..length).unwrap_or_default());
            index += length;
            match self.at(index) {
                Some(b'"') => return Ok(index + 1),
                Some(b'\\') => index = self.escape(start, index + 1, text)?,
                Some(_) => return Err(self.error("Invalid control character at", index)),
                None => return Err(self.error("Unterminated string starting at", start - 1)),
            }
        }
    }

    /// Reads from behind the backslash and returns the offset behind the escape.
    fn escape(
        &self,
        string_start: usize,
        index: usize,
        text: &mut impl TextSink,
    ) -> Result<usize, ParseError> {
        let plain = match self.at(index) {
            None => return Err(self.error("Unterminated string starting at", string_start - 1)),
            Some(b'u') => {
                let code = self.hex(index + 1, index)?;
                let high = (0xD800..0xDC00).contains(&code);
                if high
                    && self.at(index + 5) == Some(b'\\')
                    && self.at(index + 6) == Some(b'u')
                    && self.at(index + 11).is_some()
                {
                    let low = self.hex(index + 7, index + 6)?;
                    if (0xDC00..0xE000).contains(&low) {
                        text.code_point(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00));
                        return Ok(index + 11);
                    }
                }
                text.code_point(code);
                return Ok(index + 5);
            }
            Some(b @ (b'"' | b'\\' | b'/')) => b,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0C,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(_) => return Err(self.error("Invalid \\escape", index - 1)),
        };
        text.run(&[plain]);
        Ok(index + 1)
    }

    /// Four hexadecimal digits; some character must follow them, as CPython demands. `u` is the offset of the `u`.
    fn hex(&self, start: usize, u: usize) -> Result<u32, ParseError> {
        let digits = self
            .text
            .get(start..start + 4)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match digits.map(|digits| u32::from_str_radix(digits, 16)) {
            Some(Ok(code)) if self.at(start + 4).is_some() => Ok(code),
            _ => Err(self.error("Invalid \\uXXXX escape", u)),
        }
    }
}
