//! The Rust tests.

use std::process::Command;

use crate::command::{self, cargo, step};
use crate::report::Report;
use crate::scratch::Scratch;
use crate::test_programs::{self, Named, TestProgram};
use crate::tools::Tool;

/// The test programs whose ignored tests need an emulator of a store, which xtask installs, or minutes.
const IGNORED: [&str; 3] = ["remote", "stores", "soak"];
/// The test programs whose ignored tests mount file systems.
const WITH_MOUNTS: [&str; 2] = ["mounts", "outage"];
/// The test programs whose ignored tests need several accounts.
const WITH_ROOT: [&str; 2] = ["root", "execute"];

/// How many tests of a program run concurrently. Most of them wait: for servers, jobs and pauses between attempts.
const CONCURRENT_TESTS: &str = "8";

/// Compiles all tests, so that the time for it is not counted as theirs.
pub(crate) fn compile() -> anyhow::Result<()> {
    step("Building the tests");
    command::run(cargo().args(["test", "--workspace", "--no-run"]).env("SQLX_OFFLINE", "true"))
}

/// Runs the tests of all crates against a scratch PostgreSQL, and the ignored ones whose needs are met. Tests that need a cluster
/// are a part of their own.
pub(crate) fn run() -> anyhow::Result<Report> {
    step("Unit and integration tests");
    let scratch = Scratch::start()?;
    let mut left_out = Vec::new();
    let ignored = runnable_ignored(&mut left_out);
    let mut commands: Vec<Named> = Vec::new();
    for program in test_programs::compiled(&[])? {
        let command = || prepared(program.configure(Command::new(&program.path)), &scratch);
        if ignored.contains(&program.name.as_str()) {
            let mut command = command();
            command.arg("--ignored");
            commands.push((format!("{} --ignored", shown(&program)), command));
        }
        commands.push((shown(&program), command()));
    }
    let mut examples = prepared(cargo(), &scratch);
    examples.args(["test", "--workspace", "--doc", "--quiet"]);
    commands.push(("the examples in the documentation".to_owned(), examples));
    let mut report = test_programs::run_all(commands);
    // Each is run above, or is named as left out.
    report.skipped = 0;
    report.left_out = left_out;
    Ok(report)
}

/// A program as the output names it: its target, and the crate, which tells targets of the same name apart.
fn shown(program: &TestProgram) -> String {
    let package = program.directory.file_name().unwrap_or_default().to_string_lossy();
    format!("{} of {package}", program.name)
}

/// The programs whose ignored tests can run here. The others are added to `left_out`.
fn runnable_ignored(left_out: &mut Vec<String>) -> Vec<&'static str> {
    let mut programs = IGNORED.to_vec();
    if can_mount() {
        programs.extend(WITH_MOUNTS);
    } else {
        left_out.push("tests of full and read-only file systems: this account may not mount".to_owned());
    }
    if rustix::process::geteuid().is_root() {
        programs.extend(WITH_ROOT);
    } else {
        left_out.push("tests with several accounts: this account is not root".to_owned());
    }
    programs
}

/// Whether this account may mount file systems, by a try in a mount namespace that ends with the command.
fn can_mount() -> bool {
    command::succeeds(Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]))
}

/// Runs `cargo test` with these arguments, against a scratch PostgreSQL.
pub(crate) fn run_some(args: &[String]) -> anyhow::Result<Report> {
    let scratch = Scratch::start()?;
    let mut tests = prepared(cargo(), &scratch);
    tests.arg("test").args(args);
    Ok(test_programs::run_all(vec![("cargo test".to_owned(), tests)]))
}

/// A command with what the tests find in the environment.
fn prepared(mut tests: Command, scratch: &Scratch) -> Command {
    tests.env("DATABASE_URL", scratch.url()).env("SQLX_OFFLINE", "true");
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        tests.env("RUST_TEST_THREADS", CONCURRENT_TESTS);
    }
    tests.env("TOYGRES_AZURITE", Tool::Azurite.path()).env("TOYGRES_MOTO", Tool::Moto.path());
    tests
}
