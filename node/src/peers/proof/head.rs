//! The wire form of a proof: one header of the request, one of the answer, and one with a challenge.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use http::{HeaderName, HeaderValue};

use crate::crypto::{BodyDigest, MessageCode};

/// Carries a proof. The value `ask` in a request asks for a challenge instead.
pub const PROOF: HeaderName = HeaderName::from_static("x-osc-proof");
/// Carries a challenge to sign.
pub const CHALLENGE: HeaderName = HeaderName::from_static("x-osc-challenge");
/// Asks for a challenge.
pub const ASK: &str = "ask";

/// The form of all these headers.
const VERSION: &str = "2";
/// The longest challenge that a caller signs; its form is the answerer's own business.
const LONGEST_CHALLENGE: usize = 64;

/// A challenge to sign, and the process that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The process that made it.
    pub(crate) answerer: u64,
    pub(crate) challenge: Vec<u8>,
}

/// The proof of a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestHead {
    pub(crate) caller: u64,
    pub(crate) offer: Offer,
    pub(crate) nonce: [u8; 16],
    pub(crate) body: BodyDigest,
    pub(crate) code: MessageCode,
}

/// The proof of an answer.
#[derive(Debug, Clone)]
pub(crate) struct AnswerHead {
    /// The challenge for the next request to the same process.
    pub(crate) next: Vec<u8>,
    pub(crate) body: BodyDigest,
    pub(crate) code: MessageCode,
}

impl Offer {
    pub(crate) fn read(header: &HeaderValue) -> Option<Self> {
        let mut fields = fields(header)?;
        let offer = Self {
            answerer: number(fields.next()?)?,
            challenge: challenge(fields.next()?)?,
        };
        fields.next().is_none().then_some(offer)
    }

    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let challenge = BASE64.encode(&self.challenge);
        HeaderValue::try_from(format!("{VERSION}.{:016x}.{challenge}", self.answerer)).ok()
    }
}

impl RequestHead {
    pub(crate) fn read(header: &HeaderValue) -> Option<Self> {
        let mut fields = fields(header)?;
        let head = Self {
            caller: number(fields.next()?)?,
            offer: Offer {
                answerer: number(fields.next()?)?,
                challenge: challenge(fields.next()?)?,
            },
            nonce: bytes(fields.next()?)?,
            body: body(&mut fields)?,
            code: MessageCode(bytes(fields.next()?)?),
        };
        fields.next().is_none().then_some(head)
    }

    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let Self {
            caller,
            offer: Offer {
                answerer,
                challenge,
            },
            nonce,
            body,
            code,
        } = self;
        HeaderValue::try_from(format!(
            "{VERSION}.{caller:016x}.{answerer:016x}.{}.{}.{}.{}.{}",
            BASE64.encode(challenge),
            BASE64.encode(nonce),
            body.length,
            BASE64.encode(body.digest),
            BASE64.encode(code.0),
        ))
        .ok()
    }
}

impl AnswerHead {
    pub(crate) fn read(header: &HeaderValue) -> Option<Self> {
        let mut fields = fields(header)?;
        let head = Self {
            next: challenge(fields.next()?)?,
            body: body(&mut fields)?,
            code: MessageCode(bytes(fields.next()?)?),
        };
        fields.next().is_none().then_some(head)
    }

    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let Self { next, body, code } = self;
        HeaderValue::try_from(format!(
            "{VERSION}.{}.{}.{}.{}",
            BASE64.encode(next),
            body.length,
            BASE64.encode(body.digest),
            BASE64.encode(code.0),
        ))
        .ok()
    }
}

fn fields(header: &HeaderValue) -> Option<std::str::Split<'_, char>> {
    let mut fields = header.to_str().ok()?.split('.');
    (fields.next()? == VERSION).then_some(fields)
}

fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (digits && text.len() == 16).then(|| u64::from_str_radix(text, 16).ok())?
}

fn challenge(text: &str) -> Option<Vec<u8>> {
    let short = text.len() <= LONGEST_CHALLENGE * 4 / 3 + 1;
    short.then(|| BASE64.decode(text).ok())?
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

fn body<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<BodyDigest> {
    Some(BodyDigest {
        length: fields.next()?.parse().ok()?,
        digest: bytes(fields.next()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            (caller, answerer, length) in any::<(u64, u64, u64)>(),
            (nonce, digest, code) in any::<([u8; 16], [u8; 32], [u8; 32])>(),
            challenge in proptest::collection::vec(any::<u8>(), 0..=LONGEST_CHALLENGE),
        ) {
            let offer = Offer { answerer, challenge: challenge.clone() };
            prop_assert_eq!(Offer::read(&offer.header().unwrap()), Some(offer.clone()));
            let body = BodyDigest { length, digest };
            let head = RequestHead { caller, offer: offer.clone(), nonce, body, code: MessageCode(code) };
            let read = RequestHead::read(&head.header().unwrap()).unwrap();
            prop_assert_eq!((read.caller, read.offer, read.nonce, read.body, read.code.0), (caller, offer, nonce, body, code));
            let head = AnswerHead { next: challenge.clone(), body, code: MessageCode(code) };
            let read = AnswerHead::read(&head.header().unwrap()).unwrap();
            prop_assert_eq!((read.next, read.body, read.code.0), (challenge, body, code));
        }

        #[test]
        fn no_header_of_a_stranger_breaks_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for header in [HeaderValue::from_bytes(&bytes), HeaderValue::from_bytes(&[b"2.", bytes.as_slice()].concat())].into_iter().flatten() {
                let _ = (Offer::read(&header), RequestHead::read(&header), AnswerHead::read(&header));
            }
        }
    }

    #[test]
    fn another_version_and_further_fields_are_refused() {
        let offer = Offer {
            answerer: 1,
            challenge: vec![1, 2],
        };
        let text = offer.header().unwrap().to_str().unwrap().to_owned();
        for other in [
            text.replacen('2', "3", 1),
            format!("{text}.x"),
            text.replacen("000", "+00", 1),
        ] {
            let header = HeaderValue::try_from(other).unwrap();
            assert_eq!(Offer::read(&header), None, "{header:?}");
        }
    }
}
