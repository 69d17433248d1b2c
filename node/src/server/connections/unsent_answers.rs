//! Answers of HTTP/2 of which the client has only the beginning: their requests are over here, and their last bytes wait for
//! the client's window.

use std::collections::VecDeque;

use super::frames::{DATA, FrameHeads, HEADERS, RST_STREAM};

const END_STREAM: u8 = 1;

/// Follows the frames that a node sends.
#[derive(Debug)]
pub(super) struct UnsentAnswers {
    heads: FrameHeads,
    /// Streams that are open at a time, at most.
    most: usize,
    /// Streams whose answer has begun.
    begun: Vec<u32>,
    /// Streams that the client has reset last, before their answers began. The head of such an answer may wait in h2 to be sent,
    /// and nothing follows it.
    reset: VecDeque<u32>,
}

impl UnsentAnswers {
    /// Of a connection with so many streams at a time.
    pub(super) fn new(streams: u32) -> Self {
        Self {
            heads: FrameHeads::after(0),
            most: streams as usize,
            begun: Vec::new(),
            reset: VecDeque::new(),
        }
    }

    /// These bytes have been sent.
    pub(super) fn sent(&mut self, mut bytes: &[u8]) {
        while let Some(head) = self.heads.next(&mut bytes) {
            match head.kind {
                RST_STREAM => self.forget(head.stream),
                DATA | HEADERS if head.flags & END_STREAM != 0 => self.forget(head.stream),
                HEADERS => self.begin(head.stream),
                _ => {}
            }
        }
    }

    fn begin(&mut self, stream: u32) {
        if self.begun.contains(&stream) || self.reset.contains(&stream) {
            return;
        }
        // No more are open at a time: the client has ended the first one while its head was on its way.
        if self.begun.len() >= self.most {
            self.begun.remove(0);
        }
        self.begun.push(stream);
    }

    /// The client has reset this stream.
    pub(super) fn is_reset(&mut self, stream: u32) {
        if self.begun.contains(&stream) {
            self.forget(stream);
            return;
        }
        if self.reset.len() >= self.most {
            self.reset.pop_front();
        }
        self.reset.push_back(stream);
    }

    /// Whether the last frame was sent as a whole.
    pub(super) fn is_between_frames(&self) -> bool {
        self.heads.is_between()
    }

    /// This stream has ended.
    fn forget(&mut self, stream: u32) {
        self.begun.retain(|begun| *begun != stream);
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
        frame.extend(std::iter::repeat_n(0xff, length.into()));
        frame
    }

    #[test]
    fn an_answer_is_unsent_from_its_head_to_its_last_frame_however_the_bytes_go() {
        let began = [
            frame(4, 0, 0, 6),
            frame(HEADERS, 4, 1, 20),
            frame(HEADERS, 4 | END_STREAM, 3, 20),
            frame(DATA, 0, 1, 50),
        ];
        let (began, ended) = (began.concat(), frame(DATA, END_STREAM, 1, 0));
        for piece in [1, 2, 7, 9, 64, 200] {
            let mut answers = UnsentAnswers::new(32);
            assert!(answers.is_empty());
            began.chunks(piece).for_each(|part| answers.sent(part));
            assert!(!answers.is_empty(), "in pieces of {piece}");
            ended.chunks(piece).for_each(|part| answers.sent(part));
            assert!(answers.is_empty(), "in pieces of {piece}");
        }
    }

    #[test]
    fn a_stream_that_one_side_resets_has_no_answer_any_more() {
        let mut answers = UnsentAnswers::new(32);
        answers.sent(&frame(HEADERS, 4, 1, 20));
        answers.sent(&frame(HEADERS, 4, 3, 20));
        answers.is_reset(1);
        assert!(!answers.is_empty());
        answers.sent(&frame(RST_STREAM, 0, 3, 4));
        assert!(answers.is_empty());
    }

    #[test]
    fn a_head_that_is_sent_after_its_stream_was_reset_begins_no_answer() {
        let mut answers = UnsentAnswers::new(32);
        answers.is_reset(1);
        answers.sent(&frame(HEADERS, 4, 1, 20));
        assert!(answers.is_empty());
        answers.sent(&frame(HEADERS, 4, 3, 20));
        assert!(!answers.is_empty());
        answers.is_reset(3);
        // However many streams are reset.
        (5..200)
            .step_by(2)
            .for_each(|stream| answers.is_reset(stream));
        assert_eq!(answers.reset.len(), 32);
        assert!(answers.is_empty());
    }

    #[test]
    fn streams_that_were_reset_in_the_middle_of_their_heads_take_no_more_than_one_connection_has() {
        let mut answers = UnsentAnswers::new(32);
        for stream in (1..200).step_by(2) {
            answers.sent(&frame(HEADERS, 4, stream, 0));
        }
        assert_eq!(answers.begun.len(), 32);
    }
}
