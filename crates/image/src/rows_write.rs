//! Writes rows as COPY text: ranges of tables one after another, each a run of whole zstd frames, in objects of bounded
//! size. It knows no connection and no catalog.

use model::Object;

use crate::compress::{FRAME, FrameEncoder, MAX_FRAME};
use crate::error::{Error, Result};
use crate::index::RowsEntry;
use crate::object::Sink;
use crate::write::{ImageWriter, keys};

/// The most that frames and objects of rows hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of text in a frame: at most 8 MiB.
    pub frame: usize,
    /// Bytes in an object, unless a single frame has more.
    pub object: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame: FRAME, object: 16 * 1024 * 1024 * 1024 }
    }
}

/// Whose rows come next.
#[derive(Clone, Debug)]
pub struct TableRange {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// The columns in the order of the text.
    pub columns: Vec<String>,
}

/// One stream of rows of one database. Dropped before [`RowsWriter::finish`], the object at hand is aborted.
pub struct RowsWriter {
    image: ImageWriter,
    ordinal: u32,
    stream: u32,
    limits: Limits,
    next_object: u32,
    encoder: Option<FrameEncoder>,
    sink: Option<Sink>,
    range: Option<TableRange>,
    /// The part of the range that is in the object at hand.
    entry: Option<RowsEntry>,
    entries: Vec<RowsEntry>,
    rows: u64,
    text: u64,
}

impl RowsWriter {
    pub(crate) fn new(image: ImageWriter, ordinal: u32, stream: u32, limits: Limits) -> Self {
        let limits = Limits { frame: limits.frame.clamp(1, MAX_FRAME), ..limits };
        Self {
            image,
            ordinal,
            stream,
            limits,
            next_object: 0,
            encoder: None,
            sink: None,
            range: None,
            entry: None,
            entries: Vec::new(),
            rows: 0,
            text: 0,
        }
    }

    /// Begins a table or range of one; the one before must have ended.
    pub fn begin(&mut self, range: TableRange) {
        debug_assert!(self.range.is_none(), "the range before was not ended");
        self.rows = 0;
        self.text = 0;
        self.range = Some(range);
    }

    /// Appends COPY text of the range, cut anywhere.
    pub async fn write(&mut self, mut text: &[u8]) -> Result<()> {
        while !text.is_empty() {
            self.prepare().await?;
            let (Some(encoder), Some(sink), Some(entry)) =
                (&mut self.encoder, &mut self.sink, &mut self.entry)
            else {
                return Err(Error::Configuration("rows were written outside of any table".to_owned()));
            };
            let some = &text[..text.len().min(self.limits.frame - encoder.open())];
            let (taken, out) = encoder.push(some).map_err(|error| sink.failed(&error))?;
            sink.write(out).await?;
            let (done, left) = text.split_at(taken);
            // A line break inside a value is written as \n: each one here ends a row.
            let rows = done.iter().filter(|byte| **byte == b'\n').count() as u64;
            entry.rows += rows;
            entry.bytes += taken as u64;
            self.rows += rows;
            self.text += taken as u64;
            text = left;
            if encoder.open() >= self.limits.frame {
                sink.end_frame(encoder).await?;
            }
        }
        Ok(())
    }

    /// Ends the range: how many rows it had, and bytes of text.
    pub async fn end(&mut self) -> Result<(u64, u64)> {
        if let (Some(encoder), Some(sink)) = (&mut self.encoder, &mut self.sink)
            && encoder.open() > 0
        {
            sink.end_frame(encoder).await?;
        }
        self.close_entry();
        self.range = None;
        Ok((self.rows, self.text))
    }

    /// Bytes of this stream in the store so far, the object at hand only.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.sink.as_ref().map_or(0, |sink| sink.bytes)
    }

    /// Publishes the object at hand; the entries of all ranges for the index.
    pub async fn finish(mut self) -> Result<Vec<RowsEntry>> {
        if self.range.is_some() {
            return Err(Error::Configuration("the last table of a stream was not ended".to_owned()));
        }
        self.publish().await?;
        Ok(std::mem::take(&mut self.entries))
    }

    /// Sees to it that there is an object to write to, a new one where the one at hand is full, and an entry for it.
    async fn prepare(&mut self) -> Result<()> {
        let between_frames = self.encoder.as_ref().is_none_or(|encoder| encoder.open() == 0);
        if between_frames
            && self.sink.as_ref().is_some_and(|sink| {
                sink.bytes > 0 && sink.bytes + self.limits.frame as u64 > self.limits.object
            })
        {
            self.close_entry();
            self.publish().await?;
        }
        if self.sink.is_none() {
            let key = keys::rows(self.ordinal, self.stream, self.next_object);
            self.next_object += 1;
            self.sink = Some(self.image.sink(Object {
                compression: Some("zstd".to_owned()),
                ..ImageWriter::blank(key, "copy-text")
            })?);
        }
        if let (None, Some(sink)) = (&self.encoder, &self.sink) {
            self.encoder = Some(FrameEncoder::new().map_err(|error| sink.failed(&error))?);
        }
        if let (None, Some(sink), Some(range)) = (&self.entry, &self.sink, &self.range) {
            self.entry = Some(RowsEntry {
                schema: range.schema.clone(),
                table: range.table.clone(),
                columns: range.columns.clone(),
                object: sink.relative_key().to_owned(),
                offset: sink.bytes,
                length: 0,
                rows: 0,
                bytes: 0,
            });
        }
        Ok(())
    }

    fn close_entry(&mut self) {
        if let (Some(mut entry), Some(sink)) = (self.entry.take(), &self.sink) {
            entry.length = sink.bytes - entry.offset;
            self.entries.push(entry);
        }
    }

    async fn publish(&mut self) -> Result<()> {
        if let Some(sink) = self.sink.take() {
            sink.finish().await?;
        }
        Ok(())
    }
}
