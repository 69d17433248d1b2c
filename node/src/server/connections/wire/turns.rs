//! Connections of HTTP/2 take requests by turns. Hyper takes all requests that have come while its task runs once, and makes a
//! task of each: thousands of connections with 32 requests each would come before whatever another client sends.

use std::{
    io,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::Wire;

/// Bytes that are read beyond the frame that is incomplete: enough for the request of most clients that send one at a time.
const BEYOND: usize = 256;

impl<T: AsyncRead + Unpin> Wire<T> {
    /// Reads to the end of a frame and little further. Behind a whole head other tasks run before more is read; a client whose
    /// bytes end there does not wait.
    pub(super) fn poll_read_in_turns(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.activity.turn_is_over() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let most = buffer.remaining().min(self.frames.left() + BEYOND);
        ready!(self.poll_read_up_to(most as u64, context, buffer))?;
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        let whole = self.frames.whole();
        self.follow_frames(bytes)?;
        if bytes.len() == most && self.frames.whole() != whole {
            self.activity.end_turn();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::poll_fn,
        sync::{Arc, Mutex},
    };

    use axum::body::Body;
    use http::{Request, Response};
    use hyper::{body::Incoming, service::service_fn};
    use hyper_util::rt::TokioIo;
    use tokio::{
        io::{AsyncWriteExt as _, DuplexStream, duplex},
        task::yield_now,
    };

    use super::{super::super::connection, *};
    use crate::{
        api::ConnectionMark,
        budget::Pool,
        metrics::{CountedPort, Metrics},
        server::connections::{
            activity::{Activity, Protocol},
            frames::HEADERS,
            head_room::HeadRoom,
        },
    };

    const END_STREAM_AND_HEADERS: u8 = 5;

    /// The beginning of a connection, and so many requests with heads of this many bytes at least.
    fn requests(count: u8, bytes: u8) -> Vec<u8> {
        let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        for number in 0..count {
            // GET, http and `/`; then a field that is spelled out.
            let mut head = vec![0x82, 0x86, 0x84];
            for name in [b'a', b'b', b'c'] {
                head.extend([0, 1, name, bytes / 3]);
                head.extend(vec![b'v'; usize::from(bytes / 3)]);
            }
            let [high, low] = u16::try_from(head.len()).unwrap().to_be_bytes();
            let stream = 1 + 2 * number;
            sent.extend([
                0,
                high,
                low,
                HEADERS,
                END_STREAM_AND_HEADERS,
                0,
                0,
                0,
                stream,
            ]);
            sent.extend(head);
        }
        sent
    }

    fn wire(node: DuplexStream) -> Wire<DuplexStream> {
        let peer = "192.0.2.1:1".parse().unwrap();
        let activity = Arc::new(Activity::new(ConnectionMark::new(peer, 1)));
        let room = HeadRoom::new(Pool::shared("connections", 64 << 10), &[]);
        let metrics = Metrics::new().unwrap().connections.at(CountedPort::Http);
        Wire::new(node, activity, room, 32, metrics)
    }

    /// Serves a connection whose requests are noted by its name; gives the client.
    async fn serve(name: char, sent: Vec<u8>, seen: &Arc<Mutex<String>>) -> DuplexStream {
        let (mut client, node) = duplex(64 << 10);
        client.write_all(&sent).await.unwrap();
        let wire = wire(node);
        let (activity, seen) = (Arc::clone(&wire.activity), Arc::clone(seen));
        tokio::spawn(async move {
            let answer = service_fn(move |_: Request<Incoming>| {
                seen.lock().unwrap().push(name);
                async { Ok::<_, Infallible>(Response::new(Body::empty())) }
            });
            let http = connection::http(32);
            let mut http = Box::pin(http.serve_connection(TokioIo::new(wire), answer));
            let _ = poll_fn(|context| {
                activity.begin_turn();
                http.as_mut().poll(context)
            })
            .await;
        });
        client
    }

    #[tokio::test]
    async fn one_request_is_taken_before_the_second_or_third_of_a_client_that_sent_sixteen() {
        let seen = Arc::<Mutex<String>>::default();
        let many = serve('m', requests(16, 255), &seen).await;
        let one = serve('1', requests(1, 255), &seen).await;
        while seen.lock().unwrap().len() < 17 {
            yield_now().await;
        }
        let place = seen.lock().unwrap().find('1').unwrap();
        assert!(place <= 2, "{}", seen.lock().unwrap());
        drop((many, one));
    }

    #[tokio::test]
    async fn a_client_whose_bytes_end_with_its_request_does_not_wait() {
        for bytes in [3, 30, 240, 255] {
            let (mut client, node) = duplex(64 << 10);
            client.write_all(&requests(1, bytes)).await.unwrap();
            let mut wire = wire(node);
            wire.activity.speaks(Protocol::Http2);
            let mut space = [0; 1024];
            let mut buffer = ReadBuf::new(&mut space);
            poll_fn(|context| {
                while wire.poll_read_in_turns(context, &mut buffer).is_ready() {}
                Poll::Ready(())
            })
            .await;
            assert!(!wire.activity.turn_is_over(), "{bytes}");
            assert_eq!(buffer.filled(), requests(1, bytes));
        }
    }
}
