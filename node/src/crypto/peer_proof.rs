//! Proof that a message comes from a holder of the cluster key: a code over the whole meaning of the message. Pure.

use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The purpose of the key: another use of the cluster key gets another text, and so another key.
const PURPOSE: &[u8] = b"peer v2";

/// The key that nodes sign with, derived from one cluster key.
#[derive(Clone)]
pub struct PeerProofKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for PeerProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerProofKey(***)")
    }
}

/// The code over a message: HMAC-SHA256.
#[derive(Debug, Clone, Copy)]
pub struct MessageCode(pub [u8; 32]);

/// A body as the head of its message announces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyDigest {
    /// Its bytes.
    pub length: u64,
    /// Their SHA-256.
    pub digest: [u8; 32],
}

impl BodyDigest {
    /// Of this body.
    pub fn of(body: &[u8]) -> Self {
        Self {
            length: u64::try_from(body.len()).unwrap_or(u64::MAX),
            digest: Sha256::digest(body).into(),
        }
    }
}

/// The signed parts of a request.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// The caller's process.
    pub caller: u64,
    /// The process that is called.
    pub answerer: u64,
    /// The challenge of the called process, valid once.
    pub challenge: &'a [u8],
    /// The caller's random number for this request: no earlier answer fits it.
    pub nonce: [u8; 16],
    /// The HTTP method.
    pub method: &'a str,
    /// The path, with its query.
    pub path: &'a str,
    /// The body.
    pub body: BodyDigest,
}

/// The signed parts of an answer.
#[derive(Debug, Clone, Copy)]
pub struct SignedAnswer<'a> {
    /// The process that called.
    pub caller: u64,
    /// The process that answers.
    pub answerer: u64,
    /// The code of the request that is answered.
    pub request: MessageCode,
    /// The HTTP status.
    pub status: u16,
    /// The challenge for the next request.
    pub next: &'a [u8],
    /// The body.
    pub body: BodyDigest,
}

impl PeerProofKey {
    /// The key for a cluster key: HKDF-SHA256 without salt.
    pub fn derive(cluster_key: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        // HKDF gives far more than 32 bytes, so this cannot fail.
        let expanded = Hkdf::<Sha256>::new(None, cluster_key).expand(PURPOSE, key.as_mut_slice());
        debug_assert!(expanded.is_ok());
        Self(key)
    }

    /// Signs a request.
    pub fn sign_request(&self, request: &SignedRequest<'_>) -> MessageCode {
        MessageCode(self.over_request(request).finalize().into_bytes().into())
    }

    /// Whether this key signed a request with these parts; takes the same time wherever it differs.
    pub fn signed_request(&self, request: &SignedRequest<'_>, code: &MessageCode) -> bool {
        self.over_request(request).verify_slice(&code.0).is_ok()
    }

    /// Signs an answer.
    pub fn sign_answer(&self, answer: &SignedAnswer<'_>) -> MessageCode {
        MessageCode(self.over_answer(answer).finalize().into_bytes().into())
    }

    /// Whether this key signed an answer with these parts; takes the same time wherever it differs.
    pub fn signed_answer(&self, answer: &SignedAnswer<'_>, code: &MessageCode) -> bool {
        self.over_answer(answer).verify_slice(&code.0).is_ok()
    }

    fn over_request(&self, request: &SignedRequest<'_>) -> Hmac<Sha256> {
        let SignedRequest {
            caller,
            answerer,
            challenge,
            nonce,
            method,
            path,
            body,
        } = request;
        self.over(
            b"request",
            &[
                &caller.to_be_bytes(),
                &answerer.to_be_bytes(),
                challenge,
                nonce,
                method.as_bytes(),
                path.as_bytes(),
                &body.length.to_be_bytes(),
                &body.digest,
            ],
        )
    }

    fn over_answer(&self, answer: &SignedAnswer<'_>) -> Hmac<Sha256> {
        let SignedAnswer {
            caller,
            answerer,
            request,
            status,
            next,
            body,
        } = answer;
        self.over(
            b"answer",
            &[
                &caller.to_be_bytes(),
                &answerer.to_be_bytes(),
                &request.0,
                &status.to_be_bytes(),
                next,
                &body.length.to_be_bytes(),
                &body.digest,
            ],
        )
    }

