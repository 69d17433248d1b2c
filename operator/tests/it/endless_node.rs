//! A node's image may be hostile: the operator does not read its endless answers.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread::JoinHandle,
    time::Duration,
};

use allocation_counter::measure;
use opensecureconf_operator::node::{
    AccessKey, AdminCommand, CommandError, NodeClient, http_client,
};

use crate::api_server::install_provider;

/// More than the kernel's buffers and the operator's bound hold together.
const TOO_MUCH: usize = 64 << 20;

/// The longest status is 1 MiB; it is read into a buffer that doubles, from one that the HTTP library fills.
const MOST_HELD: u64 = 4 << 20;

/// Answers one request with this head and a body without end; gives how many bytes were read.
fn endless(head: &'static str) -> (String, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        stream.write_all(head.as_bytes()).unwrap();
        let (part, mut taken) = (vec![b' '; 64 << 10], 0);
        while taken < TOO_MUCH && stream.write_all(&part).is_ok() {
            taken += part.len();
        }
        taken
    });
    (address, served)
}

fn read_request(stream: &mut TcpStream) {
    let (mut request, mut part) = (Vec::new(), [0; 1024]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut part).unwrap();
        assert_ne!(count, 0, "the request breaks off");
        request.extend_from_slice(&part[..count]);
    }
}

fn client() -> NodeClient {
    install_provider();
    let key = AccessKey(b"a key".to_vec());
    NodeClient::plain(http_client().unwrap(), Some(key.clone()), Some(key))
}

// On more than one thread: the client closes the connection while the test waits for the server.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_without_end_is_no_status() {
    let (address, served) = endless("HTTP/1.1 200 OK\r\n\r\n{\"details\":");
    let status = client().status(&address).await;
    assert_eq!(status, None);
    assert!(served.join().unwrap() < TOO_MUCH);
}

/// The allocator counts what the operator's thread holds at most while it reads.
#[test]
fn answers_without_end_take_no_more_memory_than_the_longest_sensible_one() {
    install_provider();
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n{\"details\":",
        "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n{\"details\":",
        "HTTP/1.1 409 Conflict\r\n\r\n",
    ] {
        let (address, served) = endless(head);
        // On this thread alone, or the allocator would not count it.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = client();
        let mut status = None;
        let held = measure(|| status = runtime.block_on(client.status(&address)));
        drop((client, runtime));
        assert_eq!(status, None, "{head}");
        assert!(
            held.bytes_max < MOST_HELD,
            "{head}: {} bytes",
            held.bytes_max
        );
        assert!(served.join().unwrap() < TOO_MUCH, "{head}");
    }
}

/// A node that sends a byte now and then is left alone as one that does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_drips_without_end_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    // It has two seconds.
    let status = tokio::time::timeout(Duration::from_secs(30), async {
        client().status(&address).await
    });
    assert_eq!(status.await.unwrap(), None);
    served.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_salt_without_end_is_no_salt() {
    let (address, served) = endless("HTTP/1.1 200 OK\r\n\r\n");
    assert!(client().salt(&address).await.is_none());
    assert!(served.join().unwrap() < TOO_MUCH);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_without_end_is_told_in_a_few_words() {
    let (address, served) = endless("HTTP/1.1 409 Conflict\r\n\r\n");
    let order = client().command(&address, &AdminCommand::Leave).await;
    let Err(CommandError::Refused { text, .. }) = order else {
        panic!("{order:?}");
    };
    assert!(text.len() < 1000, "{text}");
    assert!(served.join().unwrap() < TOO_MUCH);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_is_followed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let target = elsewhere.local_addr().unwrap();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        let head = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{target}/\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
    });
    let order = client().command(&address, &AdminCommand::Leave).await;
    assert!(
        matches!(order, Err(CommandError::Refused { .. })),
        "{order:?}"
    );
    served.join().unwrap();
    assert!(elsewhere.accept().is_err(), "the key went elsewhere");
}
