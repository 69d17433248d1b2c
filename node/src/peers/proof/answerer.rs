//! The answerer's side: hands out challenges, judges requests, signs answers.

use std::time::Instant;

use http::HeaderValue;

use super::{
    challenges::{ChallengeFor, Challenges},
    head::{AnswerHead, Offer, RequestHead},
};
use crate::{
    access::AccessKeys,
    cluster::ProcessEpoch,
    crypto::{BodyDigest, MessageCode, PeerProofKey, SignedAnswer, SignedRequest},
    os::random,
};

/// The means of a node to check the proofs of others.
#[derive(Debug)]
pub struct PeerProofs {
    process_epoch: u64,
    keys: AccessKeys,
    challenges: Challenges,
    started: Instant,
}

/// A request whose head is proven. Its body is proven once [`Proven::body`] has compared it.
#[derive(Debug, Clone)]
pub struct Proven {
    key: PeerProofKey,
    caller: u64,
    code: MessageCode,
    /// The body that was signed.
    pub body: BodyDigest,
}

/// Why a request is not proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The header is no proof.
    #[error("the header is no proof")]
    Unreadable,
    /// It is signed with another key, or for another request.
    #[error("it is signed with another cluster key, or for another request")]
    OtherKey,
    /// The challenge was used before, is too old, or from an earlier process: sign another one.
    #[error("its challenge is not good any more")]
    Stale,
    /// It was sent by this very process.
    #[error("it comes from this node itself")]
    OwnWord,
}

impl PeerProofs {
    /// For a process with these accepted keys.
    pub fn new(process_epoch: ProcessEpoch, keys: AccessKeys) -> anyhow::Result<Self> {
        Ok(Self {
            process_epoch: process_epoch.raw().unsigned_abs(),
            keys,
            challenges: Challenges::new(random()?),
            started: Instant::now(),
        })
    }

    /// A challenge for a caller without a proof so far, in the form of its header.
    pub fn challenge(&self) -> Option<HeaderValue> {
        Offer {
            answerer: self.process_epoch,
            challenge: self
                .challenges
                .make(ChallengeFor::Stranger, self.started.elapsed()),
        }
        .header()
    }

    /// Whether a proof answers an unused challenge that went to a caller that had just proved itself. The signer is not
    /// checked.
    pub fn follows_a_proof(&self, header: &HeaderValue) -> bool {
        RequestHead::read(header).is_some_and(|RequestHead { offer, .. }| {
            offer.answerer == self.process_epoch
                && self
                    .challenges
                    .is_held_by_member(&offer.challenge, self.started.elapsed())
        })
    }

    /// Checks the head of a request, and uses its challenge up where the head is proven. `may_be_own` is for the one route on
    /// which a node finds itself.
    pub fn judge(
        &self,
        header: &HeaderValue,
        method: &str,
        path: &str,
        may_be_own: bool,
    ) -> Result<Proven, Unproven> {
        let RequestHead {
            caller,
            offer,
            nonce,
            body,
            code,
        } = RequestHead::read(header).ok_or(Unproven::Unreadable)?;
        let request = SignedRequest {
            caller,
            answerer: offer.answerer,
            challenge: &offer.challenge,
            nonce,
            method,
            path,
            body,
        };
        let keys = self.keys.proof_keys();
        let key = keys
            .into_iter()
            .find(|key| key.signed_request(&request, &code))
            .ok_or(Unproven::OtherKey)?;
        let good = offer.answerer == self.process_epoch
            && self
                .challenges
                .spend(&offer.challenge, self.started.elapsed());
        if !good {
            return Err(Unproven::Stale);
        }
        if caller == self.process_epoch && !may_be_own {
            return Err(Unproven::OwnWord);
        }
        Ok(Proven {
            key,
            caller,
            code,
            body,
        })
    }

    /// Signs the answer to a proven request: the header that goes with it.
    pub fn sign(&self, request: &Proven, status: u16, body: &[u8]) -> Option<HeaderValue> {
        let next = self
            .challenges
            .make(ChallengeFor::Member, self.started.elapsed());
        let body = BodyDigest::of(body);
        let code = request.key.sign_answer(&SignedAnswer {
            caller: request.caller,
            answerer: self.process_epoch,
            request: request.code,
            status,
            next: &next,
            body,
        });
        AnswerHead { next, body, code }.header()
    }
}
