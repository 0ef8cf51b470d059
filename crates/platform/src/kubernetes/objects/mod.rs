//! From what is wanted to Kubernetes objects: pure functions that fill in the templates.

mod identity;
pub(super) mod job;
pub(super) mod quantity;
pub(super) mod server;
mod settings;
pub(super) mod volume;

/// The data directory on an instance's volume: one below, for a file system's own `lost+found` is in a volume's root.
pub(super) const DATA_DIR: &str = "/var/lib/toygres/data";
