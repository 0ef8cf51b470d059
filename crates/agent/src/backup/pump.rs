//! Brings a program's output into the store: the object appears only if the program ended well. It knows no program.

use anyhow::Result;
use image::ObjectWriter;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use zstd::stream::raw::{Encoder, InBuffer, Operation as _, OutBuffer};

use super::Cx;
use crate::tools::Tool;

const BUFFER: usize = 64 * 1024;

/// Hands all that `from` gives to `to`, some at a time.
pub(crate) async fn drain(
    from: &mut (impl AsyncRead + Unpin),
    mut to: impl AsyncFnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        to(&buffer[..n]).await?;
    }
}

/// Runs a program and stores what it writes as an archive of pg_dump.
pub(super) async fn store_output(cx: &Cx<'_>, tool: Tool, key: &str) -> Result<()> {
    let mut object = cx.image.object(key, "pg_dump-custom", None).await?;
    let (running, mut output) = tool.reading()?;
    drain(&mut output, async |bytes| Ok(object.write(bytes).await?)).await?;
    cx.job.tool_said(&running.finish().await?);
    object.finish().await?;
    Ok(())
}

/// Packs text into an object on its way there.
pub(super) struct Packed {
    object: ObjectWriter,
    encoder: Encoder<'static>,
    out: Vec<u8>,
}

impl Packed {
    pub(super) fn new(object: ObjectWriter) -> Result<Self> {
        Ok(Self { object, encoder: Encoder::new(3)?, out: Vec::with_capacity(BUFFER) })
    }

    pub(super) async fn write(&mut self, text: &[u8]) -> Result<()> {
        let mut input = InBuffer::around(text);
        while input.pos() < text.len() {
            self.out.clear();
            self.encoder.run(&mut input, &mut OutBuffer::around(&mut self.out))?;
            self.object.write(&self.out).await?;
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<()> {
        loop {
            self.out.clear();
            let left = self.encoder.finish(&mut OutBuffer::around(&mut self.out), true)?;
            self.object.write(&self.out).await?;
            if left == 0 {
                self.object.finish().await?;
                return Ok(());
            }
        }
    }
}
