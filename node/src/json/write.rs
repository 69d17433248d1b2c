//! The two spellings of a value: `json.dumps` for storage, compact UTF-8 for answers.

use std::fmt;

use super::{Json, Number, Text};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    Python,
    Wire,
    /// The bare characters of a string; any other value as [`Self::Wire`].
    Bare,
}

impl Json {
    /// The text of Python's `json.dumps(value)`: `", "` and `": "`, everything outside ASCII escaped.
    pub fn to_python(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.write(Spelling::Python, &mut out);
        out
    }

    /// The text that the REST API answers: compact, UTF-8 unescaped, `NaN` and the infinities as `null`.
    pub fn to_wire(&self) -> String {
        let mut out = String::new();
        let _ = self.write(Spelling::Wire, &mut out);
        out
    }

    fn write(&self, spelling: Spelling, out: &mut impl fmt::Write) -> fmt::Result {
        let (comma, colon) = (spelling.comma(), spelling.colon());
        match self {
            Self::Null => out.write_str("null"),
            Self::Bool(value) => out.write_str(if *value { "true" } else { "false" }),
            Self::Number(number) => number.write(spelling, out),
            Self::String(text) => text.write(spelling, out),
            Self::Array(items) => {
                out.write_char('[')?;
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.write_str(comma)?;
                    }
                    item.write(spelling, out)?;
                }
                out.write_char(']')
            }
            Self::Object(members) => {
                out.write_char('{')?;
                for (i, (name, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.write_str(comma)?;
                    }
                    name.write(spelling, out)?;
                    out.write_str(colon)?;
                    value.write(spelling, out)?;
                }
                out.write_char('}')
            }
        }
    }
}

impl Number {
    pub(super) fn write(&self, spelling: Spelling, out: &mut impl fmt::Write) -> fmt::Result {
        match spelling {
            Spelling::Wire | Spelling::Bare if !self.is_finite() => out.write_str("null"),
            _ => out.write_str(&self.python_text()),
        }
    }
}

impl Text {
    fn write(&self, spelling: Spelling, out: &mut impl fmt::Write) -> fmt::Result {
        out.write_char('"')?;
        let mut rest = self.0.as_slice();
        while !rest.is_empty() {
            let valid = match std::str::from_utf8(rest) {
                Ok(text) => text,
                Err(error) => rest
                    .get(..error.valid_up_to())
                    .and_then(|bytes| std::str::from_utf8(bytes).ok())
                    .unwrap_or_default(),
            };
            spelling.write(valid, out)?;
            rest = rest.get(valid.len()..).unwrap_or_default();
            if let Some((surrogate, after)) = rest.split_first_chunk::<3>() {
                let [_, middle, last] = surrogate.map(u16::from);
                write_escape(0xD000 | ((middle & 0x3F) << 6) | (last & 0x3F), out)?;
                rest = after;
            }
        }
        out.write_char('"')
    }
}

/// Appends a text as a JSON string, spelled as in [`Json::to_wire`].
pub fn write_string(text: &str, out: &mut impl fmt::Write) -> fmt::Result {
    out.write_char('"')?;
    Spelling::Wire.write(text, out)?;
    out.write_char('"')
}

impl Spelling {
    /// The separator between two items.
    pub(super) fn comma(self) -> &'static str {
        match self {
            Self::Python => ", ",
            Self::Wire | Self::Bare => ",",
        }
    }

    /// The separator between a name and its value.
    pub(super) fn colon(self) -> &'static str {
        match self {
            Self::Python => ": ",
            Self::Wire | Self::Bare => ":",
        }
    }

    /// Appends the text between the quotes: runs of plain characters unchanged, the others escaped.
    pub(super) fn write(self, text: &str, out: &mut impl fmt::Write) -> fmt::Result {
        let mut rest = text;
        while !rest.is_empty() {
            let plain = rest.bytes().position(|byte| !self.keeps(byte));
            let (run, after) = plain
                .and_then(|at| rest.split_at_checked(at))
                .unwrap_or((rest, ""));
            out.write_str(run)?;
            let mut escaped = after.chars();
            if let Some(c) = escaped.next() {
                match short_escape(c) {
                    Some(escape) => out.write_str(escape)?,
                    None => write_units(c, out)?,
                }
            }
            rest = escaped.as_str();
        }
        Ok(())
    }

    /// Whether a byte of a text stands for itself.
    fn keeps(self, byte: u8) -> bool {
        match byte {
            _ if self == Self::Bare => true,
            b'"' | b'\\' | ..b' ' => false,
            b' '..=b'~' => true,
            0x7F.. => matches!(self, Self::Wire),
        }
    }
}

fn short_escape(c: char) -> Option<&'static str> {
    Some(match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        _ => return None,
    })
}

fn write_units(c: char, out: &mut impl fmt::Write) -> fmt::Result {
    c.encode_utf16(&mut [0; 2])
        .iter()
        .try_for_each(|unit| write_escape(*unit, out))
}

pub(super) fn write_escape(unit: u16, out: &mut impl fmt::Write) -> fmt::Result {
    let digit = |shift: u16| char::from_digit(u32::from((unit >> shift) & 0xF), 16).unwrap_or('0');
    out.write_str("\\u")?;
    [12, 8, 4, 0]
        .into_iter()
        .try_for_each(|shift| out.write_char(digit(shift)))
}
