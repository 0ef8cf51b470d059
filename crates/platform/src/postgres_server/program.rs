//! Runs a program of PostgreSQL to its end.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;

/// The time limit of a program.
const LIMIT: Duration = Duration::from_secs(180);

/// Runs a program without input. An exit code other than 0 is an error that contains what the program wrote.
pub(super) async fn run(command: Command, what: &str) -> anyhow::Result<()> {
    finish(command, what, Stdio::null()).await
}

/// Like [`run`], with input.
pub(super) async fn run_with_input(command: Command, what: &str, input: &str) -> anyhow::Result<()> {
    let mut file = temporary_file()?;
    file.write_all(input.as_bytes()).and_then(|()| file.rewind()).context("write a temporary file")?;
    finish(command, what, file.into()).await
}

async fn finish(mut command: Command, what: &str, input: Stdio) -> anyhow::Result<()> {
    // Files, not pipes: the server that pg_ctl starts inherits them, so the end of a pipe would never come.
    let (stdout, stderr) = (temporary_file()?, temporary_file()?);
    command
        .stdin(input)
        .stdout(stdout.try_clone().context("duplicate a file")?)
        .stderr(stderr.try_clone().context("duplicate a file")?);
    let mut child = command.kill_on_drop(true).spawn().with_context(|| format!("start {what}"))?;
    let status = tokio::time::timeout(LIMIT, child.wait())
        .await
        .with_context(|| format!("{what} did not end within {} s", LIMIT.as_secs()))?
        .with_context(|| format!("wait for {what}"))?;
    if status.success() {
        return Ok(());
    }
    let output = format!("{} {}", content(stderr).trim(), content(stdout).trim());
    anyhow::bail!("{what} ended with {status}: {}", output.trim())
}

fn temporary_file() -> anyhow::Result<File> {
    tempfile::tempfile().context("create a temporary file")
}

fn content(mut file: File) -> String {
    let mut text = Vec::new();
    // Output that cannot be read back is only missing from the error.
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}
