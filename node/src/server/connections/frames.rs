//! Frames of HTTP/2, as far as memory and time depend on them. Hyper keeps an incomplete frame, and a head of several frames,
//! until the rest has come, and bounds neither the time nor the memory.

use super::limits::SMALL_HEAD_BYTES;

/// The length of the client's first bytes (RFC 9113, section 3.4).
const PREFACE: usize = 24;
/// Length, type, flags and stream of a frame (RFC 9113, section 4.1).
const FRAME_HEAD: usize = 9;
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
const PUSH_PROMISE: u8 = 5;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// The largest memory of an incomplete head: h2 accepts 80 KiB of fields, as HTTP/2 counts them, and holds each with its place
/// in a map (1,900 fields of 6 bytes: 290 KiB, measured with h2 0.4).
const OPEN_HEAD_BYTES: usize = 320 << 10;

/// The part that is incomplete after some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfinished {
    Nothing,
    /// A frame of this many bytes. Frames of bodies do not count: bodies have rules of their own.
    Frame(usize),
    /// A head that goes on in further frames.
    Head,
}

impl Unfinished {
    /// Its memory beyond that of every connection, in bytes.
    pub(super) fn needs(self) -> usize {
        match self {
            Self::Frame(length) if length > SMALL_HEAD_BYTES => length,
            Self::Nothing | Self::Frame(_) => 0,
            Self::Head => OPEN_HEAD_BYTES,
        }
    }
}

/// The head of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameHead {
    length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl FrameHead {
    fn of_bytes(bytes: [u8; FRAME_HEAD]) -> Self {
        let [high, middle, low, kind, flags, stream @ ..] = bytes;
        Self {
            length: usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low),
            kind,
            flags,
            // The highest bit has no meaning.
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
        }
    }
}

/// Finds the heads of frames among the bytes of one direction.
#[derive(Debug)]
pub(super) struct FrameHeads {
    /// Bytes until the next frame begins.
    left: usize,
    head: [u8; FRAME_HEAD],
    /// Bytes of the next frame's head that have come.
    have: usize,
}

impl FrameHeads {
    /// Before the first frame come so many bytes.
    pub(super) fn after(bytes: usize) -> Self {
        Self {
            left: bytes,
            head: [0; FRAME_HEAD],
            have: 0,
        }
    }

    /// Whether the bytes so far end with a whole frame.
    pub(super) fn is_between(&self) -> bool {
        self.left == 0 && self.have == 0
    }

    /// The next head that becomes complete with these bytes. Takes away those that it has read.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<FrameHead> {
        let skipped = self.left.min(bytes.len());
        self.left -= skipped;
        *bytes = bytes.get(skipped..).unwrap_or_default();
        for place in self.head.iter_mut().skip(self.have) {
            let (first, rest) = bytes.split_first()?;
            *place = *first;
            *bytes = rest;
            self.have += 1;
        }
        self.have = 0;
        let head = FrameHead::of_bytes(self.head);
        self.left = head.length;
        Some(head)
    }
}

