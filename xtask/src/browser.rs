//! Playwright against the real program in the machine's own Chromium: tests and screenshots.

use std::process::Command;

use anyhow::Context;

use crate::command::{self, root, say};
use crate::test::Count;
use crate::{build, setup};

/// Runs the stories of `end2end/`.
pub(crate) fn test() -> anyhow::Result<Count> {
    say("Stories in the browser");
    let report = tempfile::NamedTempFile::new()?;
    let mut playwright = playwright("stories")?;
    // The pictures are taken too: each page is looked at by the accessibility checker.
    playwright.args(["--project", "screenshots"]);
    playwright.env("PLAYWRIGHT_JSON_OUTPUT_NAME", report.path());
    let ended = command::run(&mut playwright);
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
    command::run(playwright("screenshots")?.env("README", "1"))
}

fn playwright(project: &str) -> anyhow::Result<Command> {
    let dir = root().join("end2end");
    if !dir.join("node_modules/.package-lock.json").exists() {
        command::run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&dir))?;
    }
    let chromium = setup::chromium().context("no Chromium on this machine")?;
    let mut playwright = Command::new("node_modules/.bin/playwright");
    playwright
        .args(["test", "--project", project, "--reporter", "list,json"])
        .current_dir(&dir)
        .env("CHROMIUM", chromium)
        .env("TOYGRES_SERVER", build::program("toygres-server"))
        .env("POSTGRES_BIN", setup::postgres_bin().context("no PostgreSQL on this machine")?);
    build::site_environment(&mut playwright);
    Ok(playwright)
}
