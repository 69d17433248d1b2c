//! Bodies that are sent while a blocking thread still makes them.

use std::{
    collections::VecDeque,
    io::{Error, ErrorKind},
    pin::pin,
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};

use super::untaken::Streamed;
use crate::{
    budget::{Window, WindowPart},
    config::Timeouts,
};

/// What is handed over. A body is whole only with its end: a channel that just closes is a body that broke off.
enum Part {
    Chunk(VecDeque<Bytes>),
    End,
}

/// Why a client does not get the rest of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::api) enum BrokenOff {
    #[error("the client does not read")]
    Stalled,
    #[error("all of it takes too long; the client can ask for pages")]
    TooSlow,
    #[error("the client went away")]
    Gone,
    #[error("one state of the store was read for too long; the client can ask for pages")]
    ReadTooLong,
    #[error("a value is not readable")]
    Unreadable,
    /// Only where another node has what was verified before.
    #[error("a value cannot be had any more")]
    ValueGone,
}

/// The side that makes the body.
pub(in crate::api) struct Sender {
    parts: mpsc::Sender<Part>,
    streamed: Streamed,
    stall: Duration,
    deadline: Instant,
    read_until: Option<Instant>,
}

/// Both sides. Without the end the body fails, so that half of it is not taken for all of it.
pub(in crate::api) fn stream(timeouts: Timeouts, streamed: Streamed) -> (Sender, Body) {
    let (parts, received) = mpsc::channel(1);
    let sender = Sender {
        parts,
        streamed,
        stall: timeouts.stall,
        deadline: Instant::now() + timeouts.list,
        read_until: None,
    };
    let begin = (Some(received), VecDeque::new());
    let chunks = futures::stream::unfold(begin, async |(received, mut chunk)| {
        let mut received: mpsc::Receiver<Part> = received?;
        loop {
            if let Some(piece) = chunk.pop_front() {
                return Some((Ok(piece), (Some(received), chunk)));
            }
            match received.recv().await {
                Some(Part::Chunk(next)) => chunk = next,
                Some(Part::End) => return None,
                None => {
                    let broken_off = Error::from(ErrorKind::ConnectionAborted);
                    return Some((Err(broken_off), (None, chunk)));
                }
            }
        }
    });
    (sender, Body::from_stream(chunks))
}

impl Sender {
    /// Waits no longer than this for the client, while a state of the store is kept for it; `None` for as long as ever.
    pub(in crate::api) fn read_until(&mut self, end: Option<Instant>) {
        self.read_until = end;
    }

    /// Hands some text over with the memory that it is charged with, or says why the client does not get it.
    pub(in crate::api) async fn send<R>(&self, text: String, room: R) -> Result<(), BrokenOff>
    where
        R: Send + Sync + 'static,
    {
        self.hand_over(Part::Chunk(self.streamed.chunk(text, room)))
            .await
    }

    /// Waits until the client has taken so much that there is room for the next text.
    pub(in crate::api) async fn room(
        &self,
        window: &Window,
        bytes: usize,
    ) -> Result<WindowPart, BrokenOff> {
        self.in_time(window.part(bytes)).await
    }

    /// Says that this was all.
    pub(in crate::api) async fn end(&self) -> Result<(), BrokenOff> {
        self.hand_over(Part::End).await
    }

    async fn hand_over(&self, part: Part) -> Result<(), BrokenOff> {
        let sent = self.in_time(self.parts.send(part)).await?;
        sent.map_err(|_| BrokenOff::Gone)
    }

    /// What the client lets happen, or why it is waited for no longer. Who takes a large chunk slowly is waited for.
    async fn in_time<T>(&self, act: impl Future<Output = T>) -> Result<T, BrokenOff> {
        let mut act = pin!(act);
        loop {
            let (limit, reason) = self.limit();
            if limit.is_zero() {
                return Err(reason);
            }
            if let Ok(done) = timeout(limit, &mut act).await {
                return Ok(done);
            }
        }
    }

    /// How much longer the client is waited for, if it takes nothing meanwhile, and why no longer.
    fn limit(&self) -> (Duration, BrokenOff) {
        let until = |end: Instant| end.saturating_duration_since(Instant::now());
        let stall = self.stall.saturating_sub(self.streamed.idle());
        let read = self
            .read_until
            .map(|end| (until(end), BrokenOff::ReadTooLong));
        let whole = (until(self.deadline), BrokenOff::TooSlow);
        [Some((stall, BrokenOff::Stalled)), read, Some(whole)]
            .into_iter()
            .flatten()
            .min_by_key(|(limit, _)| *limit)
            .unwrap_or(whole)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    fn timeouts(stall: u64, list: u64) -> Timeouts {
        Timeouts {
            stall: Duration::from_millis(stall),
            list: Duration::from_millis(list),
            ..Timeouts::default()
        }
    }

    #[tokio::test]
    async fn a_body_is_whole_only_with_its_end() {
        for ended in [true, false] {
            let (sender, body) = stream(Timeouts::default(), Streamed::unwatched());
            let sending = tokio::spawn(async move {
                sender.send("[".to_owned(), ()).await.unwrap();
                sender.send("]".to_owned(), ()).await.unwrap();
                if ended {
                    sender.end().await.unwrap();
                }
            });
            let received = to_bytes(body, 10).await;
            assert_eq!(received.is_ok(), ended);
            sending.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_reader_that_stalls_too_long_and_resumes_does_not_take_half_for_all() {
        let (sender, body) = stream(timeouts(50, 10_000), Streamed::unwatched());
        let sent = tokio::spawn(async move {
            sender.send("[1".to_owned(), ()).await?;
            sender.send(",2".to_owned(), ()).await?;
            sender.send("]".to_owned(), ()).await?;
            sender.end().await
        });
        assert_eq!(sent.await.unwrap(), Err(BrokenOff::Stalled));
        to_bytes(body, 10).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_reader_that_takes_a_large_chunk_in_small_parts_is_waited_for() {
        const PARTS: usize = 12;
        let (sender, body) = stream(timeouts(400, 60_000), Streamed::unwatched());
        let sent = tokio::spawn(async move {
            sender.send("1".repeat(PARTS * (16 << 10)), ()).await?;
            sender.send("2".to_owned(), ()).await?;
            sender.send("3".to_owned(), ()).await?;
            sender.end().await
        });
        let mut chunks = body.into_data_stream();
        let (mut parts, began) = (0, Instant::now());
        while let Some(part) = futures::StreamExt::next(&mut chunks).await {
            parts += 1;
            drop(part.unwrap());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!((sent.await.unwrap(), parts), (Ok(()), PARTS + 2));
        assert!(
            began.elapsed() > Duration::from_millis(400),
            "all of it takes longer than a stall"
        );
    }

    #[tokio::test]
    async fn a_reader_that_never_quite_stalls_is_cut_off_in_the_end() {
        let (sender, body) = stream(timeouts(10_000, 100), Streamed::unwatched());
        let sent = tokio::spawn(async move {
            loop {
                sender.send("1,".to_owned(), ()).await?;
            }
        });
        let mut chunks = body.into_data_stream();
        let slow_reader = async {
            while let Some(Ok(_)) = futures::StreamExt::next(&mut chunks).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        slow_reader.await;
        let sent: Result<(), _> = sent.await.unwrap();
        assert_eq!(sent, Err(BrokenOff::TooSlow));
    }
}
