//! `soak`: random faults over a mixed load, for as long as wanted.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;

use crate::command::{self, step};
use crate::scratch::Scratch;
use crate::{build, setup, test_programs};

/// Runs the soak. A seed repeats the decisions of an earlier one, not the times at which they meet the load.
pub(crate) fn run(minutes: u32, seed: Option<u64>) -> anyhow::Result<()> {
    setup::for_rust_tests()?;
    build::programs()?;
    let programs = test_programs::compiled(&["--test", "soak"])?;
    let program = programs.first().context("cargo compiled no soak")?;
    let scratch = Scratch::start()?;
    step(&format!("Random faults over a mixed load, {minutes} min"));
    let mut soak = program.configure(Command::new(&program.path));
    soak.args(["--ignored", "--nocapture"]).env("DATABASE_URL", scratch.url());
    soak.env("TOYGRES_SOAK_MINUTES", minutes.to_string());
    let seed = match seed {
        Some(seed) => seed,
        // Another one for each soak.
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
    };
    soak.env("TOYGRES_SOAK_SEED", seed.to_string());
    command::run(&mut soak)
}
