//! Nodes and our own programs sign requests instead of showing the cluster key; strangers cannot forge them. The test spells
//! out the form of the headers once more, because nodes of other releases rely on it.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use opensecureconf_node::crypto::{
    BodyDigest, MessageCode, PeerProofKey, SignedAnswer, SignedRequest,
};
use reqwest::{Method, Response};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::node::TestNode;

const CLUSTER_KEY: &str = "the cluster key of the tests";
const IMPORT: &str = "/cluster/v1/import";
const CALLER: u64 = 0x00ca_11e4;

fn node(more: &[(&str, &str)]) -> TestNode {
    let settings = [&[("OSC_CLUSTER_KEY", CLUSTER_KEY)], more].concat();
    TestNode::start_in(TempDir::new().unwrap(), &settings)
}

/// A challenge that a node handed out.
#[derive(Debug, Clone)]
struct Challenge {
    answerer: u64,
    bytes: Vec<u8>,
}

impl Challenge {
    fn of(answer: &Response) -> Option<Self> {
        let header = answer.headers().get("x-osc-challenge")?.to_str().unwrap();
        let fields: Vec<_> = header.split('.').collect();
        assert_eq!((fields.len(), fields[0]), (3, "2"), "{header}");
        Some(Self {
            answerer: u64::from_str_radix(fields[1], 16).unwrap(),
            bytes: BASE64.decode(fields[2]).unwrap(),
        })
    }

    async fn ask(node: &TestNode) -> Self {
        let answer = post(node, IMPORT, "ask", b"").await;
        assert_eq!(answer.status(), 401);
        Self::of(&answer).unwrap()
    }
}

struct Signed {
    header: String,
    code: MessageCode,
}

fn sign(key: &str, challenge: &Challenge, path: &str, body: &[u8], caller: u64) -> Signed {
    let (nonce, body) = ([7; 16], BodyDigest::of(body));
    let code = PeerProofKey::derive(key.as_bytes()).sign_request(&SignedRequest {
        caller,
        answerer: challenge.answerer,
        challenge: &challenge.bytes,
        nonce,
        method: "POST",
        path,
        body,
    });
    let header = format!(
        "2.{caller:016x}.{:016x}.{}.{}.{}.{}.{}",
        challenge.answerer,
        BASE64.encode(&challenge.bytes),
        BASE64.encode(nonce),
        body.length,
        BASE64.encode(body.digest),
        BASE64.encode(code.0)
    );
    Signed { header, code }
}

async fn post(node: &TestNode, path: &str, proof: &str, body: &[u8]) -> Response {
    let request = node.client.post(format!("{}{path}", node.url));
    let request = request.header("X-OSC-Proof", proof).body(body.to_vec());
    request.send().await.unwrap()
}

/// A dry run of an import, which a test can repeat any number of times.
async fn order(node: &TestNode) -> Vec<u8> {
    let status = node
        .call(Method::GET, "/cluster/status?details=true", None)
        .await;
    let salt = &status.json()["details"]["salt_fingerprint"];
    serde_json::to_vec(&json!({"salt": salt, "dry_run": true, "entries": []})).unwrap()
}

