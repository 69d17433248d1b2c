//! Requests to other nodes over HTTP.

use std::{
    net::Ipv4Addr,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use reqwest::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    PeerFaults,
    answer::{self, GREETING_BYTES, MESSAGE_BYTES},
    error::PeerError,
    proof::{ASK, AnswerHead, CHALLENGE, HeldChallenges, Offer, PROOF, RequestHead},
};
use crate::{
    budget::{Pool, ROOM_WAIT, Reservation},
    cluster::{Address, Answer, Boot, Envelope, Request},
    config::{AccessKeys, PeerAddress, PeerProofPolicy},
    crypto::{BodyDigest, PeerProofKey, SignedAnswer, SignedRequest},
    tls::Identity,
};

/// Where nodes take each other's messages. The number is the protocol's major version.
pub const EXCHANGE_PATH: &str = "/cluster/v1/exchange";

const CLUSTER_KEY: HeaderName = HeaderName::from_static("x-cluster-key");
const CONNECT: Duration = Duration::from_secs(2);
const METHOD: &str = "POST";
/// An answer to a heartbeat at most: a greeting, and where the caller is removed the roster that says so.
const ROSTER_BYTES: usize = 1 << 20;

/// Speaks to other nodes.
#[derive(Debug)]
pub struct PeerClient {
    http: RwLock<reqwest::Client>,
    name: Option<String>,
    scheme: &'static str,
    cluster_keys: AccessKeys,
    policy: PeerProofPolicy,
    boot: u64,
    held: HeldChallenges,
    pool: Pool,
    faults: Arc<PeerFaults>,
}

/// Who speaks, and how it proves itself.
#[derive(Debug)]
pub struct Caller {
    /// The node's name, which the others' logs may show; none for a program beside a node.
    pub name: Option<String>,
    /// This process.
    pub boot: Boot,
    /// What it signs with: the first of them.
    pub cluster_keys: AccessKeys,
    /// Whether it may show the key itself.
    pub policy: PeerProofPolicy,
    /// The node's own certificate, where it speaks TLS.
    pub tls: Option<Identity>,
}

impl PeerClient {
    /// A client that signs what it sends, and reads answers into this pool.
    pub fn new(caller: Caller, pool: Pool) -> anyhow::Result<Self> {
        let Caller {
            name,
            boot,
            cluster_keys,
            policy,
            tls,
        } = caller;
        Ok(Self {
            http: RwLock::new(build(tls.as_ref(), name.as_deref())?),
            name,
            scheme: if tls.is_some() { "https" } else { "http" },
            cluster_keys,
            policy,
            boot: boot.raw().unsigned_abs(),
            held: HeldChallenges::default(),
            pool,
            faults: Arc::default(),
        })
    }

    /// Which nodes do not answer it.
    pub fn faults(&self) -> &Arc<PeerFaults> {
        &self.faults
    }

    /// Shows this certificate from now on, and trusts these authorities.
    ///
    /// # Errors
    /// Where they are of no use; what was in force stays in force.
    pub fn present(&self, identity: &Identity) -> anyhow::Result<()> {
        let fresh = build(Some(identity), self.name.as_deref())?;
        *self.http.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Sends a message and waits for its answer.
    pub async fn exchange(
        &self,
        to: &Address,
        message: &Envelope<Request>,
        patience: Duration,
    ) -> Result<Envelope<Answer>, PeerError> {
        let limit = match message.body {
            Request::Heartbeat => ROSTER_BYTES,
            _ => MESSAGE_BYTES,
        };
        let place = Place::new(to.as_str(), EXCHANGE_PATH, limit)?;
        self.post_within(&place, message, patience).await
    }

    /// Sends any message to a route of nodes.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        to: &str,
        path: &str,
        message: &impl Serialize,
        patience: Duration,
    ) -> Result<T, PeerError> {
        let place = Place::new(to, path, MESSAGE_BYTES)?;
        self.post_within(&place, message, patience).await
    }

