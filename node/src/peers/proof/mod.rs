//! Proof between nodes instead of the cluster key itself.
//!
//! The answerer hands out a challenge, valid once and for a minute of its own clock. The caller signs its request, together
//! with the challenge and both processes; the answerer checks the signature before it reads a byte of the body, and then the
//! body against the signed digest. The answer is signed likewise, over the request's own code, and brings the next challenge.
//! Nodes send each other no streams: every message is whole, so one code covers it.

mod answerer;
mod challenges;
mod head;
mod held;

pub use answerer::{PeerProofs, Proven, Unproven};
pub use head::{ASK, CHALLENGE, PROOF};
pub(super) use head::{AnswerHead, Offer, RequestHead};
pub(super) use held::HeldChallenges;
