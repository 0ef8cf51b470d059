//! What the parts of a restore share.

use image::ImageReader;
use model::Location;

use super::target::RestoreTarget;
use crate::job::Job;
use crate::program_host::{ProgramHost, ServerDirs};
use crate::programs::Programs;

/// The image to restore, and the data directory to create.
#[derive(Clone, Debug)]
pub(crate) struct RestoreTask {
    pub(crate) from: Location,
    /// SHA-256 of the manifest that the backup wrote, in hexadecimal; any manifest is accepted if none.
    pub(crate) manifest_sha256: Option<String>,
    pub(crate) data_dir: String,
    pub(crate) superuser: String,
    /// The libraries that the instance preloads; those of the source if none.
    pub(crate) preload: Option<Vec<String>>,
    pub(crate) streams: usize,
    pub(crate) bin_dir: Option<String>,
    /// Whether programs with known vulnerabilities are refused.
    pub(crate) fixed_clients: bool,
}

/// A running restore.
pub(super) struct RestoreContext<'a> {
    pub(super) job: &'a Job,
    pub(super) task: &'a RestoreTask,
    pub(super) image: &'a ImageReader,
    pub(super) programs: &'a Programs,
    pub(super) target: &'a RestoreTarget,
    /// Where programs run that execute what the image contains.
    pub(super) host: &'a ProgramHost,
    pub(super) dirs: &'a ServerDirs,
    pub(super) streams: usize,
    /// The role that initdb creates.
    pub(super) bootstrap: &'a str,
}