    async fn post_within<T: DeserializeOwned>(
        &self,
        place: &Place<'_>,
        message: &impl Serialize,
        patience: Duration,
    ) -> Result<T, PeerError> {
        let body = Bytes::from(serde_json::to_vec(message).map_err(PeerError::Unwritable)?);
        tokio::time::timeout(patience, self.send(place, body))
            .await
            .map_err(|_| PeerError::Slow(patience))?
    }

    /// Signs and sends; where the challenge turns out to be used or old, once more with a new one.
    async fn send<T: DeserializeOwned>(
        &self,
        place: &Place<'_>,
        body: Bytes,
    ) -> Result<T, PeerError> {
        let mut offer = self.held.take(&place.address, Instant::now());
        for _ in 0..2 {
            let signed_with = match offer.take() {
                Some(offer) => offer,
                None => match self.ask_for_challenge(place).await? {
                    Ok(offer) => offer,
                    Err(refused) => return self.show_key(place, body, refused).await,
                },
            };
            let answer = self.send_signed(place, body.clone(), signed_with).await?;
            match answer {
                Signed::Answered(answer) => return Ok(answer),
                Signed::Stale(fresh) => offer = Some(fresh),
            }
        }
        Err(PeerError::NeverFresh)
    }

    /// Asks for a challenge. The inner error is of a node that knows nothing of challenges.
    async fn ask_for_challenge(
        &self,
        place: &Place<'_>,
    ) -> Result<Result<Offer, PeerError>, PeerError> {
        let request = self.request(place).header(PROOF, ASK);
        let answer = request.send().await.map_err(PeerError::unreachable)?;
        Ok(match offered(&answer) {
            Some(offer) => Ok(offer),
            None => Err(PeerError::refused(answer).await),
        })
    }

    async fn send_signed<T: DeserializeOwned>(
        &self,
        place: &Place<'_>,
        body: Bytes,
        offer: Offer,
    ) -> Result<Signed<T>, PeerError> {
        let key = self.cluster_keys.proof_keys().into_iter().next();
        let key = key.ok_or(PeerError::NoKey)?;
        let head = self.sign(&key, place.path, &body, offer.clone());
        let header = head.header().ok_or(PeerError::NoKey)?;
        let request = self.request(place).header(PROOF, header);
        let request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = request
            .body(body)
            .send()
            .await
            .map_err(PeerError::unreachable)?;
        let Some(proof) = answer.headers().get(PROOF) else {
            return match offered(&answer) {
                Some(fresh) => Ok(Signed::Stale(fresh)),
                None if answer.status().is_success() => Err(PeerError::FalseAnswer),
                None => Err(PeerError::refused(answer).await),
            };
        };
        let status = answer.status();
        let proof = AnswerHead::read(proof).ok_or(PeerError::FalseAnswer)?;
        let said = SignedAnswer {
            caller: self.boot,
            answerer: offer.answerer,
            request: head.code,
            status: status.as_u16(),
            next: &proof.next,
            body: proof.body,
        };
        if !key.signed_answer(&said, &proof.code) {
            return Err(PeerError::FalseAnswer);
        }
        let next = Offer {
            answerer: offer.answerer,
            challenge: proof.next,
        };
        self.held.keep(&place.address, next, Instant::now());
        let length = usize::try_from(proof.body.length).unwrap_or(usize::MAX);
        if length > place.limit {
            return Err(PeerError::TooLong { limit: place.limit });
        }
        let _room = self.room(length).await?;
        let bytes = answer::read(answer, length).await?;
        if BodyDigest::of(&bytes) != proof.body {
            return Err(PeerError::FalseAnswer);
        }
        read_answer(status, &bytes).map(Signed::Answered)
    }

    fn sign(&self, key: &PeerProofKey, path: &str, body: &[u8], offer: Offer) -> RequestHead {
        let (nonce, body) = (rand::random(), BodyDigest::of(body));
        let code = key.sign_request(&SignedRequest {
            caller: self.boot,
            answerer: offer.answerer,
            challenge: &offer.challenge,
            nonce,
            method: METHOD,
            path,
            body,
        });
        RequestHead {
            caller: self.boot,
            offer,
            nonce,
            body,
            code,
        }
    }

