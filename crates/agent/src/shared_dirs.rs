//! The directories that the agent shares with `toygres-agent execute` in another container.

use std::path::PathBuf;

/// The directories that the agent shares with `toygres-agent execute` in another container.
#[derive(Clone, Debug)]
pub(crate) struct SharedDirs {
    /// Contains the socket `control`. Both containers write in it.
    pub(crate) server: PathBuf,
    /// The other container only reads it, so that an image's code cannot direct what the agent writes there.
    pub(crate) archives: PathBuf,
}
