//! Reads rows as COPY text: one object, range after range, frame after frame, each frame decoded whole before it is given
//! out. It knows no connection.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};

use crate::compress::FrameDecoder;
use crate::error::{Error, Result};
use crate::index::RowsEntry;
use crate::read::ObjectReader;

/// An object of rows being read.
pub struct RowsReader {
    object: ObjectReader,
    decoder: FrameDecoder,
    entries: VecDeque<RowsEntry>,
    current: Option<RowsEntry>,
    chunk: Bytes,
    /// Stored bytes and rows of the current range that were taken.
    taken: u64,
    rows: u64,
}

impl RowsReader {
    pub(crate) fn new(object: ObjectReader, mut entries: Vec<RowsEntry>) -> Result<Self> {
        entries.sort_by_key(|entry| entry.offset);
        let mut end = 0;
        for entry in &entries {
            if entry.object != object.object.key || entry.offset != end {
                return Err(object.bad(format!("the index leaves a gap or an overlap at byte {end}")));
            }
            end = end.checked_add(entry.length).ok_or_else(|| object.bad("the index is wrong".to_owned()))?;
        }
        if end != object.object.bytes {
            return Err(object.bad(format!("the index covers {end} bytes of {}", object.object.bytes)));
        }
        let decoder = FrameDecoder::new().map_err(|error| object.bad(error.to_string()))?;
        Ok(Self {
            object,
            decoder,
            entries: entries.into(),
            current: None,
            chunk: Bytes::new(),
            taken: 0,
            rows: 0,
        })
    }

    /// Goes to the next range; what was left of the one before is read and checked on the way. None once all was read and
    /// the object's SHA-256 is right.
    pub async fn next_range(&mut self) -> Result<Option<&RowsEntry>> {
        while self.next_frame().await?.is_some() {}
        self.taken = 0;
        self.rows = 0;
        self.current = self.entries.pop_front();
        if self.current.is_none() && (self.object.next().await?.is_some() || !self.chunk.is_empty()) {
            return Err(self.object.bad("there is more in it than the index says".to_owned()));
        }
        Ok(self.current.as_ref())
    }

    /// The next frame's text; none at the end of the range.
    pub async fn next_frame(&mut self) -> Result<Option<Bytes>> {
        let Some(length) = self.current.as_ref().map(|entry| entry.length) else { return Ok(None) };
        while self.taken < length {
            if self.chunk.is_empty() {
                self.chunk = self
                    .object
                    .next()
                    .await?
                    .ok_or_else(|| self.object.bad("it ends within a range".to_owned()))?;
            }
            let left = usize::try_from(length - self.taken).unwrap_or(usize::MAX).min(self.chunk.len());
            let (taken, text) = self
                .decoder
                .push(&self.chunk[..left])
                .map_err(|error| self.object.bad(format!("a frame cannot be decoded ({error})")))?;
            self.chunk.advance(taken);
            self.taken += taken as u64;
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                self.rows += text.iter().filter(|byte| **byte == b'\n').count() as u64;
                return Ok(Some(text.into()));
            }
        }
        self.range_ended()?;
        Ok(None)
    }

    fn range_ended(&self) -> Result<(), Error> {
        let Some(entry) = &self.current else { return Ok(()) };
        if self.decoder.inside() {
            return Err(self.object.bad("a range ends within a frame".to_owned()));
        }
        if self.rows != entry.rows {
            return Err(self.object.bad(format!(
                "{}.{} has {} rows there, and the index says {}",
                entry.schema, entry.table, self.rows, entry.rows
            )));
        }
        Ok(())
    }
}
