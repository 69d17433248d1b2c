//! Requests to other nodes over HTTP.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use opensecureconf_contract::key_header;
use reqwest::{
    Method, Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    PeerFaults,
    answer::{self, COPIES, GREETING_BYTES},
    error::PeerError,
    parts,
    proof::{ASK, AnswerHead, CHALLENGE, HeldChallenges, Offer, PROOF, RequestHead},
};
use crate::{
    access::AccessKeys,
    budget::{MessagePools, ROOM_WAIT, Reservation},
    cluster::{Address, Answer, EXCHANGE_PATH, Envelope, ProcessEpoch, Request},
    config::{PeerAddress, PeerProofPolicy},
    crypto::{BodyDigest, PeerProofKey, SignedAnswer, SignedRequest},
    tls::Identity,
};

const CLUSTER_KEY: HeaderName = HeaderName::from_static(key_header::CLUSTER_KEY);
const CONNECT: Duration = Duration::from_secs(2);
/// The largest answer to a heartbeat: a greeting, and for a removed caller the roster that shows the removal.
const ROSTER_BYTES: usize = 1 << 20;

/// Speaks to other nodes.
#[derive(Debug)]
pub struct PeerClient {
    http: RwLock<reqwest::Client>,
    name: Option<String>,
    resolved: Option<ResolvedHost>,
    scheme: &'static str,
    cluster_keys: AccessKeys,
    policy: PeerProofPolicy,
    process_epoch: u64,
    held: HeldChallenges,
    pools: MessagePools,
    faults: Arc<PeerFaults>,
}

/// The caller, and its means of proof.
#[derive(Debug)]
pub struct Caller {
    /// The node's name, which the others' logs may show; none for a program beside a node.
    pub name: Option<String>,
    /// This process.
    pub process_epoch: ProcessEpoch,
    /// The signing keys, of which it uses the first.
    pub cluster_keys: AccessKeys,
    /// Whether it may show the key itself.
    pub policy: PeerProofPolicy,
    /// The node's own certificate, where it speaks TLS.
    pub tls: Option<Identity>,
    /// A host name for an address, where the other node's certificate has no better name.
    pub resolved: Option<ResolvedHost>,
}

/// A name, and the address that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedHost {
    /// A name in the other node's certificate.
    pub name: String,
    /// The address of the other node.
    pub address: IpAddr,
}

