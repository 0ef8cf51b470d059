//! Builds the server, the agent and the site (WebAssembly, style sheet, static files). cargo-leptos builds a site too, but it downloads
//! programs when it runs, and installing it takes longer than all of this.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::command::{self, cargo, root, step};
use crate::wasm::WasmCompiler;

/// The name of the site's files, the same as in `[[workspace.metadata.leptos]]`.
pub(crate) const OUTPUT_NAME: &str = "toygres";

/// How much is optimised.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Little: quick to build.
    Dev,
    /// Everything: quick to run and small.
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

    /// cargo's profile and directory for the browser's program, and the site's directory.
    fn of_site(self) -> (&'static str, &'static str) {
        match self {
            Self::Dev => ("wasm", "site"),
            Self::Release => ("wasm-release", "site-release"),
        }
    }
}

/// Where a program is after [`programs`].
pub(crate) fn program(name: &str) -> PathBuf {
    target().join("debug").join(name)
}

/// Where the site is after [`whole_site`].
pub(crate) fn site(profile: Profile) -> PathBuf {
    target().join(profile.of_site().1)
}

/// The directory of everything that is built.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// Builds the server, the agent and the site. What is up to date takes a second.
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

/// Builds programs that link no shared library, and returns their directory. The next [`programs`] replaces them by dynamically
/// linked ones.
pub(crate) fn static_programs(names: &[&str], profile: Profile) -> anyhow::Result<PathBuf> {
    step(&format!("Building {}, statically linked", names.join(" and ")));
    let (arguments, directory) = profile.of_programs();
    let mut build = build_programs(names);
    // Only the workspace's crates get the flag: their dependencies are those of other builds.
    command::run(build.args(arguments).env("RUSTC_WORKSPACE_WRAPPER", root().join("xtask/rustc-static")))?;
    Ok(target().join(directory))
}

/// `cargo build` of programs. The whole workspace is selected, as in every other command: another selection compiles the
/// dependencies again, with other features.
fn build_programs(names: &[&str]) -> Command {
    let mut build = cargo();
    build.args(["build", "--workspace"]).args(names.iter().flat_map(|name| ["--bin", name]));
    // Queries are checked against `.sqlx/`, so that a build needs no database.
    build.env("SQLX_OFFLINE", "true");
    build
}

/// Sets the environment variables by which the server finds its site.
pub(crate) fn site_environment(server: &mut Command) {
    server
        .env("LEPTOS_OUTPUT_NAME", OUTPUT_NAME)
        .env("LEPTOS_SITE_ROOT", site(Profile::Dev))
        .env("LEPTOS_SITE_PKG_DIR", "pkg");
}

/// Builds the server and the agent for this machine.
pub(crate) fn programs() -> anyhow::Result<()> {
    step("Building the server and the agent");
    command::run(&mut build_programs(&["toygres-server", "toygres-agent"]))
}

fn wasm(profile: Profile) -> anyhow::Result<()> {
    step("Building the browser's program");
    let (name, _) = profile.of_site();
    let compiler = WasmCompiler::ready().context("there is no compiler for WebAssembly")?;
    let mut build = cargo();
    build
        .args(["build", "-p", "app", "--no-default-features", "--features", "hydrate", "--profile", name])
        .args(["--target", "wasm32-unknown-unknown", "--target-dir"])
        // A directory of its own: it may have another compiler, and it can be built at the same time as the programs.
        .arg(target().join("wasm"));
    compiler.apply(&mut build);
    command::run(&mut build)?;
    let wasm = target().join("wasm/wasm32-unknown-unknown").join(name).join("app.wasm");
    let pkg = site(profile).join("pkg");
    if is_newer(&wasm, &pkg.join(format!("{OUTPUT_NAME}_bg.wasm"))) {
        step("Generating its JavaScript");
        wasm_bindgen_cli_support::Bindgen::new()
            .input_path(&wasm)
            .web(true)?
            .out_name(OUTPUT_NAME)
            .typescript(false)
            .remove_name_section(true)
            .remove_producers_section(true)
            .generate(&pkg)
            .context("generate the JavaScript of the WebAssembly")?;
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

/// Writes one style sheet with the parts that `style/main.css` imports, so that a page needs one request for it.
fn style(profile: Profile) -> anyhow::Result<()> {
    let sheet = inline(&root().join("style/main.css"))?;
    let pkg = site(profile).join("pkg");
    std::fs::create_dir_all(&pkg)?;
    std::fs::write(pkg.join(format!("{OUTPUT_NAME}.css")), sheet).context("write the style sheet")
}

/// A style sheet in which the imported file replaces each line `@import url("x.css") layer(y);` or `@import "x.css";`.
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

/// Copies a directory. Files of the same name are replaced.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imported_style_sheets_are_inlined() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let main = dir.path().join("main.css");
        std::fs::write(&main, "@import url(\"a.css\") layer(base);\n@import \"b.css\";\nc {}\n")?;
        std::fs::write(dir.path().join("a.css"), "a {}\n")?;
        std::fs::write(dir.path().join("b.css"), "b {}\n")?;
        assert_eq!(inline(&main)?, "@layer base {\na {}\n}\nb {}\nc {}\n");
        Ok(())
    }
}
