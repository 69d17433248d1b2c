use bytes::BytesMut;
use futures::task::noop_waker;
use tokio::io::{AsyncWriteExt as _, duplex};

use super::{super::limits::MAX_HEAD_BYTES, *};
use crate::{
    api::ConnectionMark,
    budget::Pool,
    metrics::{CountedPort, Metrics},
};

/// A client that takes so many bytes.
#[derive(Debug, Default)]
struct Client {
    takes: usize,
    taken: Vec<u8>,
}

impl AsyncRead for Client {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = self.takes.min(bytes.len());
        if taken == 0 {
            return Poll::Pending;
        }
        self.takes -= taken;
        self.taken.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
const GOODBYE: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A connection of HTTP/2 without a request, after the client's preface and settings.
fn at_rest() -> Wire<Client> {
    let peer = "192.0.2.1:1".parse().unwrap();
    let activity = Arc::new(Activity::new(ConnectionMark::new(peer, 1)));
    activity.speaks(Protocol::Http2);
    let room = HeadRoom::new(Pool::shared("connections", 64 << 10), &[]);
    let metrics = Metrics::new().unwrap().connections.at(CountedPort::Http);
    let mut wire = Wire::new(Client::default(), activity, room, 32, metrics);
    let began = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    wire.follow_frames(began).unwrap();
    wire
}

impl Wire<Client> {
    fn takes(&mut self, bytes: usize) {
        self.stream.get_mut().takes = bytes;
    }

    /// Hyper writes as much of a frame as goes; gives the rest.
    fn write<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        let waker = noop_waker();
        let context = &mut Context::from_waker(&waker);
        while !bytes.is_empty() {
            match Pin::new(&mut *self).poll_write(context, bytes) {
                Poll::Ready(taken) => bytes = &bytes[taken.unwrap()..],
                Poll::Pending => break,
            }
        }
        bytes
    }

    /// Hyper reads; gives whether the connection has ended.
    fn read(&mut self) -> bool {
        let waker = noop_waker();
        let context = &mut Context::from_waker(&waker);
        let mut space = [0; 64];
        let read = Pin::new(self).poll_read(context, &mut ReadBuf::new(&mut space));
        read.is_ready()
    }

    fn taken(&self) -> &[u8] {
        &self.stream.get_ref().taken
    }
}

#[test]
fn a_goodbye_waits_until_the_frame_before_it_is_whole() {
    for taken in 0..=PING.len() {
        let mut wire = at_rest();
        wire.takes(taken);
        let rest = wire.write(&PING);
        wire.activity.say_goodbye();
        wire.takes(100);
        let before = wire.read();
        assert_eq!(before, taken == 0 || taken == PING.len(), "after {taken}");
        wire.write(rest);
        assert!(wire.read(), "after {taken}");
        let order = match taken {
            0 => [GOODBYE, PING],
            _ => [PING, GOODBYE],
        };
        assert_eq!(wire.taken(), order.concat(), "after {taken}");
    }
}

#[test]
fn no_frame_stands_in_the_middle_of_a_goodbye() {
    for taken in 0..=GOODBYE.len() {
        let mut wire = at_rest();
        wire.activity.say_goodbye();
        wire.takes(taken);
        assert_eq!(wire.read(), taken == GOODBYE.len());
        wire.takes(100);
        assert!(wire.write(&PING).is_empty());
        assert!(wire.read());
        assert_eq!(
            wire.taken(),
            [GOODBYE, PING].concat(),
            "the client took {taken}"
        );
    }
}

