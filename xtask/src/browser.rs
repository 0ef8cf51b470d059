//! Playwright with the Chromium of this machine: stories and screenshots.

use std::process::Command;

use anyhow::Context;

use crate::command::{self, root, step};
use crate::report::Report;
use crate::tools::Tool;
use crate::{build, cluster, packages, setup};

const KUBERNETES_CONFIG: &str = "kubernetes.config.ts";

/// Runs the stories of `end2end/`. It builds nothing.
pub(crate) fn test() -> anyhow::Result<Report> {
    step("Stories in the browser");
    let mut playwright = playwright(Command::new(Tool::NodeModules.install()?))?;
    // The screenshots too: the accessibility checker examines each page.
    counted(playwright.args(["--project", "stories", "--project", "screenshots"]))
}

/// Runs the stories of `end2end/kubernetes/` with a container image that the cluster has.
pub(crate) fn kubernetes(image: &str) -> anyhow::Result<Report> {
    step("Stories in the browser, on the cluster");
    let mut playwright = playwright(cluster::program(Tool::NodeModules.install()?))?;
    playwright.args(["--config", KUBERNETES_CONFIG]).env("TOYGRES_TEST_IMAGE", image);
    playwright.env("TOYGRES_AZURITE", Tool::Azurite.path()).env("TOYGRES_MOTO", Tool::Moto.path());
    let mut report = counted(&mut playwright)?;
    if std::env::var_os("TOYGRES_TEST_FAULTS").is_none() {
        let faults =
            "stories of faults, which freeze parts of the cluster for minutes: set TOYGRES_TEST_FAULTS=1";
        report.left_out.push(faults.to_owned());
    }
    Ok(report)
}

/// Runs Playwright and reads the counts of its JSON report.
fn counted(playwright: &mut Command) -> anyhow::Result<Report> {
    let file = tempfile::NamedTempFile::new()?;
    playwright.args(["--reporter", "list,json"]).env("PLAYWRIGHT_JSON_OUTPUT_NAME", file.path());
    let result = command::run(playwright);
    let text = std::fs::read_to_string(file.path())?;
    if text.is_empty() {
        return result.and_then(|()| anyhow::bail!("Playwright wrote no report"));
    }
    let json: serde_json::Value = serde_json::from_str(&text).context("read Playwright's report")?;
    let stat = |name: &str| json["stats"][name].as_u64().unwrap_or(0);
    let report = Report {
        passed: stat("expected"),
        failed: stat("unexpected") + stat("flaky"),
        skipped: stat("skipped"),
        ..Report::default()
    };
    if report.failed == 0 {
        result?;
    }
    Ok(report)
}

/// Writes a screenshot of every page to target/screenshots, and those of the documents to docs/pictures.
pub(crate) fn screenshots() -> anyhow::Result<()> {
    setup::for_test()?;
    build::all()?;
    step("Screenshots");
    let mut playwright = playwright(Command::new(Tool::NodeModules.install()?))?;
    command::run(playwright.args(["--project", "screenshots", "--reporter", "list"]).env("PICTURES", "1"))
}

/// Playwright's command with the paths of everything that it runs.
fn playwright(mut playwright: Command) -> anyhow::Result<Command> {
    let chromium = packages::chromium().context("there is no Chromium on this machine")?;
    playwright
        .arg("test")
        .current_dir(root().join("end2end"))
        .env("CHROMIUM", chromium)
        .env("TOYGRES_SERVER", build::program("toygres-server"))
        .env("POSTGRES_BIN", packages::postgres_bin().context("there is no PostgreSQL on this machine")?);
    build::site_environment(&mut playwright);
    Ok(playwright)
}