impl PeerClient {
    /// A client that signs its requests, and reads answers into these pools.
    pub fn new(caller: Caller, pools: MessagePools) -> anyhow::Result<Self> {
        let Caller {
            name,
            process_epoch,
            cluster_keys,
            policy,
            tls,
            resolved,
        } = caller;
        let http = build(tls.as_ref(), name.as_deref(), resolved.as_ref())?;
        Ok(Self {
            http: RwLock::new(http),
            name,
            resolved,
            scheme: if tls.is_some() { "https" } else { "http" },
            cluster_keys,
            policy,
            process_epoch: process_epoch.raw().unsigned_abs(),
            held: HeldChallenges::default(),
            pools,
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
    /// Where they are useless; the earlier ones stay in force.
    pub fn present(&self, identity: &Identity) -> anyhow::Result<()> {
        let fresh = build(Some(identity), self.name.as_deref(), self.resolved.as_ref())?;
        *self.http.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Sends a message and waits for its answer, which holds its room until it is handled.
    pub async fn exchange(
        &self,
        to: &Address,
        message: &Envelope<Request>,
        timeout: Duration,
    ) -> Result<(Envelope<Answer>, Reservation), PeerError> {
        let limit = match message.body {
            Request::Heartbeat => ROSTER_BYTES,
            _ => self.longest(),
        };
        let place = self.place(Method::POST, to.as_str(), EXCHANGE_PATH, limit)?;
        self.post_within(&place, message, timeout).await
    }

    /// Sends any message to a route of nodes.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        to: &str,
        path: &str,
        message: &impl Serialize,
        timeout: Duration,
    ) -> Result<T, PeerError> {
        let place = self.place(Method::POST, to, path, self.longest())?;
        let (answer, _room) = self.post_within(&place, message, timeout).await?;
        Ok(answer)
    }

    /// Sends a request to an administrative route, and gives the body of the answer.
    pub(crate) async fn ask_route(
        &self,
        method: Method,
        to: &PeerAddress,
        path: &str,
        body: Bytes,
        timeout: Duration,
    ) -> Result<BytesMut, PeerError> {
        let place = self.place(method, &to.to_string(), path, ROSTER_BYTES)?;
        let answered = self.send_within(&place, body, timeout).await?;
        answered.succeeded()
    }

    async fn post_within<T: DeserializeOwned>(
        &self,
        place: &Place,
        message: &impl Serialize,
        timeout: Duration,
    ) -> Result<(T, Reservation), PeerError> {
        let body = Bytes::from(serde_json::to_vec(message).map_err(PeerError::Unwritable)?);
        let Answered {
            status,
            bytes,
            mut room,
        } = self.send_within(place, body, timeout).await?;
        parts::reserve(&bytes, &self.pools, None, &mut room)?;
        Ok((read_answer(status, &bytes)?, room))
    }

    async fn send_within(
        &self,
        place: &Place,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answered, PeerError> {
        tokio::time::timeout(timeout, self.send(place, body))
            .await
            .map_err(|_| PeerError::Slow(timeout))?
    }

    /// Signs and sends; where the challenge turns out to be used or expired, once more with a new one.
    async fn send(&self, place: &Place, body: Bytes) -> Result<Answered, PeerError> {
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
                Signed::Answered(answered) => return Ok(answered),
                Signed::Stale(fresh) => offer = Some(fresh),
            }
        }
        Err(PeerError::NeverFresh)
    }

    /// Asks for a challenge. The inner error is that of a node without challenges.
    async fn ask_for_challenge(
        &self,
        place: &Place,
    ) -> Result<Result<Offer, PeerError>, PeerError> {
        let request = self.request(place).header(PROOF, ASK);
        let answer = request.send().await.map_err(PeerError::unreachable)?;
        Ok(match offered(&answer) {
            Some(offer) => Ok(offer),
            None => Err(PeerError::refused(answer).await),
        })
    }

    async fn send_signed(
        &self,
        place: &Place,
        body: Bytes,
        offer: Offer,
    ) -> Result<Signed, PeerError> {
        let key = self.cluster_keys.proof_keys().into_iter().next();
        let key = key.ok_or(PeerError::NoKey)?;
        let head = self.sign(&key, place, &body, offer.clone());
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
            caller: self.process_epoch,
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
        let room = self.room(length).await?;
        let bytes = answer::read(answer, length).await?;
        if BodyDigest::of(&bytes) != proof.body {
            return Err(PeerError::FalseAnswer);
        }
        Ok(Signed::Answered(Answered {
            status,
            bytes,
            room,
        }))
    }

    fn sign(&self, key: &PeerProofKey, place: &Place, body: &[u8], offer: Offer) -> RequestHead {
        let (nonce, body) = (rand::random(), BodyDigest::of(body));
        let code = key.sign_request(&SignedRequest {
            caller: self.process_epoch,
            answerer: offer.answerer,
            challenge: &offer.challenge,
            nonce,
            method: place.method.as_str(),
            path: &place.path,
            body,
        });
        RequestHead {
            caller: self.process_epoch,
            offer,
            nonce,
            body,
            code,
        }
    }

    /// Shows a node of an older release the key itself, where that is allowed: no third party can listen, or the node's
    /// settings allow it.
    async fn show_key(
        &self,
        place: &Place,
        body: Bytes,
        refused: PeerError,
    ) -> Result<Answered, PeerError> {
        if refused.is_from_tls_port() {
            return Err(PeerError::SpeaksTls(Box::new(refused)));
        }
        // With TLS the other node's name is verified before any byte is sent.
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
        let room = self.room(place.limit.min(ROSTER_BYTES)).await?;
        let bytes = answer::read(answer, place.limit).await?;
        Ok(Answered {
            status,
            bytes,
            room,
        })
    }

    /// Room for an answer and its parsed form; all nodes share it, whatever their addresses.
    async fn room(&self, bytes: usize) -> Result<Reservation, PeerError> {
        let pool = self.pools.for_message(bytes);
        let room = pool.reserve_for_many(bytes.saturating_mul(COPIES), ROOM_WAIT);
        room.await.map_err(PeerError::NoRoom)
    }

    /// The longest answer that this process has memory for.
    fn longest(&self) -> usize {
        parts::longest(&self.pools)
    }

    fn request(&self, place: &Place) -> reqwest::RequestBuilder {
        let http = self.http.read().unwrap_or_else(PoisonError::into_inner);
        http.request(place.method.clone(), place.url.clone())
    }

    fn place(
        &self,
        method: Method,
        address: &str,
        path: &str,
        limit: usize,
    ) -> Result<Place, PeerError> {
        Place::new(method, (self.scheme, address, path), limit)
    }
}

/// Where a request goes, and how much of an answer is read.
struct Place {
    method: Method,
    address: String,
    url: Url,
    /// The path and query that are sent, which are also signed: the URL may have normalised the requested path.
    path: String,
    limit: usize,
}

impl Place {
    /// Accepts a plain address only: it may come from another node.
    fn new(
        method: Method,
        (scheme, address, path): (&str, &str, &str),
        limit: usize,
    ) -> Result<Self, PeerError> {
        let address = PeerAddress::parse(address).ok_or(PeerError::NoAddress)?;
        let url = Url::parse(&format!("{scheme}://{address}{path}"));
        let url = url.map_err(|_| PeerError::NoAddress)?;
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self {
            method,
            address: address.to_string(),
            url,
            path,
            limit,
        })
    }
}

/// A whole answer, and the room that it takes.
struct Answered {
    status: StatusCode,
    bytes: BytesMut,
    room: Reservation,
}

impl Answered {
    /// The body, where the answer is no refusal.
    fn succeeded(self) -> Result<BytesMut, PeerError> {
        if self.status.is_success() {
            return Ok(self.bytes);
        }
        Err(refusal(self.status, &self.bytes))
    }
}

/// The result of a signed request.
enum Signed {
    Answered(Answered),
    /// The node did nothing: sign this challenge instead.
    Stale(Offer),
}

fn offered(answer: &Response) -> Option<Offer> {
    Offer::read(answer.headers().get(CHALLENGE)?)
}

fn read_answer<T: DeserializeOwned>(status: StatusCode, bytes: &[u8]) -> Result<T, PeerError> {
    if !status.is_success() {
        return Err(refusal(status, bytes));
    }
    serde_json::from_slice(bytes).map_err(PeerError::Unreadable)
}

fn refusal(status: StatusCode, bytes: &[u8]) -> PeerError {
    let end = bytes.len().min(GREETING_BYTES);
    let text = answer::shown(bytes.get(..end).unwrap_or_default());
    PeerError::Refused { status, text }
}

/// A client that goes where it is sent and nowhere else: through no proxy, and after no redirect.
fn build(
    identity: Option<&Identity>,
    name: Option<&str>,
    resolved: Option<&ResolvedHost>,
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
    if let Some(ResolvedHost { name, address }) = resolved {
        // The port is that of the request.
        builder = builder.resolve(name, SocketAddr::new(*address, 0));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_the_path_that_is_sent() {
        for (asked, sent) in [
            ("/cluster/v1/exchange", "/cluster/v1/exchange"),
            (
                "/admin/configs/a%2Fb%3F?environment=x%20y",
                "/admin/configs/a%2Fb%3F?environment=x%20y",
            ),
            ("/admin/configs/%2E%2E?x=1", "/admin/?x=1"),
        ] {
            let place = Place::new(Method::GET, ("https", "[2001:db8::1]:443", asked), 1).unwrap();
            assert_eq!(place.path, sent);
        }
    }
}
