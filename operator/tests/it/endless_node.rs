//! A node's image may be hostile: the operator does not read its endless answers.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread::JoinHandle,
};

use opensecureconf_operator::node::{
    AccessKey, AdminCommand, CommandError, NodeClient, http_client,
};

use crate::api_server::install_provider;

/// More than the kernel's buffers and the operator's bound hold together.
const TOO_MUCH: usize = 64 << 20;

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