/// Follows the frames that a client sends.
#[derive(Debug)]
pub(super) struct Frames {
    heads: FrameHeads,
    kind: u8,
    length: usize,
    head_goes_on: bool,
    /// Whether a frame came behind the preface.
    any: bool,
    /// The last stream that a head began, and the last one whose head is whole.
    begun: u32,
    whole: u32,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            heads: FrameHeads::after(PREFACE),
            kind: DATA,
            length: 0,
            head_goes_on: false,
            any: false,
            begun: 0,
            whole: 0,
        }
    }

    /// Reads the next bytes of a connection, and returns the part that they leave incomplete. Calls `reset` with each stream
    /// that the client ends.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut reset: impl FnMut(u32)) -> Unfinished {
        while let Some(head) = self.heads.next(&mut bytes) {
            self.any = true;
            // The frame before it has ended.
            self.note_whole_head();
            self.length = head.length;
            self.kind = head.kind;
            if matches!(head.kind, HEADERS | PUSH_PROMISE | CONTINUATION) {
                self.head_goes_on = head.flags & END_HEADERS == 0;
                self.begun = self.begun.max(head.stream);
            } else if head.kind == RST_STREAM {
                reset(head.stream);
            }
        }
        if self.heads.left == 0 {
            self.note_whole_head();
        }
        if self.head_goes_on {
            Unfinished::Head
        } else if self.heads.left > 0 && self.kind != DATA {
            Unfinished::Frame(self.length)
        } else {
            Unfinished::Nothing
        }
    }

    /// How many bytes of the last frame have not come.
    pub(super) fn left(&self) -> usize {
        self.heads.left
    }

    /// The last stream whose head is whole.
    pub(super) fn whole(&self) -> u32 {
        self.whole
    }

    fn note_whole_head(&mut self) {
        if !self.head_goes_on {
            self.whole = self.begun;
        }
    }

    /// Whether the client speaks HTTP/2 for certain.
    pub(super) fn any_came(&self) -> bool {
        self.any
    }

    /// GOAWAY without an error (RFC 9113, section 6.8): the client may repeat all requests after the last one that came as a
    /// whole.
    pub(super) fn goodbye(&self) -> Vec<u8> {
        let mut frame = vec![0, 0, 8, GOAWAY, 0, 0, 0, 0, 0];
        frame.extend(self.whole.to_be_bytes());
        frame.extend([0; 4]);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.extend(std::iter::repeat_n(0xff, length.into()));
        frame
    }

    fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frames.concat());
        bytes
    }

    #[test]
    fn a_head_is_unfinished_until_a_frame_says_that_it_ends_however_the_bytes_come() {
        let bytes = connection(&[
            frame(4, 0, 6),
            frame(HEADERS, 0, 20),
            frame(CONTINUATION, 0, 0),
            frame(CONTINUATION, END_HEADERS, 30),
            frame(DATA, 1, 10),
        ]);
        // Where the head of the first frame is complete, and where the last frame is.
        let (begins, ends) = (24 + 15 + 9, 24 + 15 + 29 + 9 + 39);
        for piece in [1, 2, 7, 9, 64, bytes.len()] {
            let mut frames = Frames::new();
            let mut read = 0;
            for part in bytes.chunks(piece) {
                let unfinished = frames.read(part, |_| {});
                read += part.len();
                if (begins..ends - 30).contains(&read) {
                    assert_eq!(unfinished, Unfinished::Head, "{read} in pieces of {piece}");
                } else if read >= ends {
                    assert_eq!(
                        unfinished,
                        Unfinished::Nothing,
                        "{read} in pieces of {piece}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_frame_counts_until_it_is_whole_unless_it_is_one_of_a_body() {
        let mut following = Frames::new();
        let mut read = |bytes: &[u8]| following.read(bytes, |_| {});
        assert_eq!(read(&connection(&[])), Unfinished::Nothing);
        let large = [0, 0x40, 0, HEADERS, END_HEADERS, 0, 0, 0, 1];
        assert_eq!(read(&large), Unfinished::Frame(16 << 10));
        assert_eq!(read(&large).needs(), 16 << 10);
        assert_eq!(read(&vec![0; (16 << 10) - 9]), Unfinished::Nothing);
        let (small, rest) = (frame(HEADERS, END_HEADERS, 40), 9);
        assert_eq!(read(&small[..rest]).needs(), 0);
        assert_eq!(read(&small[rest..]), Unfinished::Nothing);
        assert_eq!(read(&frame(DATA, 0, 40)[..20]), Unfinished::Nothing);
    }

    #[test]
    fn a_goodbye_names_the_last_request_that_came_as_a_whole() {
        let mut following = Frames::new();
        let mut last = |bytes: &[u8]| {
            following.read(bytes, |_| {});
            following.goodbye()[12]
        };
        assert_eq!(last(&connection(&[])), 0);
        let head = frame(HEADERS, 0, 20);
        assert_eq!(last(&head[..15]), 0);
        assert_eq!(last(&head[15..]), 0, "it goes on");
        let end = frame(CONTINUATION, END_HEADERS, 9);
        assert_eq!(last(&end[..9]), 0);
        assert_eq!(last(&end[9..]), 1);
        let mut next = frame(HEADERS, END_HEADERS, 4);
        next[8] = 3;
        assert_eq!(last(&next[..12]), 1);
        assert_eq!(last(&next[12..]), 3);
        assert_eq!(last(&frame(DATA, 0, 4)), 3);
    }
}
