//! The crates' dependencies, by cargo-machete and cargo-deny.

use std::process::Command;

use crate::command;
use crate::tools::Tool;

/// # Errors
/// A crate declares a dependency that its code does not use.
pub(super) fn unused() -> anyhow::Result<()> {
    let machete = Tool::CargoMachete.install()?;
    command::run(&mut Command::new(machete))
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
