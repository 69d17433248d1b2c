//! The two spellings of a value: `json.dumps` for storage, compact UTF-8 for answers.

use super::{Json, Text};

#[derive(Clone, Copy)]
enum Spelling {
    Python,
    Wire,
}

impl Json {
    /// The text of Python's `json.dumps(value)`: `", "` and `": "`, everything outside ASCII escaped.
    pub fn to_python(&self) -> String {
        let mut out = String::new();
        self.write(Spelling::Python, &mut out);
        out
    }

    /// The text that the REST API answers: compact, UTF-8 unescaped, `NaN` and the infinities as `null`.
    pub fn to_wire(&self) -> String {
        let mut out = String::new();
        self.write(Spelling::Wire, &mut out);
        out
    }

    /// Appends the text of [`Self::to_wire`].
    pub fn write_wire(&self, out: &mut String) {
        self.write(Spelling::Wire, out);
    }

    fn write(&self, spelling: Spelling, out: &mut String) {
        let (comma, colon) = match spelling {
            Spelling::Python => (", ", ": "),
            Spelling::Wire => (",", ":"),
        };
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => match spelling {
                Spelling::Wire if !number.is_finite() => out.push_str("null"),
                _ => out.push_str(&number.python_text()),
            },
            Self::String(text) => text.write(spelling, out),
            Self::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push_str(comma);
                    }
                    item.write(spelling, out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push_str(comma);
                    }
                    name.write(spelling, out);
                    out.push_str(colon);
                    value.write(spelling, out);
                }
                out.push('}');
            }
        }
    }
}

impl Text {
    fn write(&self, spelling: Spelling, out: &mut String) {
        out.push('"');
        let mut rest = self.0.as_slice();
        while !rest.is_empty() {
            let valid = match std::str::from_utf8(rest) {
                Ok(text) => text,
                Err(error) => rest
                    .get(..error.valid_up_to())
                    .and_then(|bytes| std::str::from_utf8(bytes).ok())
                    .unwrap_or_default(),
            };
            spelling.write(valid, out);
            rest = rest.get(valid.len()..).unwrap_or_default();
            if let Some((surrogate, after)) = rest.split_first_chunk::<3>() {
                let [_, middle, last] = surrogate.map(u16::from);
                write_escape(0xD000 | ((middle & 0x3F) << 6) | (last & 0x3F), out);
                rest = after;
            }
        }
        out.push('"');
    }
}

/// Appends a text as a JSON string, spelled as in [`Json::to_wire`].
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    Spelling::Wire.write(text, out);
    out.push('"');
}

impl Spelling {
    /// Appends what stands between the quotes: runs of what stands for itself as they are, the rest escaped.
    fn write(self, text: &str, out: &mut String) {
        let mut rest = text;
        while !rest.is_empty() {
            let plain = rest.bytes().position(|byte| !self.keeps(byte));
            let (run, after) = plain
                .and_then(|at| rest.split_at_checked(at))
                .unwrap_or((rest, ""));
            out.push_str(run);
            let mut escaped = after.chars();
            if let Some(c) = escaped.next()
                && !write_short_escape(c, out)
            {
                write_units(c, out);
            }
            rest = escaped.as_str();
        }
    }

    /// Whether a byte of a text stands for itself.
    fn keeps(self, byte: u8) -> bool {
        match byte {
            b'"' | b'\\' | ..b' ' => false,
            b' '..=b'~' => true,
            0x7F.. => matches!(self, Self::Wire),
        }
    }
}

fn write_short_escape(c: char, out: &mut String) -> bool {
    out.push_str(match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        _ => return false,
    });
    true
}

fn write_units(c: char, out: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        write_escape(*unit, out);
    }
}

fn write_escape(unit: u16, out: &mut String) {
    let digit = |shift: u16| char::from_digit(u32::from((unit >> shift) & 0xF), 16).unwrap_or('0');
    out.push_str("\\u");
    out.extend([digit(12), digit(8), digit(4), digit(0)]);
}
