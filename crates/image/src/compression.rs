//! The zstd parameters of the image format.

/// The compression level: the duration of a backup matters more than its size.
pub(crate) const LEVEL: i32 = 1;
/// The size of a frame's text in bytes. A reader holds one frame in memory.
pub(crate) const FRAME: usize = 2 * 1024 * 1024;
/// The largest frame that a reader accepts, in bytes.
pub(crate) const LARGEST_FRAME: u64 = 8 * 1024 * 1024;
