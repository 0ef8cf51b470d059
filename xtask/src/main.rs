//! `cargo xtask`: sets up, builds, serves and tests Toygres. It parses and dispatches; each command is a file.

mod bench;
mod browser;
mod build;
mod check;
mod cluster;
mod command;
mod emulators;
mod image;
mod kubernetes;
mod queries;
mod scratch;
mod serve;
mod setup;
mod test;

use clap::{Parser, Subcommand};

/// Everything one does with this repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sets up what is missing, builds, and serves the dashboard.
    ///
    /// What follows `--` goes to the server: `cargo xtask run -- --listen 127.0.0.1:9000 --data-dir /tmp/toygres`.
    Run {
        /// Against the cluster that KUBECONFIG names, from outside of it.
        #[arg(long)]
        kubernetes: bool,
        /// Arguments for `toygres-server standalone`; see `cargo xtask run -- --help`.
        #[arg(last = true)]
        server: Vec<String>,
    },
    /// Runs all tests (lint, unit and integration, browser, Kubernetes where a cluster is reachable) and closes with one summary.
    Test {
        /// Only these parts.
        #[arg(value_enum)]
        only: Vec<test::Part>,
    },
    /// Serves the dashboard and builds and restarts it at each change of a source file.
    Dev {
        /// Arguments for `toygres-server standalone`.
        #[arg(last = true)]
        server: Vec<String>,
    },
    /// Takes a screenshot of every page, light and dark, wide and narrow, into target/screenshots, and README's.
    Screenshots,
    /// Formatting, clippy, layering, licences and the checked queries; the first part of `test`.
    Lint,
    /// Writes `.sqlx/` anew: what the checked queries look like to PostgreSQL, for builds without a database.
    Queries,
    /// Measures the agent's backup and restore beside pg_dump and pg_restore, and prints how they compare.
    Bench {
        /// pgbench's scale: about 15 MB each.
        #[arg(long, default_value_t = 70)]
        scale: u32,
    },
    /// Builds the server, the agent and the site, and says where they are.
    Build,
    /// Builds the container image from programs that are built outside of it.
    Image {
        /// What to call it.
        #[arg(long, default_value = image::TAG)]
        tag: String,
        /// Optimised, and in need of nothing of this machine.
        #[arg(long)]
        release: bool,
        /// Only lays what is in it into target/image.
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
        Command::Test { only } => test::run(&only),
        Command::Dev { server } => serve::dev(&server),
        Command::Screenshots => browser::screenshots(),
        Command::Lint => check::run(),
        Command::Queries => queries::write(),
        Command::Bench { scale } => bench::run(scale),
        Command::Build => {
            setup::for_run()?;
            build::all()
        }
        Command::Image { release, context_only: true, .. } => image::context(release).map(drop),
        Command::Image { tag, release, context_only: false } => image::build(&tag, release).map(drop),
    }
}
