//! `test`: all parts in order, one closing summary that names what failed and what could not run, and why.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;
use clap::ValueEnum;

use crate::command::{cargo, say};
use crate::scratch::Scratch;
use crate::{browser, build, check, emulators, kubernetes, setup};

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Formatting, clippy, layering, dependencies, checked queries.
    Lint,
    /// Unit and integration tests, against real PostgreSQL.
    Rust,
    /// The whole program in a real browser.
    Browser,
    /// The same in a cluster, where one is reachable.
    Kubernetes,
}

/// How a part ended.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// What could not run, and why.
    pub(crate) left_out: Vec<String>,
}

impl Count {
    /// Adds another one.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.left_out.extend(other.left_out);
    }
}

/// Runs the parts that are named, or all.
pub(crate) fn run(only: &[Part]) -> anyhow::Result<()> {
    let parts = if only.is_empty() { Part::value_variants() } else { only };
    let began = Instant::now();
    setup::for_test()?;
    build::all()?;
    let mut lines = Vec::new();
    let mut total = Count::default();
    for part in parts {
        let at = Instant::now();
        let count = match part {
            Part::Lint => lint(),
            Part::Rust => rust(),
            Part::Browser => browser::test(),
            Part::Kubernetes => kubernetes::test(),
        }
        .unwrap_or_else(|error| {
            say(&format!("{part:?}: {error:#}"));
            Count {
                failed: 1,
                left_out: vec![format!("{part:?} ended early: {error:#}")],
                ..Count::default()
            }
        });
        lines.push(format!(
            "{:10} {:4} passed {:3} failed {:3} skipped  in {} s",
            format!("{part:?}"),
            count.passed,
            count.failed,
            count.skipped,
            at.elapsed().as_secs()
        ));
        lines.extend(count.left_out.iter().map(|reason| format!("           not run: {reason}")));
        total.add(count);
    }
    println!("\n{}\nin {} s", lines.join("\n"), began.elapsed().as_secs());
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    if total.failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}

fn lint() -> anyhow::Result<Count> {
    check::run()?;
    let left_out = check::dependencies()?.map(str::to_owned).into_iter().collect();
    Ok(Count { passed: 1, left_out, ..Count::default() })
}

/// `cargo test` over all crates, with a PostgreSQL of its own and the emulators of stores that some tests need, which are
/// ignored without; the counts are read from its closing lines.
fn rust() -> anyhow::Result<Count> {
    say("Unit and integration tests");
    let scratch = Scratch::start()?;
    let tests = |more: &[&str]| {
        let mut tests = cargo();
        tests.args(["test", "--workspace", "--no-fail-fast"]).args(more).env("DATABASE_URL", scratch.url());
        tests.env("TOYGRES_AZURITE", emulators::azurite()).env("TOYGRES_MOTO", emulators::moto());
        tests
    };
    let mut count = counted(&mut tests(&[]))?;
    // What is ignored there needs an emulator, which comes now, or a cluster, which is a part of its own.
    let remote = counted(&mut tests(&["--test", "remote", "--test", "stores", "--", "--ignored"]))?;
    count.passed += remote.passed;
    count.failed += remote.failed;
    count.skipped = remote.skipped;
    Ok(count)
}

/// Runs `cargo test` and counts by the closing lines of its programs.
pub(crate) fn counted(tests: &mut Command) -> anyhow::Result<Count> {
    let mut child = tests.env("SQLX_OFFLINE", "true").stdout(Stdio::piped()).spawn()?;
    let mut count = Count::default();
    for line in BufReader::new(child.stdout.take().context("cargo's output")?).lines() {
        let line = line?;
        println!("{line}");
        if let Some(result) = line.strip_prefix("test result: ") {
            let number = |word: &str| {
                let before = result.split(word).next()?.trim_end();
                before.rsplit([' ', ';', '.']).next()?.parse::<u64>().ok()
            };
            count.passed += number(" passed").unwrap_or(0);
            count.failed += number(" failed").unwrap_or(0);
            count.skipped += number(" ignored").unwrap_or(0);
        }
    }
    let status = child.wait()?;
    if !status.success() && count.failed == 0 {
        anyhow::bail!("cargo test ended with {status}");
    }
    Ok(count)
}
