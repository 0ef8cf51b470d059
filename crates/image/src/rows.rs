//! Row streams: COPY text in whole zstd frames, so that each piece of a table can be read separately.

use model::image::Object;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use crate::compression::{FRAME, LEVEL};
use crate::error::{Error, Result};
use crate::layout;
use crate::writer::{ImageWriter, ObjectWriter};

/// The size in bytes above which the next row begins a new object.
const LARGEST_OBJECT: u64 = 16 * 1024 * 1024 * 1024;

/// A range of an object that contains rows of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The object's key below the image's prefix.
    pub object: String,
    /// The offset of its first byte in the object.
    pub offset: u64,
    /// Its size in the object, in bytes.
    pub length: u64,
    /// The number of rows.
    pub rows: u64,
    /// The size of the rows as COPY text, in bytes.
    pub bytes: u64,
}

/// Writes stream `m` of database `n` to the objects `<n>/rows-<m>-<k>.zst`. Each object begins with its first row.
pub struct RowsWriter {
    image: ImageWriter,
    ordinal: u32,
    stream: u32,
    next_object: u32,
    object: Option<(String, ObjectWriter)>,
    compressor: Compressor<'static>,
    frame: Vec<u8>,
    piece: Option<Piece>,
    pieces: Vec<Piece>,
    largest_object: u64,
}

impl RowsWriter {
    /// Begins a stream.
    ///
    /// # Errors
    /// The compressor cannot be created, for lack of memory.
    pub fn new(image: &ImageWriter, ordinal: u32, stream: u32) -> Result<Self> {
        let mut compressor = Compressor::new(LEVEL).map_err(|error| Error::internal("rows", error))?;
        let checksum = compressor.set_parameter(CParameter::ChecksumFlag(true));
        checksum.map_err(|error| Error::internal("rows", error))?;
        Ok(Self {
            image: image.clone(),
            ordinal,
            stream,
            next_object: 0,
            object: None,
            compressor,
            frame: Vec::with_capacity(FRAME),
            piece: None,
            pieces: Vec::new(),
            largest_object: LARGEST_OBJECT,
        })
    }

    /// Sets the size above which the next row begins a new object (16 GiB by default).
    #[must_use]
    pub fn with_largest_object(mut self, bytes: u64) -> Self {
        self.largest_object = bytes;
        self
    }

    /// Appends one row of COPY text, including its newline.
    ///
    /// # Errors
    /// The store refuses or fails.
    pub async fn row(&mut self, mut row: &[u8]) -> Result<()> {
        if self.object.as_ref().is_some_and(|(_, object)| object.bytes() >= self.largest_object) {
            self.end_piece().await?;
            self.end_object().await?;
        }
        self.open().await?;
        if let Some(piece) = &mut self.piece {
            piece.rows += 1;
            piece.bytes += row.len() as u64;
        }
        while !row.is_empty() {
            let (now, later) = row.split_at((FRAME - self.frame.len()).min(row.len()));
            self.frame.extend_from_slice(now);
            row = later;
            if self.frame.len() == FRAME {
                self.end_frame().await?;
            }
        }
        Ok(())
    }

    /// Ends a table, or a range of one, and returns its pieces: several if it spans objects, none if it has no rows.
    ///
    /// # Errors
    /// The store refuses or fails.
    pub async fn end(&mut self) -> Result<Vec<Piece>> {
        self.end_piece().await?;
        Ok(std::mem::take(&mut self.pieces))
    }

    /// Ends the stream and completes its last object.
    ///
    /// # Errors
    /// The store refuses or fails.
    pub async fn finish(mut self) -> Result<()> {
        self.end_piece().await?;
        self.end_object().await.map(drop)
    }

    async fn open(&mut self) -> Result<()> {
        if self.object.is_none() {
            let key = format!("{}{}-{}.zst", layout::rows(self.ordinal), self.stream, self.next_object);
            self.next_object += 1;
            let object = self.image.object(&key, "copy-text", Some("zstd")).await?;
            self.object = Some((key, object));
        }
        if let (None, Some((key, object))) = (&self.piece, &self.object) {
            let (object, offset) = (key.clone(), object.bytes());
            self.piece = Some(Piece { object, offset, length: 0, rows: 0, bytes: 0 });
        }
        Ok(())
    }

    async fn end_frame(&mut self) -> Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let compressed =
            self.compressor.compress(&self.frame).map_err(|error| Error::internal("rows", error))?;
        self.frame.clear();
        if let Some((_, object)) = &mut self.object {
            object.write(&compressed).await?;
        }
        Ok(())
    }

    async fn end_piece(&mut self) -> Result<()> {
        self.end_frame().await?;
        if let (Some(mut piece), Some((_, object))) = (self.piece.take(), &self.object) {
            piece.length = object.bytes() - piece.offset;
            self.pieces.push(piece);
        }
        Ok(())
    }

    async fn end_object(&mut self) -> Result<Option<Object>> {
        match self.object.take() {
            Some((_, object)) => object.finish().await.map(Some),
            None => Ok(None),
        }
    }
}
