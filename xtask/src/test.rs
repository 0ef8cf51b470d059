//! `test`: runs the parts in order and closes with a summary of what failed, what could not run, and where the time went.

use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::report::Report;
use crate::{browser, build, kubernetes, lint, rust_tests, setup};

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Every check of `cargo xtask lint`.
    Lint,
    /// Unit and integration tests, against a real PostgreSQL.
    Rust,
    /// The whole program in a real browser.
    Browser,
    /// The same in a cluster, if one is reachable.
    Kubernetes,
}

/// Runs the parts that are named, or all. With arguments for `cargo test`, only the Rust tests that they choose.
pub(crate) fn run(only: &[Part], cargo_args: &[String]) -> anyhow::Result<()> {
    let mut summary = Summary::start();
    if !cargo_args.is_empty() {
        anyhow::ensure!(
            only == [Part::Rust],
            "arguments for cargo test follow the part: cargo xtask test rust -- NAME"
        );
        setup::for_rust_tests()?;
        build::programs()?;
        summary.add(Timed::run("Rust", || rust_tests::run_some(cargo_args)));
        return summary.finish();
    }
    let parts = if only.is_empty() { Part::value_variants() } else { only };
    let mut cluster = None;
    let set_up = Timed::run("Set-up", || prepare(parts, &mut cluster));
    anyhow::ensure!(set_up.report.failed == 0, set_up.report.failures.join("\n"));
    summary.add(set_up);
    if parts.contains(&Part::Rust) {
        summary.add(Timed::run("Rust", rust_tests::run));
    }
    at_the_same_time(parts, cluster.as_ref()).into_iter().for_each(|part| summary.add(part));
    summary.finish()
}

/// Runs the parts other than Rust at the same time. The stories leave the processors idle most of the time and build nothing, so
/// that no cargo waits for another one; Lint has the lowest priority.
fn at_the_same_time(parts: &[Part], cluster: Option<&kubernetes::Prepared>) -> Vec<Timed> {
    std::thread::scope(|scope| {
        let run = |part: Part| {
            scope.spawn(move || match part {
                Part::Lint => {
                    // On Linux the priority is that of this thread and of the processes that it starts.
                    let _ = rustix::process::nice(19);
                    Timed::run("Lint", || Ok(lint::run(&[])))
                }
                Part::Browser => Timed::run("Browser", browser::test),
                _ => Timed::run("Kubernetes", || kubernetes::test(cluster)),
            })
        };
        let running: Vec<_> =
            parts.iter().filter(|part| **part != Part::Rust).map(|part| run(*part)).collect();
        let join = |part: std::thread::ScopedJoinHandle<'_, Timed>| {
            part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        running.into_iter().map(join).collect()
    })
}

/// Runs the checks that are named, or all.
pub(crate) fn lint(only: &[lint::Check]) -> anyhow::Result<()> {
    let mut summary = Summary::start();
    summary.add(Timed::run("Lint", || Ok(lint::run(only))));
    summary.finish()
}

/// A part that was run.
struct Timed {
    name: String,
    report: Report,
    took: Duration,
}

impl Timed {
    /// Runs a part. One that ends with an error counts as a failed test.
    fn run(name: &str, part: impl FnOnce() -> anyhow::Result<Report>) -> Self {
        let start = Instant::now();
        let report = part().unwrap_or_else(|error| Report::failed(format!("{error:#}")));
        Self { name: name.to_owned(), report, took: start.elapsed() }
    }
}

/// The closing lines of all parts.
struct Summary {
    start: Instant,
    total: Report,
    lines: Vec<String>,
}

impl Summary {
    fn start() -> Self {
        Self { start: Instant::now(), total: Report::default(), lines: Vec::new() }
    }

    fn add(&mut self, part: Timed) {
        self.lines.extend(part.report.lines(&part.name, part.took));
        self.total.add(part.report);
    }

    /// Prints the summary. The last line is the one that CI reads.
    ///
    /// # Errors
    /// A test failed.
    fn finish(self) -> anyhow::Result<()> {
        let Report { passed, failed, skipped, .. } = self.total;
        println!("\n{}\nin {} s", self.lines.join("\n"), self.start.elapsed().as_secs());
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        anyhow::ensure!(failed == 0, "{failed} tests failed");
        Ok(())
    }
}

/// Installs and builds what the parts need; `cluster` is what those on Kubernetes run. Programs are compiled while packages are
/// downloaded, and the site beside the tests: a build's last crates leave a processor idle.
fn prepare(parts: &[Part], cluster: &mut Option<kubernetes::Prepared>) -> anyhow::Result<Report> {
    let mut report = Report::default();
    match parts {
        [Part::Lint] => {}
        [Part::Rust] => {
            report.phase("installing", setup::for_rust_tests)?;
            report.phase("programs", build::programs)?;
            report.phase("tests, compiling", rust_tests::compile)?;
        }
        _ => std::thread::scope(|scope| {
            let site = scope.spawn(|| {
                let mut report = Report::default();
                report.phase("installing, at the same time", setup::for_test)?;
                report.phase("site, at the same time", || build::whole_site(build::Profile::Dev))?;
                anyhow::Ok(report)
            });
            report.phase("programs", build::programs)?;
            if parts.contains(&Part::Rust) {
                report.phase("tests, compiling", rust_tests::compile)?;
            }
            report.add(site.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            anyhow::Ok(())
        })?,
    }
    if parts.contains(&Part::Kubernetes) {
        *cluster = report.phase("container image", kubernetes::prepare_tests)?;
        // The static agent of the container image is in the place of that which the stories run.
        build::programs()?;
    }
    Ok(report)
}
