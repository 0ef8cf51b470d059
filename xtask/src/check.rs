//! Lint: formatting, clippy, who may use whom, licences and sources of dependencies, checked queries.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, bail};

use crate::command::{self, cargo, say};
use crate::{queries, setup};

/// Who may use whom, downward only (docs/ARCHITECTURE.md). `xtask` builds the others and uses none.
const LAYERS: [(&str, &[&str]); 8] = [
    ("model", &[]),
    ("workflow", &[]),
    ("platform", &["model"]),
    ("image", &["model"]),
    ("agent", &["image", "model"]),
    ("control", &["image", "model", "platform", "workflow"]),
    ("app", &["control", "model"]),
    ("server", &["app", "control", "image", "model", "platform", "workflow"]),
];

/// Libraries that stay in few rooms.
const KEPT_IN: [(&str, &[&str]); 3] = [
    ("sqlx", &["model", "workflow", "control", "server"]),
    ("kube", &["platform"]),
    ("tokio-postgres", &["agent", "platform"]),
];

/// Everything that is written in shell.
const SCRIPTS: [&str; 4] =
    [".ci/run", "deploy/deploy-to-aks.sh", "deploy/make-secrets", "xtask/tests/stand-in.sh"];

/// Checks everything; the first thing that is wrong ends it.
pub(crate) fn run() -> anyhow::Result<()> {
    say("Formatting");
    command::run(cargo().args(["fmt", "--all", "--check"]))?;
    say("Layering");
    layering()?;
    browser_is_lean()?;
    say("Shell scripts");
    scripts()?;
    say("Clippy");
    command::run(
        cargo()
            .args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
            .env("SQLX_OFFLINE", "true"),
    )?;
    queries::check()
}

/// Licences, sources and bans of dependencies; advisories only where their database can be reached: what was left out.
pub(crate) fn dependencies() -> anyhow::Result<Option<&'static str>> {
    say("Licences, sources and bans of dependencies");
    let deny = || setup::cargo_deny().map(Command::new);
    command::run(deny()?.args(["--log-level", "error", "check", "bans", "licenses", "sources"]))?;
    if command::succeeds(deny()?.args(["fetch", "db"])) {
        command::run(deny()?.args(["check", "--disable-fetch", "advisories"]))?;
        return Ok(None);
    }
    Ok(Some("advisories of dependencies: their database cannot be reached from here"))
}

fn layering() -> anyhow::Result<()> {
    let text = command::output(cargo().args(["metadata", "--no-deps", "--format-version", "1", "--locked"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"].as_array().context("packages in cargo's metadata")?;
    let ours: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    for package in packages {
        let name = package["name"].as_str().context("a package's name")?;
        if name == "xtask" {
            continue;
        }
        let (_, allowed) = LAYERS
            .iter()
            .find(|(layer, _)| *layer == name)
            .with_context(|| format!("crate {name} has no layer"))?;
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            let in_tests = dependency["kind"].as_str() == Some("dev");
            if ours.contains(used) && used != name && !in_tests && !allowed.contains(&used) {
                bail!("{name} uses {used}, which is not below it");
            }
            if let Some((_, rooms)) = KEPT_IN.iter().find(|(library, _)| *library == used)
                && !rooms.contains(&name)
                && !in_tests
            {
                bail!("{name} uses {used}, which stays in {}", rooms.join(", "));
            }
        }
    }
    Ok(())
}

/// What is written in shell, by shellcheck.
fn scripts() -> anyhow::Result<()> {
    if command::find("shellcheck").is_none() {
        bail!("There is no shellcheck on this machine. Install it: apt-get install shellcheck");
    }
    command::run(Command::new("shellcheck").args(SCRIPTS))
}

/// Nothing but the model reaches the browser.
fn browser_is_lean() -> anyhow::Result<()> {
    let tree = command::output(cargo().args([
        "tree",
        "-p",
        "app",
        "--no-default-features",
        "--features",
        "hydrate",
        "--target",
        "wasm32-unknown-unknown",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    let barred = [
        "sqlx",
        "kube",
        "tokio-postgres",
        "object_store",
        "control",
        "workflow",
        "platform",
        "image",
        "axum",
    ];
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        if barred.contains(&name) {
            bail!("{name} would reach the browser");
        }
    }
    Ok(())
}
