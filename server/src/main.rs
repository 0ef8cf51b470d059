//! `toygres-server`: parses the command line and calls the command.

mod auth;
mod config;
mod connections;
mod device;
mod errors;
mod event_streams;
mod first_password;
mod first_store;
mod headers;
mod idempotency;
mod maintenance;
mod metrics;
mod open_platform;
mod openapi;
mod pages;
mod rest;
mod router;
mod serve;
mod session;
mod session_routes;
mod shares;
mod state;
mod state_database;
mod streams;
mod sweep;
mod turns;

use clap::Parser;
use config::{Cli, Command};

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(cli.log_filter())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return std::process::ExitCode::FAILURE;
        }
    };
    match runtime.block_on(dispatch(cli)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            explain(&error);
            std::process::ExitCode::FAILURE
        }
    }
}

/// Prints cause and fix of an error of the platform, such as a setting that it refuses.
fn explain(error: &anyhow::Error) {
    let platform = error.chain().find_map(|cause| cause.downcast_ref::<platform::Error>());
    if let Some(explanation) = platform.map(|error| error.code().explanation()) {
        eprintln!("Cause: {}\nFix: {}", explanation.cause, explanation.fix);
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Standalone(options) => serve::run(options, serve::Parts { http: true, worker: true }).await,
        Command::Api(options) => serve::run(options, serve::Parts { http: true, worker: false }).await,
        Command::Worker(options) => serve::run(options, serve::Parts { http: false, worker: true }).await,
        Command::Migrate(state) => maintenance::migrate(&state).await,
        Command::User(command) => maintenance::user(command).await,
        Command::Token(command) => maintenance::token(command).await,
        Command::RotateKey(options) => maintenance::rotate_key(options).await,
    }
}
