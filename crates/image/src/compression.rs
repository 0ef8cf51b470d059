//! The zstd parameters of the image format.

use std::io::Read as _;

use crate::error::{Error, Result};

/// The compression level: the duration of a backup matters more than its size.
pub(crate) const LEVEL: i32 = 1;
/// The size of a frame's text in bytes. A reader holds one frame in memory.
pub(crate) const FRAME: usize = 2 * 1024 * 1024;
/// The largest frame that a reader accepts, in bytes.
pub(crate) const LARGEST_FRAME: u64 = 8 * 1024 * 1024;
/// The largest object that a reader holds in memory, in bytes: compressed, and as text.
pub(crate) const LARGEST_TEXT: u64 = 256 * 1024 * 1024;

/// Decompresses an object that is held in memory. `key` is the subject of errors.
///
/// # Errors
/// It is not compressed with zstd, or its text is larger than [`LARGEST_TEXT`].
pub(crate) fn decompress(key: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let bad = |error: std::io::Error| Error::damaged(key, error.to_string());
    let mut text = Vec::new();
    zstd::Decoder::new(bytes).map_err(bad)?.take(LARGEST_TEXT + 1).read_to_end(&mut text).map_err(bad)?;
    if text.len() as u64 > LARGEST_TEXT {
        return Err(Error::damaged(key, format!("its text is larger than {LARGEST_TEXT} bytes")));
    }
    Ok(text)
}
