//! What the first pass over a list finds.

use std::ops::ControlFlow;

use super::{CHUNK, Names, ONE_PASS};
use crate::{api::extract::page::Cursor, domain::Timestamp, store::ListedEntry};

/// What was found so far, and the text of what fits into the buffer.
pub(super) struct FirstPass {
    pub(super) buffer: String,
    pub(super) opened: usize,
    pub(super) skipped: usize,
    /// Whether something of the opened ones is older than the key.
    pub(super) older: bool,
    /// Skipped after the last entry of the page: the next page counts them, if there is one that begins after that entry.
    trailing: usize,
    /// How many of the opened entries are in the buffer.
    pub(super) buffered: usize,
    /// The last entry whose text was wanted: it is in the buffer, or was passed over.
    pub(super) last_buffered: Option<Names>,
    /// How many were passed over although the key opens them, and how many of these the second pass meets again.
    passed_over: usize,
    met_again: usize,
    /// There is no room for more in the buffer.
    closed: bool,
    /// The size of the largest entry in the buffer, and of the largest opened one that is not in it.
    largest_buffered: usize,
    pub(super) largest_left: usize,
    /// The last entry of the page, and whether another follows.
    last_opened: Option<Cursor>,
    more: bool,
}

/// What is to be done with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its text goes to the buffer.
    Text,
    /// Whether the key opens it.
    Verdict,
}

impl FirstPass {
    pub(super) fn new() -> Self {
        let mut buffer = String::with_capacity(CHUNK);
        buffer.push('[');
        Self {
            buffer,
            opened: 0,
            skipped: 0,
            older: false,
            trailing: 0,
            buffered: 0,
            last_buffered: None,
            passed_over: 0,
            met_again: 0,
            closed: false,
            largest_buffered: 0,
            largest_left: 0,
            last_opened: None,
            more: false,
        }
    }

    fn is_full(&self, limit: Option<usize>) -> bool {
        limit == Some(self.opened)
    }

    /// What is wanted of the next entry.
    pub(super) fn wants(&self, limit: Option<usize>) -> Wanted {
        let buffers = !self.closed
            && !self.is_full(limit)
            && self.buffered == self.opened
            && self.buffer.len() < ONE_PASS;
        if buffers {
            Wanted::Text
        } else {
            Wanted::Verdict
        }
    }

    /// Nothing more goes to the buffer.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Gives the memory of the buffer back: the second pass begins where this one began.
    pub(super) fn drop_buffer(&mut self) {
        // A new one: clearing it would keep its memory.
        self.buffer = String::from("[");
        self.buffered = 0;
        self.last_buffered = None;
        self.met_again = self.passed_over;
        self.largest_left = self.largest_left.max(self.largest_buffered);
    }

    /// Notes an entry of so many bytes that the key opens; its text is in the buffer where that was wanted. Breaks after the page.
    pub(super) fn opens(
        &mut self,
        entry: ListedEntry<'_>,
        wanted: Wanted,
        size: usize,
        limit: Option<usize>,
        since: Timestamp,
    ) -> ControlFlow<()> {
        if self.is_full(limit) {
            self.more = true;
            return ControlFlow::Break(());
        }
        self.opened += 1;
        self.older |= entry.created_at < since;
        if wanted == Wanted::Text {
            self.buffered += 1;
            self.puts_behind(entry, size);
        } else {
            self.largest_left = self.largest_left.max(size);
        }
        if self.is_full(limit) {
            self.last_opened = Some(Cursor::of(entry));
        }
        ControlFlow::Continue(())
    }

    /// Notes an entry that the key opens and that is damaged, whose text was wanted.
    pub(super) fn passes_over(
        &mut self,
        entry: ListedEntry<'_>,
        size: usize,
        limit: Option<usize>,
    ) {
        self.passed_over += 1;
        self.puts_behind(entry, size);
        self.skips(limit);
    }

    /// The second pass begins after this entry, unless it begins anew: then it needs room for it.
    fn puts_behind(&mut self, entry: ListedEntry<'_>, size: usize) {
        self.largest_buffered = self.largest_buffered.max(size);
        let (environment, key) = self.last_buffered.get_or_insert_default();
        entry.environment.clone_into(environment);
        entry.key.clone_into(key);
    }

    /// How many entries the second pass meets that the key opens.
    pub(super) fn left(&self) -> usize {
        self.opened - self.buffered + self.met_again
    }

    /// Notes an entry that the key does not open.
    pub(super) fn skips(&mut self, limit: Option<usize>) {
        *(if self.is_full(limit) {
            &mut self.trailing
        } else {
            &mut self.skipped
        }) += 1;
    }

    /// The pass is over; gives where the next page begins, if there is one. A page that stopped somewhere looked at all before that.
    pub(super) fn end(&mut self, stopped_at: Option<Names>) -> Option<Cursor> {
        if self.more {
            return self.last_opened.take();
        }
        self.skipped += self.trailing;
        stopped_at.map(Cursor::from)
    }
}

/// Separates an entry from the one before, in a list that begins with its bracket, or in the middle of it with nothing.
pub(super) fn separate(buffer: &mut String) {
    if buffer != "[" {
        buffer.push(',');
    }
}