    /// Shows a node of an older release the key itself, where that may be: nobody may listen, or the operator of the node
    /// said so.
    async fn show_key<T: DeserializeOwned>(
        &self,
        place: &Place<'_>,
        body: Bytes,
        refused: PeerError,
    ) -> Result<T, PeerError> {
        // With TLS the other's name was verified before anything was sent.
        let private = self.scheme == "https" || self.policy.key_in_clear;
        if self.policy.required || !private {
            return Err(PeerError::NoProof(Box::new(refused)));
        }
        let mut key =
            HeaderValue::from_bytes(&self.cluster_keys.first()).map_err(|_| PeerError::NoKey)?;
        key.set_sensitive(true);
        let request = self.request(place).header(CLUSTER_KEY, key);
        let request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = request
            .body(body)
            .send()
            .await
            .map_err(PeerError::unreachable)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(PeerError::refused(answer).await);
        }
        // How much comes is not known; most answers have less.
        let _room = self.room(place.limit.min(ROSTER_BYTES)).await?;
        let bytes = answer::read(answer, place.limit).await?;
        read_answer(status, &bytes)
    }

    /// Room for an answer; the nodes share it, whatever their addresses.
    async fn room(&self, bytes: usize) -> Result<Reservation, PeerError> {
        let anyone = Ipv4Addr::UNSPECIFIED.into();
        let room = self.pool.reserve(anyone, bytes, ROOM_WAIT).await;
        room.map_err(PeerError::NoRoom)
    }

    fn request(&self, place: &Place<'_>) -> reqwest::RequestBuilder {
        let scheme = self.scheme;
        let http = self.http.read().unwrap_or_else(PoisonError::into_inner);
        http.post(format!("{scheme}://{}{}", place.address, place.path))
    }
}

/// Where a request goes, and how much of an answer is read.
struct Place<'a> {
    address: String,
    path: &'a str,
    limit: usize,
}

impl<'a> Place<'a> {
    /// Only what is an address and nothing else: it may come from another node.
    fn new(address: &str, path: &'a str, limit: usize) -> Result<Self, PeerError> {
        let address = PeerAddress::parse(address).ok_or(PeerError::NoAddress)?;
        Ok(Self {
            address: address.to_string(),
            path,
            limit,
        })
    }
}

/// What came of a signed request.
enum Signed<T> {
    Answered(T),
    /// Nothing was done: sign this challenge instead.
    Stale(Offer),
}

fn offered(answer: &Response) -> Option<Offer> {
    Offer::read(answer.headers().get(CHALLENGE)?)
}

fn read_answer<T: DeserializeOwned>(status: StatusCode, bytes: &[u8]) -> Result<T, PeerError> {
    if !status.is_success() {
        let end = bytes.len().min(GREETING_BYTES);
        let text = bytes.get(..end).unwrap_or_default();
        return Err(PeerError::Refused {
            status,
            text: answer::shown(text),
        });
    }
    serde_json::from_slice(bytes).map_err(PeerError::Unreadable)
}

/// A client that goes where it is sent and nowhere else: through no proxy, and after no redirect.
pub(super) fn build(
    identity: Option<&Identity>,
    name: Option<&str>,
) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(user_agent(name))
        .no_proxy();
    if let Some(identity) = identity {
        builder = builder.tls_backend_preconfigured(identity.client_config()?);
    }
    builder.build().context("cannot make the client for peers")
}

/// The program, and the node's name where a header can carry it.
fn user_agent(name: Option<&str>) -> String {
    let program = concat!("osc-node/", env!("CARGO_PKG_VERSION"));
    let plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_graphic());
    match name.filter(plain) {
        Some(name) => format!("{program} ({name})"),
        None => program.to_owned(),
    }
}
