//! Azurite and moto, which stand in for Azure Blob Storage and S3 in the tests: installed below `target/tools`, once.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::command::{self, say};

// Later versions of Azurite need a newer Node.js than Debian 12 has.
const AZURITE: &str = "azurite@3.35.0";
const MOTO: &str = "moto[server]==5.2.5";

fn tools() -> PathBuf {
    command::root().join("target/tools")
}

/// What starts Azurite.
pub(crate) fn azurite() -> PathBuf {
    tools().join("azurite/node_modules/.bin/azurite-blob")
}

/// What starts moto.
pub(crate) fn moto() -> PathBuf {
    tools().join("moto/bin/moto_server")
}

/// Installs what is missing.
pub(crate) fn install() -> anyhow::Result<()> {
    if !azurite().is_file() {
        say("Installing Azurite below target/tools");
        let dir = tools().join("azurite");
        std::fs::create_dir_all(&dir)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
            .arg(&dir)
            .arg(AZURITE);
        command::output(&mut npm).context("install Azurite")?;
    }
    if !moto().is_file() {
        say("Installing moto below target/tools");
        let dir = tools().join("moto");
        command::output(Command::new("python3").args(["-m", "venv"]).arg(&dir))
            .context("make a place for moto")?;
        let mut pip = Command::new(dir.join("bin/pip"));
        command::output(pip.args(["install", "--quiet", "--disable-pip-version-check", MOTO]))
            .context("install moto")?;
    }
    Ok(())
}
