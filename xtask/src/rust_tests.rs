//! The Rust tests, by `cargo test`.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::command::{self, cargo, step};
use crate::report::Report;
use crate::scratch::Scratch;
use crate::tools::Tool;

/// The test programs whose ignored tests need an emulator of a store, which xtask installs.
const WITH_EMULATORS: [&str; 4] = ["--test", "remote", "--test", "stores"];
/// The test program whose ignored tests mount file systems.
const WITH_MOUNTS: [&str; 2] = ["--test", "mounts"];
/// The test program whose ignored tests act on files of other accounts.
const WITH_ROOT: [&str; 2] = ["--test", "root"];

/// How many tests of a program run concurrently. Most of them wait: for servers, jobs and pauses between attempts.
const CONCURRENT_TESTS: &str = "8";

/// Compiles all tests, so that the time for it is not counted as theirs.
pub(crate) fn compile() -> anyhow::Result<()> {
    step("Building the tests");
    command::run(cargo().args(["test", "--workspace", "--no-run"]).env("SQLX_OFFLINE", "true"))
}

/// Compiles the integration tests whose names match, and returns their programs.
pub(crate) fn programs(pattern: &str) -> anyhow::Result<Vec<PathBuf>> {
    // The whole workspace: another selection compiles the dependencies again, with other features.
    let mut compile = cargo();
    compile.args(["test", "--workspace", "--test", pattern, "--no-run", "--message-format", "json"]);
    let messages = command::output(compile.env("SQLX_OFFLINE", "true"))?;
    let program = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_test = message["target"]["kind"].as_array()?.iter().any(|kind| kind == "test");
        message["executable"].as_str().filter(|_| is_test).map(PathBuf::from)
    };
    Ok(messages.lines().filter_map(program).collect())
}

/// Runs the tests of all crates against a scratch PostgreSQL, then the ignored ones whose needs are met. Tests that need a cluster
/// are a part of their own.
pub(crate) fn run() -> anyhow::Result<Report> {
    step("Unit and integration tests");
    let scratch = Scratch::start()?;
    let mut report = counted(cargo_test(&scratch).args(["--workspace", "--no-fail-fast"]))?;
    report.skipped = 0;
    let mut ignored = cargo_test(&scratch);
    ignored.args(["--workspace", "--no-fail-fast"]).args(WITH_EMULATORS);
    if can_mount() {
        ignored.args(WITH_MOUNTS);
    } else {
        report
            .left_out
            .push("tests of full and read-only file systems: this account may not mount".to_owned());
    }
    if rustix::process::geteuid().is_root() {
        ignored.args(WITH_ROOT);
    } else {
        report
            .left_out
            .push("tests of files that belong to other accounts: this account is not root".to_owned());
    }
    report.add(counted(ignored.args(["--", "--ignored"]))?);
    Ok(report)
}

/// Whether this account may mount file systems, by a try in a mount namespace that ends with the command.
fn can_mount() -> bool {
    command::succeeds(Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]))
}

/// Runs `cargo test` with these arguments, against a scratch PostgreSQL.
pub(crate) fn run_some(args: &[String]) -> anyhow::Result<Report> {
    let scratch = Scratch::start()?;
    counted(cargo_test(&scratch).args(args))
}

/// `cargo test` with what the tests find in the environment.
fn cargo_test(scratch: &Scratch) -> Command {
    let mut tests = cargo();
    tests.arg("test").env("DATABASE_URL", scratch.url());
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        tests.env("RUST_TEST_THREADS", CONCURRENT_TESTS);
    }
    tests.env("TOYGRES_AZURITE", Tool::Azurite.path()).env("TOYGRES_MOTO", Tool::Moto.path());
    tests
}

/// Runs `cargo test` or a test program, shows its output, and counts by the last line of each test program.
pub(crate) fn counted(tests: &mut Command) -> anyhow::Result<Report> {
    let mut child = tests.env("SQLX_OFFLINE", "true").stdout(Stdio::piped()).spawn()?;
    let mut report = Report::default();
    for line in BufReader::new(child.stdout.take().context("cargo has no standard output")?).lines() {
        let line = line?;
        println!("{line}");
        count(&line, &mut report);
    }
    let status = child.wait()?;
    if !status.success() && report.failed == 0 {
        anyhow::bail!("{} failed: {status}", tests.get_program().to_string_lossy());
    }
    Ok(report)
}

/// Adds the numbers of a line `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn count(line: &str, report: &mut Report) {
    let Some(result) = line.strip_prefix("test result: ") else { return };
    let number = |label: &str| {
        let before = result.split(label).next().unwrap_or_default();
        before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    report.passed += number(" passed");
    report.failed += number(" failed");
    report.skipped += number(" ignored");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let mut report = Report::default();
        count(
            "test result: FAILED. 12 passed; 2 failed; 3 ignored; 0 measured; 0 filtered out; finished in 1.02s",
            &mut report,
        );
        count(
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.00s",
            &mut report,
        );
        count("test a_test_that_says_test_result ... ok", &mut report);
        assert_eq!((report.passed, report.failed, report.skipped), (13, 2, 3));
    }
}
