//! The bytes that TLS reads before they are complete. Rustls joins the parts of a message up to 64 KiB, and of a record up to
//! 18 KiB; a client that sends only the beginning must not fill the memory with it.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::{
    head_room::HeadRoom,
    limits::{MAX_HEAD_BYTES, MAX_SECRET_BYTES, MAX_SECRETS_BYTES, SMALL_HEAD_BYTES},
};
use crate::budget::Reservation;

/// The bytes of one client below TLS: a handshake is bounded and charged as heads are.
#[derive(Debug)]
pub(super) struct Intake<T> {
    stream: T,
    address: IpAddr,
    room: HeadRoom,
    /// Bytes since the last complete part: since the beginning, or since the last plaintext.
    senseless: usize,
    /// How many these may be now.
    most: usize,
    /// Room for more than most clients need.
    growth: Option<Reservation>,
}

impl<T> Intake<T> {
    /// A client that has sent nothing yet.
    pub(super) fn new(stream: T, address: IpAddr, room: HeadRoom) -> Self {
        Self {
            stream,
            address,
            room,
            senseless: 0,
            most: SMALL_HEAD_BYTES,
            growth: None,
        }
    }

    fn shaken(&mut self) {
        self.growth = None;
        self.senseless = 0;
        self.most = MAX_SECRET_BYTES;
    }

    /// How many bytes may be read now.
    fn allowed(&mut self) -> io::Result<usize> {
        if self.senseless >= self.most {
            if self.growth.is_some() {
                return Err(io::Error::other("what came over TLS has no end"));
            }
            let growth = self.room.for_growth(self.address);
            let refused = || io::Error::other("what came over TLS is more than there is room for");
            self.growth = Some(growth.ok_or_else(refused)?);
            self.most = if self.most == SMALL_HEAD_BYTES {
                MAX_HEAD_BYTES
            } else {
                MAX_SECRETS_BYTES
            };
        }
        Ok(self.most - self.senseless)
    }

    /// Something of it can be read, so the handshake is over, and what came is complete.
    fn made_sense(&mut self) {
        self.senseless = 0;
        if self.growth.is_some() {
            self.shaken();
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Intake<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let intake = self.get_mut();
        let allowed = intake.allowed()?.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(allowed));
        ready!(Pin::new(&mut intake.stream).poll_read(context, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        intake.senseless += read;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Intake<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The plaintext that is read at a time: less than a record has at most, so that no second large one is read for it.
const PIECE: usize = 4 << 10;

/// The bytes of one client above TLS.
#[derive(Debug)]
pub(super) struct Plaintext<T>(TlsStream<Intake<T>>);

impl<T> Plaintext<T> {
    /// Wraps a client whose handshake is done.
    pub(super) fn new(mut stream: TlsStream<Intake<T>>) -> Self {
        stream.get_mut().0.shaken();
        Self(stream)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Plaintext<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // `tokio-rustls` reads until this is full, one record after the other, and only then it counts as readable.
        let room = buffer.remaining().min(PIECE);
        let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.0).poll_read(context, &mut piece))?;
        let read = piece.filled().len();
        buffer.advance(read);
        self.0.get_mut().0.made_sense();
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Plaintext<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::budget::Pool;

    /// How many bytes of an endless handshake are read, where this is the room for large ones.
    async fn taken(room: Pool) -> usize {
        let (mut client, node) = duplex(256 << 10);
        client.write_all(&vec![0; 100 << 10]).await.unwrap();
        let mut intake = Intake::new(node, [192, 0, 2, 1].into(), HeadRoom::new(room, &[]));
        let mut read = Vec::new();
        intake.read_to_end(&mut read).await.unwrap_err();
        read.len()
    }

    #[tokio::test]
    async fn a_handshake_grows_beyond_eight_kibibytes_where_there_is_room_and_never_beyond_64() {
        let room = Pool::shared("connections", MAX_HEAD_BYTES);
        assert_eq!(taken(room.clone()).await, MAX_HEAD_BYTES);
        assert_eq!(room.in_use().reserved, 0, "it is given back");
        let _held = room.try_reserve([192, 0, 2, 2].into(), MAX_HEAD_BYTES);
        assert_eq!(taken(room).await, SMALL_HEAD_BYTES);
    }
}
