//! Creates the Kubernetes objects of instances and jobs from the templates. Pure functions; they make no calls.

mod identity;
pub(super) mod job;
mod pod;
pub(super) mod quantity;
pub(super) mod server;
mod settings;
pub(super) mod volume;

/// The data directory on an instance's volume. Not the root of the volume, which may contain `lost+found`.
pub(super) const DATA_DIR: &str = "/var/lib/toygres/data";
