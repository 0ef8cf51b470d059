//! Shell scripts, by shellcheck, and the stories in `end2end`, by TypeScript.

use std::process::Command;

use crate::command::{self, root};
use crate::packages::{self, Need};
use crate::tools::Tool;

/// Every shell script of the repository.
pub(super) const SCRIPTS: [&str; 5] = [
    ".ci/run",
    "deploy/deploy-to-aks.sh",
    "deploy/make-secrets",
    "xtask/rustc-static",
    "xtask/tests/fake.sh",
];

/// # Errors
/// shellcheck is missing or reports something.
pub(super) fn check() -> anyhow::Result<()> {
    packages::install(&[Need::Shellcheck])?;
    command::run(Command::new("shellcheck").args(SCRIPTS))
}

/// # Errors
/// A story has a type error.
pub(super) fn types() -> anyhow::Result<()> {
    let compiler = Tool::NodeModules.install()?.with_file_name("tsc");
    command::run(Command::new(compiler).arg("--project").arg(root().join("end2end")))
}
