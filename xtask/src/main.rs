//! `cargo xtask`: sets up, builds, serves and tests Toygres. Each command is a file.

mod bench;
mod browser;
mod build;
mod cluster;
mod command;
mod image;
mod kubernetes;
mod lint;
mod packages;
mod report;
mod rust_tests;
mod scratch;
mod serve;
mod setup;
mod soak;
mod test;
mod test_programs;
mod tools;
mod wasm;

use clap::{Parser, Subcommand};

/// Sets up, builds, serves and tests Toygres.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what is missing, builds, and serves the dashboard.
    ///
    /// Arguments after `--` are those of the server: `cargo xtask run -- --listen 127.0.0.1:9000 --data-dir /tmp/toygres`.
    Run {
        /// Run instances and jobs on the cluster of KUBECONFIG; the server stays on this machine.
        #[arg(long)]
        kubernetes: bool,
        /// Arguments for `toygres-server standalone`; see `cargo xtask run -- --help`.
        #[arg(last = true)]
        server: Vec<String>,
    },
    /// Runs all tests (lint, Rust, browser, and Kubernetes if a cluster is reachable) and closes with one summary.
    ///
    /// Arguments after `test rust --` are those of `cargo test`, which finds PostgreSQL, the agent and the stores' emulators:
    ///
    ///   cargo xtask test rust -- --package workflow expired_lease
    ///   cargo xtask test rust -- --package control --test stores -- --include-ignored
    #[command(verbatim_doc_comment)]
    Test {
        /// Only these parts.
        #[arg(value_enum)]
        only: Vec<test::Part>,
        /// Arguments for `cargo test`: a name, `--package`, `--test`.
        #[arg(last = true)]
        cargo_test: Vec<String>,
    },
    /// Serves the dashboard; builds and restarts it when a source file changes.
    Dev {
        /// Arguments for `toygres-server standalone`.
        #[arg(last = true)]
        server: Vec<String>,
    },
    /// Writes screenshots of every page, light and dark, wide and narrow, to target/screenshots, and the one of README.
    Screenshots,
    /// Checks code, documents and dependencies; the first part of `test`.
    Lint {
        /// Only these checks.
        #[arg(value_enum)]
        only: Vec<lint::Check>,
    },
    /// Rewrites `.sqlx/`, PostgreSQL's descriptions of the checked queries, for builds without a database.
    Queries,
    /// Compares the agent's backup and restore with pg_dump and pg_restore, in time and memory.
    Bench {
        /// The scale of pgbench: about 15 MB each.
        #[arg(long, default_value_t = 70)]
        scale: u32,
    },
    /// Kills, stops and disconnects everything at random under a mixed load, then checks that nothing is stuck, lost or left.
    Soak {
        /// How long.
        #[arg(long, default_value_t = 60)]
        minutes: u32,
        /// The seed of the decisions, which an earlier soak printed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Builds the server, the agent and the site.
    Build,
    /// Builds the programs, then the container image.
    Image {
        /// Its name.
        #[arg(long, default_value = image::TAG)]
        tag: String,
        /// Optimised and statically linked.
        #[arg(long)]
        release: bool,
        /// Only write the build context, to target/image.
        #[arg(long)]
        context_only: bool,
    },
}

fn main() -> std::process::ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\x1b[1;31merror\x1b[0m: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<()> {
    std::env::set_current_dir(command::root())?;
    match command {
        Command::Run { kubernetes: true, server } => kubernetes::run(&server),
        Command::Run { kubernetes: false, server } => serve::run(&server),
        Command::Test { only, cargo_test } => test::run(&only, &cargo_test),
        Command::Dev { server } => serve::dev(&server),
        Command::Screenshots => browser::screenshots(),
        Command::Lint { only } => test::lint(&only),
        Command::Queries => lint::queries::write(),
        Command::Bench { scale } => bench::run(scale),
        Command::Soak { minutes, seed } => soak::run(minutes, seed),
        Command::Build => {
            setup::for_run()?;
            build::all()
        }
        Command::Image { release, context_only: true, .. } => image::context(release).map(drop),
        Command::Image { tag, release, context_only: false } => image::build(&tag, release).map(drop),
    }
}
