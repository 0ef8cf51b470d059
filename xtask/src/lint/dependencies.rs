//! The crates' dependencies, by cargo-shear and cargo-deny.

use std::process::Command;

use crate::command;
use crate::tools::Tool;

/// # Errors
/// A crate declares a dependency that its code does not use, or no module declares a source file.
pub(super) fn unused() -> anyhow::Result<()> {
    let shear = Tool::CargoShear.install()?;
    command::run(Command::new(shear).args(["shear", "--locked", "--deny-warnings"]))
}

/// Checks licences, sources and bans, and the advisories if their database can be fetched. Returns what was left out.
///
/// # Errors
/// A dependency violates `deny.toml`.
pub(super) fn licences() -> anyhow::Result<Option<String>> {
    let deny = Tool::CargoDeny.install()?;
    let deny = || Command::new(&deny);
    command::run(deny().args(["--log-level", "error", "check", "bans", "licenses", "sources"]))?;
    if command::succeeds(deny().args(["fetch", "db"])) {
        command::run(deny().args(["check", "--disable-fetch", "advisories"]))?;
        return Ok(None);
    }
    Ok(Some("advisories of dependencies: their database cannot be fetched".to_owned()))
}