/// The bytes of a head of 60 KiB that does not end, as hyper reads them where others hold so much of the room for large heads, and
/// the largest read of them.
async fn read(held: usize) -> (Vec<u8>, usize) {
    let (mut client, node) = duplex(256 << 10);
    let head = [b"GET / HTTP/1.1\r\nA: ", "x".repeat(60 << 10).as_bytes()].concat();
    client.write_all(&head).await.unwrap();
    drop(client);
    let mark = ConnectionMark::new("192.0.2.1:1".parse().unwrap(), 1);
    let room = Pool::shared("connections", 64 << 10);
    let _held = room.try_reserve([192, 0, 2, 2].into(), held).unwrap();
    let metrics = Metrics::new().unwrap().connections.at(CountedPort::Http);
    let mut wire = Wire::new(
        node,
        Arc::new(Activity::new(mark)),
        HeadRoom::new(room, &[]),
        32,
        metrics,
    );
    let (mut all, mut largest) = (Vec::new(), 0);
    loop {
        let mut piece = BytesMut::with_capacity(SMALL_HEAD_BYTES);
        let bytes = wire.read_buf(&mut piece).await.unwrap();
        largest = largest.max(bytes);
        all.extend_from_slice(&piece);
        if bytes == 0 || piece == NO_HEAD {
            return (all, largest);
        }
    }
}

#[tokio::test]
async fn no_read_of_a_large_head_fills_hypers_buffer_so_it_takes_no_more_than_was_reserved() {
    let (all, largest) = read(0).await;
    assert!(all.len() > 60 << 10, "{}", all.len());
    assert!(largest < SMALL_HEAD_BYTES, "{largest}");
}

#[tokio::test]
async fn a_large_head_without_room_is_refused_before_hyper_makes_room_for_more_of_it() {
    let (all, _) = read(64 << 10).await;
    assert_eq!(all, NO_HEAD);
}

/// A head of 20 KiB, and behind it one of 60 KiB that does not end, where others take so much of the room for large heads once
/// the first is answered: what is read of the second until it is refused or at its end, and what this connection holds then.
async fn read_pipelined(held: usize) -> (usize, usize) {
    let (mut client, node) = duplex(256 << 10);
    let large = |kibibytes: usize| format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(kibibytes << 10));
    let heads = [large(20), "\r\n\r\n".to_owned(), large(60)].concat();
    client.write_all(heads.as_bytes()).await.unwrap();
    drop(client);
    let mark = ConnectionMark::new("192.0.2.1:1".parse().unwrap(), 1);
    let activity = Arc::new(Activity::new(mark));
    let room = Pool::shared("connections", 64 << 10);
    let metrics = Metrics::new().unwrap().connections.at(CountedPort::Http);
    let mut wire = Wire::new(
        node,
        Arc::clone(&activity),
        HeadRoom::new(room.clone(), &[]),
        32,
        metrics,
    );
    let mut first = Vec::new();
    while !ends_head(&first) {
        let mut piece = BytesMut::with_capacity(SMALL_HEAD_BYTES);
        assert!(wire.read_buf(&mut piece).await.unwrap() > 0);
        first.extend_from_slice(&piece);
    }
    // As the edge does it, when hyper has parsed the head.
    let request = activity.begin();
    activity.give_head_room_back();
    drop(request);
    assert_eq!(room.in_use().reserved, 0);
    let _others = room.try_reserve([192, 0, 2, 2].into(), held).unwrap();
    let mut second = 0;
    loop {
        let mut piece = BytesMut::with_capacity(SMALL_HEAD_BYTES);
        let bytes = wire.read_buf(&mut piece).await.unwrap();
        if bytes == 0 || piece == NO_HEAD {
            return (second, room.in_use().reserved - held);
        }
        second += bytes;
    }
}

#[tokio::test]
async fn a_pipelined_head_does_not_grow_on_the_room_of_the_head_before() {
    let (second, reserved) = read_pipelined(64 << 10).await;
    assert!(second < SMALL_HEAD_BYTES, "{second} bytes without room");
    assert_eq!(reserved, 0);
    let (second, reserved) = read_pipelined(0).await;
    assert!(second > 50 << 10, "{second} bytes with room");
    assert_eq!(reserved, MAX_HEAD_BYTES - SMALL_HEAD_BYTES);
}
