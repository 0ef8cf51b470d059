//! Shell scripts, by shellcheck.

use std::process::Command;

use crate::command;
use crate::packages::{self, Need};

/// Every shell script of the repository.
pub(super) const SCRIPTS: [&str; 5] = [
    ".ci/run",
    "deploy/deploy-to-aks.sh",
    "deploy/make-secrets",
    "xtask/rustc-static",
    "xtask/tests/stand-in.sh",
];

/// # Errors
/// shellcheck is missing or reports something.
pub(super) fn check() -> anyhow::Result<()> {
    packages::install(&[Need::Shellcheck])?;
    command::run(Command::new("shellcheck").args(SCRIPTS))
}
