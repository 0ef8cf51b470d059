//! Builds the server, the agent and the site (WebAssembly, style sheet, static files). It knows nothing of how they run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::command::{self, cargo, root, say};
use crate::setup::WasmCompiler;

/// The name of the site's files, as `[[workspace.metadata.leptos]]` has it.
pub(crate) const OUTPUT_NAME: &str = "toygres";

/// How well it is optimised.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build, slow to run.
    Dev,
    /// The reverse.
    Release,
}

impl Profile {
    /// cargo's arguments and directory for programs.
    fn of_programs(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Dev => (&[], "debug"),
            Self::Release => (&["--release"], "release"),
        }
    }

    /// cargo's profile and directory for the browser's half, and the site's directory.
    fn of_site(self) -> (&'static str, &'static str) {
        match self {
            Self::Dev => ("wasm", "site"),
            Self::Release => ("wasm-release", "site-release"),
        }
    }
}

/// Where the programs are after [`all`].
pub(crate) fn program(name: &str) -> PathBuf {
    target().join("debug").join(name)
}

/// Where the site is after [`all`].
pub(crate) fn site(profile: Profile) -> PathBuf {
    target().join(profile.of_site().1)
}

/// Where all that is built goes.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// Builds everything; what is up to date costs a second.
pub(crate) fn all() -> anyhow::Result<()> {
    programs()?;
    whole_site(Profile::Dev)
}

/// Builds the site.
pub(crate) fn whole_site(profile: Profile) -> anyhow::Result<()> {
    wasm(profile)?;
    style(profile)?;
    copy_all(&root().join("public"), &site(profile))
}

/// Builds programs that need nothing of the system that they run on, and returns their directory.
pub(crate) fn static_programs(packages: &[&str], profile: Profile) -> anyhow::Result<PathBuf> {
    say(&format!("Building {} without a need of any library", packages.join(" and ")));
    let (optimised, directory) = profile.of_programs();
    // With a target named, the flags are not for build scripts and macros, which cannot be static.
    let machine = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = cargo();
    build
        .arg("build")
        .args(optimised)
        .args(["--target", &machine, "--target-dir"])
        .arg(target().join("static"));
    build.args(packages.iter().flat_map(|package| ["-p", package]));
    command::run(build.env("RUSTFLAGS", "-C target-feature=+crt-static").env("SQLX_OFFLINE", "true"))?;
    Ok(target().join("static").join(machine).join(directory))
}

/// The environment that tells the server where its site is.
pub(crate) fn site_environment(server: &mut Command) {
    server
        .env("LEPTOS_OUTPUT_NAME", OUTPUT_NAME)
        .env("LEPTOS_SITE_ROOT", site(Profile::Dev))
        .env("LEPTOS_SITE_PKG_DIR", "pkg");
}

/// Builds the server and the agent for this machine.
pub(crate) fn programs() -> anyhow::Result<()> {
    say("Building the server and the agent");
    // Queries are checked against `.sqlx/`, so that a build needs no database.
    command::run(cargo().args(["build", "-p", "server", "-p", "agent"]).env("SQLX_OFFLINE", "true"))
}

fn wasm(profile: Profile) -> anyhow::Result<()> {
    say("Building the browser's half");
    let (name, _) = profile.of_site();
    let compiler = WasmCompiler::ready().context("no compiler for WebAssembly is ready")?;
    let mut build = cargo();
    build
        .args(["build", "-p", "app", "--no-default-features", "--features", "hydrate", "--profile", name])
        .args(["--target", "wasm32-unknown-unknown", "--target-dir"])
        // Two compilers that share a directory rebuild everything each time.
        .arg(target().join("wasm"));
    compiler.apply(&mut build);
    command::run(&mut build)?;
    let wasm = target().join("wasm/wasm32-unknown-unknown").join(name).join("app.wasm");
    let pkg = site(profile).join("pkg");
    if is_newer(&wasm, &pkg.join(format!("{OUTPUT_NAME}_bg.wasm"))) {
        say("Binding it to JavaScript");
        wasm_bindgen_cli_support::Bindgen::new()
            .input_path(&wasm)
            .web(true)?
            .out_name(OUTPUT_NAME)
            .typescript(false)
            .remove_name_section(true)
            .remove_producers_section(true)
            .generate(&pkg)
            .context("bind the WebAssembly to JavaScript")?;
    }
    Ok(())
}

fn is_newer(source: &Path, made: &Path) -> bool {
    let time = |file: &Path| file.metadata().and_then(|meta| meta.modified()).ok();
    match (time(source), time(made)) {
        (Some(source), Some(made)) => source > made,
        _ => true,
    }
}

/// One style sheet from the parts that `style/main.css` names, in that order: one request instead of twenty.
fn style(profile: Profile) -> anyhow::Result<()> {
    let sheet = inline(&root().join("style/main.css"))?;
    let pkg = site(profile).join("pkg");
    std::fs::create_dir_all(&pkg)?;
    std::fs::write(pkg.join(format!("{OUTPUT_NAME}.css")), sheet).context("write the style sheet")
}

/// Replaces each line `@import url("x.css") layer(y);` (or `@import "x.css";`) by the file it names.
fn inline(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let mut sheet = String::with_capacity(text.len());
    for line in text.lines() {
        let Some(import) = line.trim().strip_prefix("@import") else {
            sheet.push_str(line);
            sheet.push('\n');
            continue;
        };
        let name = import.split('"').nth(1).with_context(|| format!("{}: {line}", file.display()))?;
        let part = inline(&file.with_file_name(name))?;
        match import.split_once("layer(").and_then(|(_, rest)| rest.split_once(')')) {
            Some((layer, _)) => sheet.push_str(&format!("@layer {layer} {{\n{part}}}\n")),
            None => sheet.push_str(&part),
        }
    }
    Ok(sheet)
}

/// Copies a directory, over what is there.
pub(crate) fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
