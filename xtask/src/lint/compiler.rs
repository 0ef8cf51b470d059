//! Checks by the tools of the toolchain: rustfmt, Clippy and rustdoc.

use std::process::Command;

use crate::command::{self, cargo};

/// # Errors
/// A file is not formatted.
pub(super) fn format() -> anyhow::Result<()> {
    command::run(cargo().args(["fmt", "--all", "--check"]))
}

/// Clippy over every crate and its tests. One selection of packages for all: another one compiles their dependencies again, with
/// other features.
pub(super) fn clippy_command() -> Command {
    let mut clippy = cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]);
    clippy
}

/// # Errors
/// Clippy or the compiler warns.
pub(super) fn clippy() -> anyhow::Result<()> {
    command::run(clippy_command().env("SQLX_OFFLINE", "true"))
}

/// # Errors
/// rustdoc warns, such as of a link that leads nowhere.
pub(super) fn docs() -> anyhow::Result<()> {
    let mut doc = cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    command::run(doc.env("RUSTDOCFLAGS", "-D warnings").env("SQLX_OFFLINE", "true"))
}
