//! The text of a JSON body, in the encodings that Python's `json.loads` finds out.

use std::borrow::Cow;

/// The text, without a byte order mark; `None` where the bytes are none in the encoding that they seem to have.
pub(in crate::api) fn decode(bytes: &[u8]) -> Option<Cow<'_, str>> {
    match Encoding::of(bytes) {
        (Encoding::Utf8, rest) => std::str::from_utf8(rest).ok().map(Cow::Borrowed),
        (Encoding::Utf16(order), rest) => utf_16(rest, order).map(Cow::Owned),
        (Encoding::Utf32(order), rest) => utf_32(rest, order).map(Cow::Owned),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Big,
    Little,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16(Order),
    Utf32(Order),
}

impl Encoding {
    /// As `json.detect_encoding` does: by the byte order mark, else by where the zeros are, since JSON begins with ASCII.
    /// What follows the mark comes along.
    fn of(bytes: &[u8]) -> (Self, &[u8]) {
        use Order::{Big, Little};
        match bytes {
            [0, 0, 0xFE, 0xFF, rest @ ..] => (Self::Utf32(Big), rest),
            [0xFF, 0xFE, 0, 0, rest @ ..] => (Self::Utf32(Little), rest),
            [0xFE, 0xFF, rest @ ..] => (Self::Utf16(Big), rest),
            [0xFF, 0xFE, rest @ ..] => (Self::Utf16(Little), rest),
            [0xEF, 0xBB, 0xBF, rest @ ..] => (Self::Utf8, rest),
            [0, 0, _, _, ..] => (Self::Utf32(Big), bytes),
            [0, _, _, _, ..] | [0, _] => (Self::Utf16(Big), bytes),
            [_, 0, 0, 0, ..] => (Self::Utf32(Little), bytes),
            [_, 0, _, _, ..] | [_, 0] => (Self::Utf16(Little), bytes),
            _ => (Self::Utf8, bytes),
        }
    }
}

fn utf_16(bytes: &[u8], order: Order) -> Option<String> {
    let (units, []) = bytes.as_chunks::<2>() else {
        return None;
    };
    let unit = |bytes: &[u8; 2]| match order {
        Order::Big => u16::from_be_bytes(*bytes),
        Order::Little => u16::from_le_bytes(*bytes),
    };
    char::decode_utf16(units.iter().map(unit))
        .collect::<Result<_, _>>()
        .ok()
}

fn utf_32(bytes: &[u8], order: Order) -> Option<String> {
    let (units, []) = bytes.as_chunks::<4>() else {
        return None;
    };
    let character = |bytes: &[u8; 4]| {
        char::from_u32(match order {
            Order::Big => u32::from_be_bytes(*bytes),
            Order::Little => u32::from_le_bytes(*bytes),
        })
    };
    units.iter().map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_character_is_no_text() {
        for bytes in [
            &b"\xff\xfe{"[..],
            b"{\0\0\0}",
            b"\0\0\xfe\xff\0\x11\0\0",
            b"{\xff",
        ] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
        assert_eq!(decode(b"\0{\xd8\0"), None, "a lone surrogate");
        assert_eq!(decode(b""), Some("".into()));
    }
}
