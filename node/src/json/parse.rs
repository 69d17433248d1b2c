//! The reader: CPython's `json.loads`, with its error texts and positions.

use indexmap::IndexMap;

use super::{Json, Number, Text};

/// CPython refuses to convert longer integers (`sys.int_info.default_max_str_digits`).
const MAX_INTEGER_DIGITS: usize = 4300;

/// Why a text is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
}

/// Reads one JSON value that fills the whole text; `max_depth` counts nested arrays and objects.
pub fn parse(text: &str, max_depth: usize) -> Result<Json, ParseError> {
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        depth_left: max_depth,
    };
    let start = reader.skip_blanks(0);
    let (value, end) = reader.value(start)?;
    let end = reader.skip_blanks(end);
    if end == text.len() {
        Ok(value)
    } else {
        Err(reader.error("Extra data", end))
    }
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    depth_left: usize,
}

/// A value and the byte offset behind it.
type Read<T> = Result<(T, usize), ParseError>;

impl Reader<'_> {
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

    fn value(&mut self, start: usize) -> Read<Json> {
        let literal = |word: &str, value: Json| {
            self.bytes
                .get(start..)
                .is_some_and(|rest| rest.starts_with(word.as_bytes()))
                .then_some((value, start + word.len()))
        };
        let found = match self.at(start) {
            Some(b'"') => {
                return self
                    .string(start + 1)
                    .map(|(text, end)| (Json::String(text), end));
            }
            Some(b'{') => return self.nested(start + 1, Self::object),
            Some(b'[') => return self.nested(start + 1, Self::array),
            Some(b'n') => literal("null", Json::Null),
            Some(b't') => literal("true", Json::Bool(true)),
            Some(b'f') => literal("false", Json::Bool(false)),
            Some(b'N') => literal("NaN", Json::Number(Number::Float(f64::NAN))),
            Some(b'I') => literal("Infinity", Json::Number(Number::Float(f64::INFINITY))),
            Some(b'-') => literal("-Infinity", Json::Number(Number::Float(f64::NEG_INFINITY))),
            _ => None,
        };
        match found {
            Some(read) => Ok(read),
            None => self.number(start),
        }
    }

    fn nested(&mut self, start: usize, read: fn(&mut Self, usize) -> Read<Json>) -> Read<Json> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(ParseError::TooDeep)?;
        let result = read(self, start);
        self.depth_left += 1;
        result
    }

    fn object(&mut self, start: usize) -> Read<Json> {
        let mut members = IndexMap::new();
        let mut index = self.skip_blanks(start);
        if self.at(index) == Some(b'}') {
            return Ok((Json::Object(members), index + 1));
        }
        loop {
            if self.at(index) != Some(b'"') {
                return Err(self.error("Expecting property name enclosed in double quotes", index));
            }
            let (name, end) = self.string(index + 1)?;
            index = self.skip_blanks(end);
            if self.at(index) != Some(b':') {
                return Err(self.error("Expecting ':' delimiter", index));
            }
            let (value, end) = self.value(self.skip_blanks(index + 1))?;
            members.insert(name, value);
            index = self.skip_blanks(end);
            match self.at(index) {
                Some(b'}') => return Ok((Json::Object(members), index + 1)),
                Some(b',') => index = self.skip_blanks(index + 1),
                _ => return Err(self.error("Expecting ',' delimiter", index)),
            }
        }
    }

    fn array(&mut self, start: usize) -> Read<Json> {
        let mut items = Vec::new();
        let mut index = self.skip_blanks(start);
        if self.at(index) == Some(b']') {
            return Ok((Json::Array(items), index + 1));
        }
        loop {
            let (value, end) = self.value(index)?;
            items.push(value);
            index = self.skip_blanks(end);
            match self.at(index) {
                Some(b']') => return Ok((Json::Array(items), index + 1)),
                Some(b',') => index = self.skip_blanks(index + 1),
                _ => return Err(self.error("Expecting ',' delimiter", index)),
            }
        }
    }

    fn number(&self, start: usize) -> Read<Json> {
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
            Number::Float(
                spelled
                    .parse()
                    .map_err(|_| self.error("Expecting value", start))?,
            )
        } else if end - unsigned > MAX_INTEGER_DIGITS {
            return Err(ParseError::IntegerTooLong);
        } else if spelled == "-0" {
            Number::Integer("0".into())
        } else {
            Number::Integer(spelled.into())
        };
        Ok((Json::Number(number), end))
    }

    /// Reads from behind the opening quote.
    fn string(&self, start: usize) -> Read<Text> {
        let mut text = Text::default();
        let mut index = start;
        loop {
            let chunk = self.bytes.get(index..).unwrap_or_default();
            let length = chunk
                .iter()
                .take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f))
                .count();
            text.0
                .extend_from_slice(chunk.get(..length).unwrap_or_default());
            index += length;
            match self.at(index) {
                Some(b'"') => return Ok((text, index + 1)),
                Some(b'\\') => index = self.escape(start, index + 1, &mut text)?,
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
        text: &mut Text,
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
                        text.push(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00));
                        return Ok(index + 11);
                    }
                }
                text.push(code);
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
        text.0.push(plain);
        Ok(index + 1)
    }

    /// Four hexadecimal digits; something must follow them, as CPython demands. `u` is the offset of the `u`.
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