#[tokio::test]
async fn a_signed_request_is_taken_once_and_its_answer_is_signed() {
    let node = node(&[]);
    let (order, challenge) = (order(&node).await, Challenge::ask(&node).await);
    let signed = sign(CLUSTER_KEY, &challenge, IMPORT, &order, CALLER);
    let answer = post(&node, IMPORT, &signed.header, &order).await;
    assert_eq!(answer.status(), 200);
    let proof = answer.headers()["x-osc-proof"].to_str().unwrap().to_owned();
    let text = answer.bytes().await.unwrap();
    assert_eq!(text.as_ref(), br#"{"outcomes":[]}"#);
    let fields: Vec<_> = proof.split('.').collect();
    let next = BASE64.decode(fields[1]).unwrap();
    let said = SignedAnswer {
        caller: CALLER,
        answerer: challenge.answerer,
        request: signed.code,
        status: 200,
        next: &next,
        body: BodyDigest::of(&text),
    };
    let code = MessageCode(BASE64.decode(fields[4]).unwrap().try_into().unwrap());
    let key = PeerProofKey::derive(CLUSTER_KEY.as_bytes());
    assert!(key.signed_answer(&said, &code));
    // The same message once more, from any sender.
    let again = post(&node, IMPORT, &signed.header, &order).await;
    assert_eq!(again.status(), 401);
    assert!(Challenge::of(&again).is_some());
    // The challenge in the answer serves the next request without another question.
    let challenge = Challenge {
        bytes: next,
        ..challenge
    };
    let signed = sign(CLUSTER_KEY, &challenge, IMPORT, &order, CALLER);
    let answer = post(&node, IMPORT, &signed.header, &order).await;
    assert_eq!(answer.status(), 200);
    node.stop().await;
}

#[tokio::test]
async fn nothing_else_can_be_made_of_a_signed_message() {
    let node = node(&[]);
    let order = order(&node).await;
    let longer = [order.as_slice(), b" "].concat();
    let mut changed = order.clone();
    changed[2] ^= 1;
    for (what, path, body, status) in [
        ("another path", "/cluster/leave", order.as_slice(), 403),
        ("a query", "/cluster/v1/import?x=1", &order, 403),
        ("a body cut short", IMPORT, &order[..order.len() - 1], 400),
        ("a longer body", IMPORT, &longer, 400),
        ("another body", IMPORT, &changed, 400),
    ] {
        let challenge = Challenge::ask(&node).await;
        let signed = sign(CLUSTER_KEY, &challenge, IMPORT, &order, CALLER);
        let answer = post(&node, path, &signed.header, body).await;
        assert_eq!(answer.status(), status, "{what}");
    }
    node.stop().await;
}

/// The process that is meant is signed too: what was signed for one that has ended opens nothing, although name, address and
/// cluster key are the same.
#[tokio::test]
async fn what_is_signed_for_an_earlier_process_of_a_node_is_refused_by_the_next_one() {
    let before = node(&[]);
    let order = order(&before).await;
    let earlier = Challenge::ask(&before).await;
    let folder = before.stop().await;
    let node = TestNode::start_in(folder, &[("OSC_CLUSTER_KEY", CLUSTER_KEY)]);
    let now = Challenge::ask(&node).await;
    assert_ne!(earlier.answerer, now.answerer);
    let mixed = Challenge {
        answerer: earlier.answerer,
        ..now.clone()
    };
    for (what, challenge) in [
        ("of the earlier process", &earlier),
        (
            "for the earlier process, with a challenge of the present one",
            &mixed,
        ),
    ] {
        let signed = sign(CLUSTER_KEY, challenge, IMPORT, &order, CALLER);
        let answer = post(&node, IMPORT, &signed.header, &order).await;
        assert_eq!(answer.status(), 401, "{what}");
        assert_eq!(Challenge::of(&answer).unwrap().answerer, now.answerer);
    }
    let fresh = Challenge::ask(&node).await;
    let signed = sign(CLUSTER_KEY, &fresh, IMPORT, &order, CALLER);
    let answer = post(&node, IMPORT, &signed.header, &order).await;
    assert_eq!(answer.status(), 200);
    node.stop().await;
}

#[tokio::test]
async fn neither_an_answer_nor_the_nodes_own_word_comes_back_as_a_request() {
    let node = node(&[]);
    let (order, challenge) = (order(&node).await, Challenge::ask(&node).await);
    let signed = sign(CLUSTER_KEY, &challenge, IMPORT, &order, CALLER);
    let answer = post(&node, IMPORT, &signed.header, &order).await;
    let proof = answer.headers()["x-osc-proof"].to_str().unwrap();
    let code = proof.split('.').next_back().unwrap();
    let (rest, _) = signed.header.rsplit_once('.').unwrap();
    let reflected = post(&node, IMPORT, &format!("{rest}.{code}"), &order).await;
    assert_eq!(reflected.status(), 403);
    // Signed by this very process, as if a listener had handed it its own challenge.
    let challenge = Challenge::ask(&node).await;
    let own = sign(CLUSTER_KEY, &challenge, IMPORT, &order, challenge.answerer);
    let reflected = post(&node, IMPORT, &own.header, &order).await;
    assert_eq!(reflected.status(), 400);
    node.stop().await;
}

#[tokio::test]
async fn a_wrong_proof_is_refused_before_a_byte_of_its_body_is_read() {
    let node = node(&[]);
    let challenge = Challenge::ask(&node).await;
    let signed = sign(
        "another cluster key",
        &challenge,
        IMPORT,
        &[0; 1000],
        CALLER,
    );
    let address = node.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {IMPORT} HTTP/1.1\r\nHost: {address}\r\nX-OSC-Proof: {}\r\nContent-Length: 1000\r\n\r\n",
        signed.header
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    // No byte of the body is ever sent.
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 403");
    node.stop().await;
}

#[tokio::test]
async fn where_proofs_are_required_the_key_itself_opens_only_what_people_use() {
    let node = node(&[("OSC_PEER_PROOF", "require")]);
    let order = order(&node).await;
    let with_key = |method: Method, path: &str| {
        let request = node.client.request(method, format!("{}{path}", node.url));
        request.header("X-Cluster-Key", CLUSTER_KEY)
    };
    let refused = with_key(Method::POST, IMPORT).body(order.clone());
    let refused = refused.send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("OSC_PEER_PROOF"));
    let salt = with_key(Method::GET, "/cluster/salt").send().await.unwrap();
    assert_eq!(salt.status(), 200);
    let challenge = Challenge::ask(&node).await;
    let signed = sign(CLUSTER_KEY, &challenge, IMPORT, &order, CALLER);
    let answer = post(&node, IMPORT, &signed.header, &order).await;
    assert_eq!(answer.status(), 200);
    node.stop().await;
}

