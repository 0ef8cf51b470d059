//! Playwright against the real program in the machine's own Chromium: tests and screenshots.

use std::process::Command;

use anyhow::Context;

use crate::command::{self, root, say};
use crate::test::Count;
use crate::{build, cluster, emulators, setup};

const PLAYWRIGHT: &str = "node_modules/.bin/playwright";
const KUBERNETES_CONFIG: &str = "kubernetes.config.ts";

/// Runs the stories of `end2end/`.
pub(crate) fn test() -> anyhow::Result<Count> {
    say("Stories in the browser");
    let mut playwright = playwright(Command::new(PLAYWRIGHT))?;
    // The pictures are taken too: each page is looked at by the accessibility checker.
    counted(playwright.args(["--project", "stories", "--project", "screenshots"]))
}

/// Runs the stories of `end2end/kubernetes/`, where the cluster can be reached.
pub(crate) fn kubernetes(image: &str) -> anyhow::Result<Count> {
    if !root().join("end2end").join(KUBERNETES_CONFIG).exists() {
        return Ok(Count { left_out: vec![format!("stories: no {KUBERNETES_CONFIG}")], ..Count::default() });
    }
    say("Stories in the browser, in the cluster");
    let mut playwright = playwright(cluster::program(PLAYWRIGHT))?;
    playwright.args(["--config", KUBERNETES_CONFIG]).env("TOYGRES_TEST_IMAGE", image);
    playwright.env("TOYGRES_AZURITE", emulators::azurite()).env("TOYGRES_MOTO", emulators::moto());
    let mut count = counted(&mut playwright)?;
    if std::env::var_os("TOYGRES_TEST_FAULTS").is_none() {
        let faults =
            "stories of faults, which freeze parts of the cluster for minutes: set TOYGRES_TEST_FAULTS=1";
        count.left_out.push(faults.to_owned());
    }
    Ok(count)
}

/// Runs Playwright and counts by its report.
fn counted(playwright: &mut Command) -> anyhow::Result<Count> {
    let report = tempfile::NamedTempFile::new()?;
    playwright.args(["--reporter", "list,json"]).env("PLAYWRIGHT_JSON_OUTPUT_NAME", report.path());
    let ended = command::run(playwright);
    let text = std::fs::read_to_string(report.path())?;
    if text.is_empty() {
        return ended.and_then(|()| anyhow::bail!("Playwright left no report"));
    }
    let report: serde_json::Value = serde_json::from_str(&text).context("read Playwright's report")?;
    let stat = |name: &str| report["stats"][name].as_u64().unwrap_or(0);
    let count = Count {
        passed: stat("expected"),
        failed: stat("unexpected") + stat("flaky"),
        skipped: stat("skipped"),
        left_out: Vec::new(),
    };
    if count.failed == 0 {
        ended?;
    }
    Ok(count)
}

/// Takes a screenshot of every page into target/screenshots, and README's into docs/.
pub(crate) fn screenshots() -> anyhow::Result<()> {
    setup::for_test()?;
    build::all()?;
    say("Screenshots");
    let mut playwright = playwright(Command::new(PLAYWRIGHT))?;
    command::run(playwright.args(["--project", "screenshots", "--reporter", "list"]).env("README", "1"))
}

/// The program with what it needs to find.
fn playwright(mut playwright: Command) -> anyhow::Result<Command> {
    let dir = root().join("end2end");
    if !dir.join("node_modules/.package-lock.json").exists() {
        command::run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&dir))?;
    }
    let chromium = setup::chromium().context("no Chromium on this machine")?;
    playwright
        .arg("test")
        .current_dir(&dir)
        .env("CHROMIUM", chromium)
        .env("TOYGRES_SERVER", build::program("toygres-server"))
        .env("POSTGRES_BIN", setup::postgres_bin().context("no PostgreSQL on this machine")?);
    build::site_environment(&mut playwright);
    Ok(playwright)
}
