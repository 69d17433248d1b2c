//! Bodies that are sent while a blocking thread still makes them.

use std::{
    io::{Error, ErrorKind},
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};

use super::answers::Streamed;
use crate::{budget::Reservation, config::Patience};

/// What hyper gets at a time, in bytes: it may hold one such piece for each stream whose client takes nothing.
const PIECE: usize = 16 << 10;

/// What is handed over. A body is whole only with its end: a channel that just closes is a body that broke off.
enum Part {
    Chunk(Bytes),
    End,
}

/// The blocking side.
pub(super) struct Sender {
    parts: mpsc::Sender<Part>,
    streamed: Streamed,
    stall: Duration,
    deadline: Instant,
}

/// Both sides. Without the end the body fails, so that half of it is not taken for all of it.
pub(super) fn stream(patience: Patience, streamed: Streamed) -> (Sender, Body) {
    let (parts, received) = mpsc::channel(1);
    let sender = Sender {
        parts,
        streamed,
        stall: patience.stall,
        deadline: Instant::now() + patience.list,
    };
    let begin = (Some(received), Bytes::new());
    let chunks = futures::stream::unfold(begin, async |(received, mut chunk)| {
        let mut received: mpsc::Receiver<Part> = received?;
        while chunk.is_empty() {
            match received.recv().await {
                Some(Part::Chunk(next)) => chunk = next,
                Some(Part::End) => return None,
                None => {
                    let broken_off = Error::from(ErrorKind::ConnectionAborted);
                    return Some((Err(broken_off), (None, chunk)));
                }
            }
        }
        let piece = chunk.split_to(chunk.len().min(PIECE));
        Some((Ok(piece), (Some(received), chunk)))
    });
    (sender, Body::from_stream(chunks))
}

impl Sender {
    /// Hands some text over with the memory that it is charged with, or says why the client does not get it.
    pub(super) fn send(&self, text: String, room: Option<Reservation>) -> Result<(), &'static str> {
        self.hand_over(Part::Chunk(self.streamed.chunk(text, room)))
    }

    /// Says that this was all.
    pub(super) fn end(&self) -> Result<(), &'static str> {
        self.hand_over(Part::End)
    }

    fn hand_over(&self, part: Part) -> Result<(), &'static str> {
        const TOO_SLOW: &str = "the client takes too long for all of it";
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(TOO_SLOW);
        }
        let sent = tokio::runtime::Handle::current()
            .block_on(timeout(self.stall.min(left), self.parts.send(part)));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err("the client went away"),
            Err(_) if left <= self.stall => Err(TOO_SLOW),
            Err(_) => Err("the client does not read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use tokio::task::spawn_blocking;

    use super::*;

    fn patience(stall: u64, list: u64) -> Patience {
        Patience {
            stall: Duration::from_millis(stall),
            list: Duration::from_millis(list),
            ..Patience::default()
        }
    }

    #[tokio::test]
    async fn a_body_is_whole_only_with_its_end() {
        for ended in [true, false] {
            let (sender, body) = stream(Patience::default(), Streamed::unwatched());
            let sending = spawn_blocking(move || {
                sender.send("[".to_owned(), None).unwrap();
                sender.send("]".to_owned(), None).unwrap();
                if ended {
                    sender.end().unwrap();
                }
            });
            let received = to_bytes(body, 10).await;
            assert_eq!(received.is_ok(), ended);
            sending.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_reader_that_stalls_too_long_and_resumes_does_not_take_half_for_all() {
        let (sender, body) = stream(patience(50, 10_000), Streamed::unwatched());
        let sent = spawn_blocking(move || {
            sender.send("[1".to_owned(), None)?;
            sender.send(",2".to_owned(), None)?;
            sender.send("]".to_owned(), None)?;
            sender.end()
        });
        assert_eq!(sent.await.unwrap(), Err("the client does not read"));
        to_bytes(body, 10).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_reader_that_never_quite_stalls_is_cut_off_in_the_end() {
        let (sender, body) = stream(patience(10_000, 100), Streamed::unwatched());
        let sent = spawn_blocking(move || {
            loop {
                sender.send("1,".to_owned(), None)?;
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
        assert_eq!(sent, Err("the client takes too long for all of it"));
    }
}