#[tokio::test]
async fn every_accepted_key_verifies_while_keys_are_exchanged() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("cluster-keys");
    std::fs::write(
        &file,
        format!("{CLUSTER_KEY}\nthe next cluster key of the tests\n"),
    )
    .unwrap();
    let file = file.display().to_string();
    let node = TestNode::start_in(folder, &[("OSC_CLUSTER_KEY_FILE", &file)]);
    let order = order(&node).await;
    for key in [CLUSTER_KEY, "the next cluster key of the tests"] {
        let challenge = Challenge::ask(&node).await;
        let signed = sign(key, &challenge, IMPORT, &order, CALLER);
        let answer = post(&node, IMPORT, &signed.header, &order).await;
        assert_eq!(answer.status(), 200, "{key}");
    }
    node.stop().await;
}

/// A node behind a trusted proxy, so that requests come from any address.
struct Guessed {
    node: TestNode,
    order: Vec<u8>,
}

impl Guessed {
    async fn start() -> Self {
        let node = node(&[("OSC_TRUSTED_PROXIES", "127.0.0.1")]);
        let order = order(&node).await;
        Self { node, order }
    }

    async fn ask(&self, key: &str, challenge: &Challenge, address: &str) -> Response {
        let signed = sign(key, challenge, IMPORT, &self.order, CALLER);
        let request = self.node.client.post(format!("{}{IMPORT}", self.node.url));
        let request = request.header("X-Forwarded-For", address);
        let request = request.header("X-OSC-Proof", signed.header);
        request.body(self.order.clone()).send().await.unwrap()
    }

