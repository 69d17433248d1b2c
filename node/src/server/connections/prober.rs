//! Bytes of a prober: hyper's own refusals become ours.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::refusal::Refusal;

/// The stream of one prober. An answer is held until it is whole, so that a refusal of hyper's own, which has no body, becomes ours.
#[derive(Debug)]
pub(super) struct Prober {
    stream: TcpStream,
    answer: Vec<u8>,
    sent: usize,
}

impl Prober {
    /// A prober without an answer yet.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            answer: Vec::new(),
            sent: 0,
        }
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.sent == 0
            && let Some((begin, refusal)) = Refusal::of_hyper(&self.answer)
        {
            self.answer.truncate(begin);
            self.answer.extend(refusal.to_bytes());
        }
        while let Some(rest) = self.answer.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let more = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if more == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += more;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Prober {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Prober {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answer.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
