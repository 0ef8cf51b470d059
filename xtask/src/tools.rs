//! Programs that no Debian package brings: installed below `target/tools`, in pinned versions.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::command::{self, root, step};
use crate::packages::{self, Need};

/// A program that lint or the tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// The emulator of Azure Blob Storage.
    Azurite,
    /// The emulator of S3.
    Moto,
    CargoDeny,
    CargoMachete,
    /// Playwright and what else `end2end/package.json` names.
    NodeModules,
}

// Later versions of Azurite need a newer Node.js than Debian 12 has.
const AZURITE: &str = "azurite@3.35.0";
const MOTO: &str = "moto[server]==5.2.5";
const CARGO_DENY: &str = "0.20.2";
const CARGO_MACHETE: &str = "0.9.2";

impl Tool {
    /// Where the program is after [`Self::install`].
    pub(crate) fn path(self) -> PathBuf {
        let tools = root().join("target/tools");
        match self {
            Self::Azurite => tools.join("azurite/node_modules/.bin/azurite-blob"),
            Self::Moto => tools.join("moto/bin/moto_server"),
            Self::CargoDeny => tools.join(format!("cargo-deny-{CARGO_DENY}/bin/cargo-deny")),
            Self::CargoMachete => tools.join(format!("cargo-machete-{CARGO_MACHETE}/bin/cargo-machete")),
            Self::NodeModules => root().join("end2end/node_modules/.bin/playwright"),
        }
    }

    /// Installs the program if it is missing, and returns its path.
    pub(crate) fn install(self) -> anyhow::Result<PathBuf> {
        let path = self.path();
        if !path.is_file() {
            step(&format!("Installing {self:?}"));
            match self {
                Self::Azurite => npm(&["install", AZURITE, "--prefix", "target/tools/azurite"]),
                Self::Moto => pip("moto", &[MOTO]),
                Self::CargoDeny => cargo_install("cargo-deny", CARGO_DENY),
                Self::CargoMachete => cargo_install("cargo-machete", CARGO_MACHETE),
                Self::NodeModules => npm(&["ci", "--prefix", "end2end"]),
            }
            .with_context(|| format!("install {self:?}"))?;
        }
        Ok(path)
    }
}

fn npm(args: &[&str]) -> anyhow::Result<()> {
    packages::install(&[Need::Node])?;
    let mut npm = Command::new("npm");
    npm.args(args).args(["--no-audit", "--no-fund", "--loglevel=error"]).current_dir(root());
    command::output(&mut npm).map(drop)
}

/// Installs Python packages into a virtual environment below `target/tools`.
fn pip(environment: &str, args: &[&str]) -> anyhow::Result<()> {
    packages::install(&[Need::Python])?;
    let dir = root().join("target/tools").join(environment);
    command::output(Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
    let mut pip = Command::new(dir.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(args);
    command::output(&mut pip).map(drop)
}

/// Compiles a program of crates.io, without optimisation: it runs for seconds and would compile for minutes.
fn cargo_install(name: &str, version: &str) -> anyhow::Result<()> {
    let dir = root().join("target/tools").join(format!("{name}-{version}"));
    let mut install = command::cargo();
    install
        .args(["install", name, "--version", version, "--locked", "--debug", "--quiet", "--root"])
        .arg(dir);
    command::run(&mut install)
}
