//! What a Fernet token tells without its key.

use base64::{Engine, engine::general_purpose::URL_SAFE};

use crate::domain::Timestamp;

/// Version, time, IV, one block of ciphertext, HMAC.
const SHORTEST: usize = 1 + 8 + 16 + 16 + 32;
const VERSION: u8 = 0x80;
/// 2200-01-01. A later time is no time but damage.
const LATEST_SECONDS: u64 = 7_258_118_400;

/// When a token was made, in whole seconds; `None` when the text has not the form of a Fernet token.
pub fn token_time(token: &str) -> Option<Timestamp> {
    let bytes = URL_SAFE.decode(token).ok()?;
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

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            token_time(&text);
            token_time(&URL_SAFE.encode(bytes));
        }
    }
}
