//! The parts of a Fernet token that are readable without its key, and the spellings of it that Python accepts.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE};

use crate::domain::Timestamp;

/// Version, time, IV, one block of ciphertext, HMAC.
const SHORTEST: usize = 1 + 8 + 16 + 16 + 32;
pub(super) const VERSION: u8 = 0x80;
/// 2200-01-01. A later time is no time but damage.
const LATEST_SECONDS: u64 = 7_258_118_400;

/// A token in the common spelling, from one that Python's `base64.urlsafe_b64decode` reads: Python skips blanks, line ends and
/// any other character outside the alphabet, reads `+/` as `-_`, and stops at the padding. A text that it does not read is
/// given back unchanged.
pub fn canonical(token: &str) -> Cow<'_, str> {
    let mut clean = String::with_capacity(token.len());
    let mut padding = 0;
    for byte in token.bytes() {
        // In a group of four, padding counts after the second character only; elsewhere it is passed over.
        let place = clean.len() % 4;
        match byte {
            b'=' if place >= 2 => {
                padding += 1;
                if place + padding == 4 {
                    break;
                }
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {
                clean.push(char::from(byte));
                padding = 0;
            }
            b'+' => {
                clean.push('-');
                padding = 0;
            }
            b'/' => {
                clean.push('_');
                padding = 0;
            }
            _ => {}
        }
    }
    let place = clean.len() % 4;
    if place != 0 && place + padding != 4 {
        return Cow::Borrowed(token);
    }
    clean.extend(std::iter::repeat_n('=', padding));
    if clean == token {
        Cow::Borrowed(token)
    } else {
        Cow::Owned(clean)
    }
}

/// The bytes of a token in any spelling that Python reads.
pub(super) fn decode(token: &str) -> Option<Vec<u8>> {
    URL_SAFE.decode(token).ok().or_else(|| {
        let token = canonical(token);
        URL_SAFE.decode(token.as_ref()).ok()
    })
}

/// When a token was made, in whole seconds; `None` when the text has not the form of a Fernet token.
pub fn token_time(token: &str) -> Option<Timestamp> {
    let bytes = decode(token)?;
    let (version, rest) = bytes.split_first()?;
    let seconds = u64::from_be_bytes(*rest.first_chunk::<8>()?);
    let whole_blocks = bytes.len().checked_sub(SHORTEST)? % 16 == 0;
    let micros = i64::try_from(seconds.checked_mul(1_000_000)?).ok()?;
    (*version == VERSION && whole_blocks && seconds < LATEST_SECONDS)
        .then(|| Timestamp::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_time_of_a_token_is_read_and_damage_is_seen() {
        let token = "gAAAAABpaL0lAAECAwQFBgcICQoLDA0OD1xn5CYLb5yvmI0MNhNKjBTeuJjEnEHo8yb6f04frKWYJnzvVp2kjhNYvdjQV_4pUckf7AoZoZTmy2pnKnhYr-wbpeqj1aWyDATAa3ONAsyTyjet8cCnPWQi1UjORMtIdw==";
        assert_eq!(
            token_time(token),
            Some(Timestamp::from_micros(1_768_471_845_000_000))
        );
        assert_eq!(token_time(&token[4..]), None, "another version");
        assert_eq!(
            token_time(&token[..token.len() - 8]),
            None,
            "no whole blocks"
        );
        assert_eq!(token_time(""), None);
        assert_eq!(token_time("{\"plain\": \"text\"}"), None);
    }

    #[test]
    fn what_python_passes_over_is_passed_over() {
        let cases = [
            ("gAAA\n", "gAAA"),
            (" gA AA\r\n", "gAAA"),
            ("g+/A", "g-_A"),
            ("gAA=", "gAA="),
            ("gA==\n", "gA=="),
            ("gA==AAAA", "gA=="),
            ("gA=A", "gAA"),
            ("g=AAA", "gAAA"),
        ];
        for (spelt, clean) in cases {
            let given = canonical(spelt);
            // Python accepts no token without its padding.
            let expected = if clean.len() % 4 == 0 { clean } else { spelt };
            assert_eq!(given, expected, "{spelt:?}");
        }
        assert_eq!(canonical("gA"), "gA", "left for its reader to refuse");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            token_time(&text);
            token_time(&URL_SAFE.encode(bytes));
        }
    }
}
