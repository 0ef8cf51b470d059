//! Restricts a program to files of its own, with Landlock and namespaces. The agent's command `confine` does so and then executes the program.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::account::Account;
use super::agent_program;

/// The files that a program reaches, beside the programs and libraries of the system.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// The program `toygres-agent`.
    pub agent_program: PathBuf,
    /// Files and directories to read and execute.
    pub read: Vec<PathBuf>,
    /// Files and directories to read and write. They exist when the program starts.
    pub write: Vec<PathBuf>,
    /// The directory for temporary files, one of [`Self::write`].
    pub tmp: PathBuf,
}

impl Confinement {
    /// A program to run as an account, which reaches no other files. Where the kernel does not support that, it is unrestricted.
    pub(crate) fn command(&self, account: &Account, program: &Path) -> Command {
        let mut command = account.command(&self.agent_program);
        command.arg("confine").env("TMPDIR", &self.tmp);
        for (option, paths) in [("--read", &self.read), ("--write", &self.write)] {
            for path in paths {
                command.arg(option).arg(path);
            }
        }
        command.arg("--").arg(program);
        command
    }
}

/// Why programs are not restricted as they should be on this system; none if they are.
pub(super) async fn missing(account: &Account, agent: &Path) -> Option<String> {
    let mut test = account.command(agent);
    test.args(["confine", "--required", "--", "/bin/true"]).stderr(Stdio::piped());
    let tested = match agent_program::spawn(&mut test).await {
        Ok(tested) => tested.wait_with_output().await,
        Err(error) => return Some(error.to_string()),
    };
    match tested {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// The directories of the installation whose programs are in `bin_dir`.
pub(super) fn installation_dirs(bin_dir: &Path) -> Vec<PathBuf> {
    let beside = ["lib", "lib64", "share"].map(|name| bin_dir.with_file_name(name));
    std::iter::once(bin_dir.to_owned()).chain(beside).collect()
}
