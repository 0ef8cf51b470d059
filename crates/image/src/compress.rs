//! zstd in whole frames, each with a checksum, decoded whole before any of it is used. It knows no store.

use std::io;

use zstd::stream::raw::{CParameter, DParameter, Decoder, Encoder, InBuffer, Operation as _, OutBuffer};

/// The most that a frame may hold: what a reader must be ready to keep in memory.
pub(crate) const MAX_FRAME: usize = 8 * 1024 * 1024;
/// How much text a writer puts into a frame.
pub(crate) const FRAME: usize = 2 * 1024 * 1024;
const LEVEL: i32 = 1;
/// 1 MiB: the memory that a frame takes to write and to read, several at once.
const WINDOW_LOG: u32 = 20;
/// The largest window that a reader accepts: 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;
const OUT: usize = 128 * 1024;

/// Makes frames.
pub(crate) struct FrameEncoder {
    raw: Encoder<'static>,
    out: Vec<u8>,
    /// Bytes of text in the open frame.
    open: usize,
}

impl FrameEncoder {
    pub(crate) fn new() -> io::Result<Self> {
        let mut raw = Encoder::new(LEVEL)?;
        raw.set_parameter(CParameter::ChecksumFlag(true))?;
        raw.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
        Ok(Self { raw, out: Vec::with_capacity(OUT), open: 0 })
    }

    /// How many bytes of text are in the open frame.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Takes some of `text` into the open frame and says how much, with the compressed bytes that came of it.
    pub(crate) fn push(&mut self, text: &[u8]) -> io::Result<(usize, &[u8])> {
        self.out.clear();
        let mut input = InBuffer::around(text);
        self.raw.run(&mut input, &mut OutBuffer::around(&mut self.out))?;
        let taken = input.pos();
        self.open += taken;
        Ok((taken, &self.out))
    }

    /// Ends the open frame: compressed bytes, and whether that was all of them.
    pub(crate) fn end(&mut self) -> io::Result<(&[u8], bool)> {
        self.out.clear();
        let left = self.raw.finish(&mut OutBuffer::around(&mut self.out), true)?;
        if left == 0 {
            self.raw.reinit()?;
            self.open = 0;
        }
        Ok((&self.out, left == 0))
    }
}

/// Takes frames apart.
pub(crate) struct FrameDecoder {
    raw: Decoder<'static>,
    text: Vec<u8>,
    inside: bool,
}

impl FrameDecoder {
    pub(crate) fn new() -> io::Result<Self> {
        let mut raw = Decoder::new()?;
        raw.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        Ok(Self { raw, text: Vec::new(), inside: false })
    }

    /// Whether a frame has begun and not ended.
    pub(crate) fn inside(&self) -> bool {
        self.inside
    }

    /// Takes some of `bytes` and says how much; with the frame's text once it is whole and its checksum right.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<(usize, Option<Vec<u8>>)> {
        let mut input = InBuffer::around(bytes);
        loop {
            if self.text.len() == self.text.capacity() {
                let more = self.text.len().max(OUT).min(MAX_FRAME + 1 - self.text.len());
                self.text.reserve_exact(more);
            }
            let filled = self.text.len();
            let left = self.raw.run(&mut input, &mut OutBuffer::around_pos(&mut self.text, filled))?;
            if self.text.len() > MAX_FRAME {
                return Err(io::Error::other("a frame holds more than 8 MiB"));
            }
            self.inside = left != 0;
            if left == 0 {
                self.raw.reinit()?;
                return Ok((input.pos(), Some(std::mem::take(&mut self.text))));
            }
            if input.pos() == bytes.len() && self.text.len() < self.text.capacity() {
                return Ok((input.pos(), None));
            }
        }
    }
}
