//! Installs what a command needs on this machine.

use crate::packages::{self, Need};
use crate::tools::Tool;
use crate::wasm;

/// For building and running: PostgreSQL and the standard library for WebAssembly.
pub(crate) fn for_run() -> anyhow::Result<()> {
    packages::install(&[Need::Postgres])?;
    wasm::install()
}

/// For building: the standard library for WebAssembly.
pub(crate) fn for_build() -> anyhow::Result<()> {
    wasm::install()
}

/// For the Rust tests: PostgreSQL, the emulators of stores, and the programs with which tests send requests.
pub(crate) fn for_rust_tests() -> anyhow::Result<()> {
    packages::install(&RUST_TESTS)?;
    // Its package is named after the PostgreSQL that is installed.
    packages::install(&[Need::Cron])?;
    install(&[Tool::Azurite, Tool::Moto])
}

/// For all tests: those of Rust, the browser, and what lint runs.
pub(crate) fn for_test() -> anyhow::Result<()> {
    packages::install(&[&RUST_TESTS[..], &[Need::Chromium, Need::Shellcheck]].concat())?;
    for_rust_tests()?;
    wasm::install()?;
    install(&[Tool::CargoDeny, Tool::CargoMachete, Tool::NodeModules])
}

const RUST_TESTS: [Need; 7] =
    [Need::Postgres, Need::Node, Need::Curl, Need::Openssl, Need::Faketime, Need::Guide, Need::Python];

fn install(tools: &[Tool]) -> anyhow::Result<()> {
    tools.iter().try_for_each(|tool| tool.install().map(drop))
}