    /// The next challenge of a caller that has proved itself at this address.
    async fn prove(&self, challenge: &Challenge, address: &str) -> Challenge {
        let answer = self.ask(CLUSTER_KEY, challenge, address).await;
        assert_eq!(answer.status(), 200);
        let proof = answer.headers()["x-osc-proof"].to_str().unwrap();
        let next = proof.split('.').nth(1).unwrap();
        Challenge {
            bytes: BASE64.decode(next).unwrap(),
            ..*challenge
        }
    }

    /// Guesses until the node compares no more guesses of this address.
    async fn flood(&self, address: &str) {
        let challenge = Challenge::ask(&self.node).await;
        // The node forgives failures with time: enough tries for a slow machine.
        for n in 0..2000_u64 {
            let key = format!("a guess of the tests, number {n}");
            let status = self.ask(&key, &challenge, address).await.status().as_u16();
            assert!(matches!(status, 403 | 429), "{status}");
        }
    }

    async fn show_key(&self, address: &str) -> u16 {
        let request = self
            .node
            .client
            .get(format!("{}/cluster/salt", self.node.url));
        let request = request.header("X-Forwarded-For", address);
        let answer = request.header("X-Cluster-Key", CLUSTER_KEY).send().await;
        answer.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn a_cluster_key_that_is_guessed_by_proofs_among_thousands_is_not_found() {
    let guessed = Guessed::start().await;
    let (guesser, other) = ("192.0.2.1", "192.0.2.2");
    guessed.flood(guesser).await;
    let challenge = Challenge::ask(&guessed.node).await;
    let answer = guessed.ask(CLUSTER_KEY, &challenge, guesser).await;
    assert_eq!(answer.status(), 429, "the right one is not compared either");
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(
        guessed.show_key(guesser).await,
        429,
        "nor is the key itself"
    );
    let mut forged = challenge.clone();
    forged.bytes[0] = 1;
    let answer = guessed.ask(CLUSTER_KEY, &forged, guesser).await;
    assert_eq!(answer.status(), 429, "nobody makes a member's challenge");
    guessed.prove(&challenge, other).await;
    assert_eq!(guessed.show_key(other).await, 200);
    guessed.node.stop().await;
}

#[tokio::test]
async fn a_node_at_the_address_of_a_guesser_goes_on() {
    let guessed = Guessed::start().await;
    let address = "192.0.2.1";
    let challenge = Challenge::ask(&guessed.node).await;
    let mut challenge = guessed.prove(&challenge, address).await;
    guessed.flood(address).await;
    for _ in 0..3 {
        challenge = guessed.prove(&challenge, address).await;
    }
    guessed.node.stop().await;
}

#[tokio::test]
async fn a_connection_on_which_a_node_proved_itself_goes_on_beside_a_guesser() {
    let node = node(&[]);
    let (order, challenge) = (order(&node).await, Challenge::ask(&node).await);
    let ask = async |client: &reqwest::Client, key: &str, challenge: &Challenge| {
        let signed = sign(key, challenge, IMPORT, &order, CALLER);
        let request = client.post(format!("{}{IMPORT}", node.url));
        let request = request.header("X-OSC-Proof", signed.header);
        let answer = request.body(order.clone()).send().await.unwrap();
        let status = answer.status();
        // Read to its end, so that the connection is used again.
        answer.bytes().await.unwrap();
        status
    };
    let (honest, guesser) = (reqwest::Client::new(), reqwest::Client::new());
    assert_eq!(ask(&honest, CLUSTER_KEY, &challenge).await, 200);
    let challenge = Challenge::ask(&node).await;
    for n in 0..2000_u64 {
        let key = format!("a guess of the tests, number {n}");
        ask(&guesser, &key, &challenge).await;
    }
    assert_eq!(ask(&guesser, CLUSTER_KEY, &challenge).await, 429);
    for _ in 0..3 {
        let challenge = Challenge::ask(&node).await;
        assert_eq!(ask(&honest, CLUSTER_KEY, &challenge).await, 200);
    }
    node.stop().await;
}
