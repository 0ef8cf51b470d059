//! Row streams: COPY text packed into whole zstd frames, so that each piece of a table can be read by itself.

use model::image::Object;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use crate::error::{Error, Result};
use crate::writer::{ImageWriter, ObjectWriter};

/// zstd's level: the rows are mostly waited for, not looked at.
pub(crate) const LEVEL: i32 = 1;
/// Bytes of text in a frame: a reader holds one whole, and never more than [`LARGEST_FRAME`].
const FRAME: usize = 2 * 1024 * 1024;
/// The largest frame that a reader accepts.
pub(crate) const LARGEST_FRAME: u64 = 8 * 1024 * 1024;
/// An object that is larger gets a successor at the next row.
const LARGEST_OBJECT: u64 = 16 * 1024 * 1024 * 1024;

/// Where a piece of a table was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The object's key below the image's prefix.
    pub object: String,
    /// The first byte there.
    pub offset: u64,
    /// Bytes there.
    pub length: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes as COPY text.
    pub bytes: u64,
}

/// Writes stream `m` of database `n`: `<n>/rows-<m>-<k>.zst`. An object is begun with the first row that needs it.
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
    /// There is no memory to compress in.
    pub fn new(image: &ImageWriter, ordinal: u32, stream: u32) -> Result<Self> {
        let mut compressor = Compressor::new(LEVEL).map_err(|error| Error::io("rows", error))?;
        compressor.set_parameter(CParameter::ChecksumFlag(true)).map_err(|error| Error::io("rows", error))?;
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

    /// Adds one row, as COPY gives it: text with its newline.
    ///
    /// # Errors
    /// The store does not take it.
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

    /// Ends a table or a range of one: where it is; several pieces if it is larger than an object, none without rows.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn end(&mut self) -> Result<Vec<Piece>> {
        self.end_piece().await?;
        Ok(std::mem::take(&mut self.pieces))
    }

    /// Ends the stream; its objects are in the store.
    ///
    /// # Errors
    /// The store does not take the rest.
    pub async fn finish(mut self) -> Result<()> {
        self.end_piece().await?;
        self.end_object().await.map(drop)
    }

    async fn open(&mut self) -> Result<()> {
        if self.object.is_none() {
            let key = format!("{}/rows-{}-{}.zst", self.ordinal, self.stream, self.next_object);
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
        let packed = self.compressor.compress(&self.frame).map_err(|error| Error::io("rows", error))?;
        self.frame.clear();
        if let Some((_, object)) = &mut self.object {
            object.write(&packed).await?;
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

    /// Lets an object of more than `bytes` have a successor, instead of one of 16 GiB.
    #[must_use]
    pub fn with_largest_object(mut self, bytes: u64) -> Self {
        self.largest_object = bytes;
        self
    }
}
