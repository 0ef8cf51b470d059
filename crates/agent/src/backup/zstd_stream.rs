//! Compresses text with zstd while it is written to an object.

use anyhow::Result;
use image::ObjectWriter;
use zstd::stream::raw::{Encoder, InBuffer, Operation as _, OutBuffer};

const LEVEL: i32 = 3;
const BUFFER: usize = 64 * 1024;

/// An object whose content is compressed.
pub(super) struct ZstdWriter {
    object: ObjectWriter,
    encoder: Encoder<'static>,
    out: Vec<u8>,
}

impl ZstdWriter {
    /// Starts a compressed object.
    pub(super) fn new(object: ObjectWriter) -> Result<Self> {
        Ok(Self { object, encoder: Encoder::new(LEVEL)?, out: Vec::with_capacity(BUFFER) })
    }

    /// Adds text.
    pub(super) async fn write(&mut self, text: &[u8]) -> Result<()> {
        let mut input = InBuffer::around(text);
        while input.pos() < text.len() {
            self.out.clear();
            self.encoder.run(&mut input, &mut OutBuffer::around(&mut self.out))?;
            self.object.write(&self.out).await?;
        }
        Ok(())
    }

    /// Completes the object.
    pub(super) async fn finish(mut self) -> Result<()> {
        loop {
            self.out.clear();
            let remaining = self.encoder.finish(&mut OutBuffer::around(&mut self.out), true)?;
            self.object.write(&self.out).await?;
            if remaining == 0 {
                self.object.finish().await?;
                return Ok(());
            }
        }
    }
}
