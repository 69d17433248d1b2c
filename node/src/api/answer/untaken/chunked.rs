//! Text that is written in pieces, so that it never has to be copied to grow, and leaves the memory piece by piece.

use std::fmt;

use bytes::Bytes;

use crate::budget::Reservation;

/// The size of a piece, in bytes.
const PIECE: usize = 16 << 10;

/// A text that grows within its reservation.
#[derive(Debug)]
pub(in crate::api) struct ChunkedText {
    full: Vec<String>,
    last: String,
    room: Reservation,
}

impl ChunkedText {
    /// An empty text, for which there is room already.
    pub(in crate::api) fn new(room: Reservation) -> Self {
        Self {
            full: Vec::new(),
            last: String::new(),
            room,
        }
    }

    /// What a text of so many bytes takes, in bytes: whole pieces, and one for the ends of characters that do not fit.
    pub(in crate::api) const fn room_for(bytes: usize) -> usize {
        (bytes / PIECE).saturating_add(2).saturating_mul(PIECE)
    }

    /// The pieces between a head and a tail, each with its own part of the reservation; what was reserved too much is given
    /// back.
    pub(in crate::api) fn into_pieces(
        self,
        head: String,
        tail: String,
    ) -> Vec<(Bytes, Reservation)> {
        let Self {
            full,
            last,
            mut room,
        } = self;
        let pieces = std::iter::once(head).chain(full).chain([last, tail]);
        pieces
            .filter(|piece| !piece.is_empty())
            .map(|piece| {
                let part = room.split(piece.capacity());
                (Bytes::from(piece), part)
            })
            .collect()
    }

    /// Makes room for a piece.
    fn begin_piece(&mut self) -> fmt::Result {
        let full = std::mem::take(&mut self.last);
        if !full.is_empty() {
            self.full.push(full);
        }
        let needed = (self.full.len() + 1) * PIECE;
        if needed > self.room.bytes() {
            self.room
                .grow(needed - self.room.bytes())
                .map_err(|_| fmt::Error)?;
        }
        self.last = String::with_capacity(PIECE);
        Ok(())
    }
}

impl fmt::Write for ChunkedText {
    fn write_str(&mut self, mut text: &str) -> fmt::Result {
        while !text.is_empty() {
            let free = self.last.capacity() - self.last.len();
            let fits = (0..=free.min(text.len()))
                .rev()
                .find(|at| text.is_char_boundary(*at))
                .unwrap_or(0);
            let (now, later) = text.split_at_checked(fits).unwrap_or((text, ""));
            self.last.push_str(now);
            text = later;
            if !text.is_empty() {
                self.begin_piece()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use fmt::Write as _;
    use proptest::prelude::*;

    use super::*;
    use crate::budget::Pool;

    proptest! {
        #[test]
        fn pieces_are_the_text(parts in proptest::collection::vec("[a€😀]{0,9000}", 0..8)) {
            let pool = Pool::shared("tests", 1 << 20);
            let room = pool.try_reserve([192, 0, 2, 1].into(), 1000).unwrap();
            let mut text = ChunkedText::new(room);
            for part in &parts {
                text.write_str(part).unwrap();
            }
            let pieces = text.into_pieces("[".to_owned(), "]".to_owned());
            let all: Vec<u8> = pieces.iter().flat_map(|(piece, _)| piece.to_vec()).collect();
            prop_assert_eq!(String::from_utf8(all).unwrap(), format!("[{}]", parts.concat()));
            let reserved: usize = pieces.iter().map(|(_, room)| room.bytes()).sum();
            prop_assert_eq!(pool.in_use().reserved, reserved);
            drop(pieces);
            prop_assert_eq!(pool.in_use().reserved, 0);
        }
    }

    #[test]
    fn a_text_never_grows_in_the_room_that_is_reserved_for_it() {
        for bytes in [1, PIECE - 1, PIECE, 1_000_000, 4_194_303] {
            let room = ChunkedText::room_for(bytes);
            let pool = Pool::shared("tests", room);
            let reservation = pool.try_reserve([192, 0, 2, 1].into(), room).unwrap();
            let mut text = ChunkedText::new(reservation);
            text.write_str(&"€".repeat(bytes / 3)).unwrap();
            assert_eq!(pool.in_use().refused, 0);
        }
    }

    #[test]
    fn a_text_does_not_outgrow_its_share() {
        let pool = Pool::shared("tests", 3 * PIECE);
        let room = pool.try_reserve([192, 0, 2, 1].into(), PIECE).unwrap();
        let mut text = ChunkedText::new(room);
        text.write_str(&"x".repeat(3 * PIECE)).unwrap();
        text.write_str("x").unwrap_err();
    }
}