    /// Each field with its length before it, so that no two messages read the same.
    fn over(&self, direction: &[u8], fields: &[&[u8]]) -> Hmac<Sha256> {
        // 32 bytes are half a block, so HMAC uses the key unchanged.
        let mut block = [0; 64];
        for (byte, key) in block.iter_mut().zip(self.0.iter()) {
            *byte = *key;
        }
        let mut code = Hmac::<Sha256>::new(&block.into());
        for field in std::iter::once(&direction).chain(fields) {
            let length = u64::try_from(field.len()).unwrap_or(u64::MAX);
            code.update(&length.to_be_bytes());
            code.update(field);
        }
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> PeerProofKey {
        PeerProofKey::derive(b"the cluster key of the tests")
    }

    /// A request as an owned value, so that a test can change any part of it.
    #[derive(Debug, Clone, PartialEq)]
    struct Parts {
        caller: u64,
        answerer: u64,
        challenge: Vec<u8>,
        nonce: [u8; 16],
        method: String,
        path: String,
        body: Vec<u8>,
    }

    impl Parts {
        fn request(&self) -> SignedRequest<'_> {
            SignedRequest {
                caller: self.caller,
                answerer: self.answerer,
                challenge: &self.challenge,
                nonce: self.nonce,
                method: &self.method,
                path: &self.path,
                body: BodyDigest::of(&self.body),
            }
        }
    }

    fn parts() -> impl Strategy<Value = Parts> {
        (
            any::<(u64, u64, [u8; 16])>(),
            proptest::collection::vec(any::<u8>(), 0..40),
            "[A-Z]{1,6}",
            "/[a-z0-9/?=&]{0,30}",
            proptest::collection::vec(any::<u8>(), 0..80),
        )
            .prop_map(
                |((caller, answerer, nonce), challenge, method, path, body)| Parts {
                    caller,
                    answerer,
                    challenge,
                    nonce,
                    method,
                    path,
                    body,
                },
            )
    }

    proptest! {
        #[test]
        fn a_request_verifies_as_it_was_signed_and_as_no_other(one in parts(), other in parts()) {
            let code = key().sign_request(&one.request());
            prop_assert!(key().signed_request(&one.request(), &code));
            prop_assert_eq!(key().signed_request(&other.request(), &code), one == other);
            // Bytes that move from one field into the next make another message.
            let mut moved = one.clone();
            moved.path = moved.method.split_off(moved.method.len() - 1) + &moved.path;
            prop_assert!(!key().signed_request(&moved.request(), &code));
        }

        #[test]
        fn any_changed_bit_of_any_part_fails(one in parts(), part in 0..7_usize, at in any::<usize>(), bit in 0..8_u8) {
            let code = key().sign_request(&one.request());
            let mut changed = one.clone();
            let flip = |bytes: &mut [u8]| {
                let length = bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at % length) {
                    *byte ^= 1 << bit;
                }
            };
            match part {
                0 => changed.caller ^= 1 << (at % 64),
                1 => changed.answerer ^= 1 << (at % 64),
                2 => flip(&mut changed.challenge),
                3 => flip(&mut changed.nonce),
                4 => changed.method.push('X'),
                5 => changed.path.push('/'),
                _ => flip(&mut changed.body),
            }
            if changed != one {
                prop_assert!(!key().signed_request(&changed.request(), &code));
            }
            let mut forged = code;
            flip(&mut forged.0);
            prop_assert!(!key().signed_request(&one.request(), &forged));
        }

        #[test]
        fn any_changed_part_of_an_answer_fails(
            (caller, answerer, status) in any::<(u64, u64, u16)>(),
            request in any::<[u8; 32]>(),
            next in proptest::collection::vec(any::<u8>(), 0..40),
            body in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let answer = SignedAnswer {
                caller,
                answerer,
                request: MessageCode(request),
                status,
                next: &next,
                body: BodyDigest::of(&body),
            };
            let code = key().sign_answer(&answer);
            prop_assert!(key().signed_answer(&answer, &code));
            let mut other_request = request;
            other_request[0] ^= 1;
            let longer = [next.as_slice(), &[0]].concat();
            let other_body = [body.as_slice(), &[0]].concat();
            for changed in [
                SignedAnswer { caller: caller ^ 1, ..answer },
                SignedAnswer { answerer: answerer ^ 1, ..answer },
                SignedAnswer { request: MessageCode(other_request), ..answer },
                SignedAnswer { status: status ^ 1, ..answer },
                SignedAnswer { next: &longer, ..answer },
                SignedAnswer { body: BodyDigest::of(&other_body), ..answer },
            ] {
                prop_assert!(!key().signed_answer(&changed, &code));
            }
        }
    }

    #[test]
    fn another_cluster_key_makes_another_code() {
        let request = SignedRequest {
            caller: 1,
            answerer: 2,
            challenge: b"c",
            nonce: [3; 16],
            method: "POST",
            path: "/",
            body: BodyDigest::of(b""),
        };
        let code = key().sign_request(&request);
        assert!(!PeerProofKey::derive(b"another").signed_request(&request, &code));
        assert!(!format!("{:?}", key()).contains("cluster"));
    }
}
