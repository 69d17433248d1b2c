//! A text respelled token by token: without a tree or recursion, and with memory for the output only.

use std::fmt;

use super::{Number, write::Spelling};

/// Appends a JSON text in the REST API's spelling, like [`super::Json::to_wire`] of its tree. The text must be one that
/// [`super::inspect`] accepts and in which it found no duplicates.
pub fn respell_for_wire(text: &str, out: &mut impl fmt::Write) -> fmt::Result {
    respell(text, Spelling::Wire, out)
}

/// The same as Python's `json.dumps` spells it, for storage.
pub fn respell_for_storage(text: &str, out: &mut impl fmt::Write) -> fmt::Result {
    respell(text, Spelling::Python, out)
}

/// Appends the meaning of a JSON text: the characters of a string, or of any other value the output of [`respell_for_wire`].
/// Half a surrogate pair, which no UTF-8 text can hold, becomes U+FFFD.
pub fn respell_as_text(text: &str, out: &mut impl fmt::Write) -> fmt::Result {
    let trimmed = text.trim_matches([' ', '\t', '\n', '\r']);
    if trimmed.starts_with('"') {
        characters(trimmed, Spelling::Bare, out)
    } else {
        respell(trimmed, Spelling::Wire, out)
    }
}

fn respell(text: &str, spelling: Spelling, out: &mut impl fmt::Write) -> fmt::Result {
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'"' => string_length(rest),
            b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => word_length(rest),
            // A character of valid JSON outside strings is one byte.
            _ => 1,
        };
        let Some((token, after)) = rest.split_at_checked(length) else {
            return Ok(());
        };
        match first {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b',' => out.write_str(spelling.comma())?,
            b':' => out.write_str(spelling.colon())?,
            b'"' => string(token, spelling, out)?,
            b'-' | b'0'..=b'9' | b'N' | b'I' => number(token, spelling, out)?,
            _ => out.write_str(token)?,
        }
        rest = after;
    }
    Ok(())
}

/// How long the string is with which a text begins, both quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

fn word_length(text: &str) -> usize {
    text.bytes()
        .position(
            |byte| !matches!(byte, b'-' | b'+' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z'),
        )
        .unwrap_or(text.len())
}

fn number(token: &str, spelling: Spelling, out: &mut impl fmt::Write) -> fmt::Result {
    let is_integer = token
        .bytes()
        .all(|byte| byte == b'-' || byte.is_ascii_digit());
    match token {
        "-0" => out.write_str("0"),
        _ if is_integer => out.write_str(token),
        _ => Number::float(token).write(spelling, out),
    }
}

fn string(token: &str, spelling: Spelling, out: &mut impl fmt::Write) -> fmt::Result {
    out.write_char('"')?;
    characters(token, spelling, out)?;
    out.write_char('"')
}

/// The text between the quotes of a string.
fn characters(token: &str, spelling: Spelling, out: &mut impl fmt::Write) -> fmt::Result {
    let inner = token
        .get(1..token.len().saturating_sub(1))
        .unwrap_or_default();
    let mut rest = inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        spelling.write(plain, out)?;
        rest = unescape(escape, spelling, out)?;
    }
    spelling.write(rest, out)
}

/// Writes the character of an escape, whose backslash is before the text; returns the text behind the escape.
fn unescape<'t>(
    text: &'t str,
    spelling: Spelling,
    out: &mut impl fmt::Write,
) -> Result<&'t str, fmt::Error> {
    let mut characters = text.chars();
    let plain = match characters.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => return unescape_unit(characters.as_str(), spelling, out),
        Some(other) => other,
        None => return Ok(""),
    };
    spelling.write(plain.encode_utf8(&mut [0; 4]), out)?;
    Ok(characters.as_str())
}

/// The same behind `\u`.
fn unescape_unit<'t>(
    text: &'t str,
    spelling: Spelling,
    out: &mut impl fmt::Write,
) -> Result<&'t str, fmt::Error> {
    let Some((unit, rest)) = unit(text) else {
        return Ok("");
    };
    let low = rest.strip_prefix("\\u").and_then(self::unit);
    let pair = low.map(|(low, after)| (char::decode_utf16([unit, low]).next(), after));
    let (character, after) = match pair {
        Some((Some(Ok(character)), after)) if character.len_utf16() == 2 => {
            (Some(character), after)
        }
        _ => (char::from_u32(unit.into()), rest),
    };
    match character {
        Some(character) => spelling.write(character.encode_utf8(&mut [0; 4]), out)?,
        None if spelling == Spelling::Bare => out.write_char(char::REPLACEMENT_CHARACTER)?,
        None => super::write::write_escape(unit, out)?,
    }
    Ok(after)
}

/// The four hexadecimal digits with which a text begins.
fn unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}
