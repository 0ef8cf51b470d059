//! The command line. No other module reads arguments or environment variables. `--help` names the variable of every option.

mod kubernetes;
mod maintenance;
mod retention;
mod serve;
mod state;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

pub(crate) use maintenance::{RotateKey, Token, User};
pub(crate) use serve::Serve;
pub(crate) use state::StateOptions;

/// Backs up PostgreSQL instances into images and restores them.
#[derive(Parser)]
#[command(name = "toygres-server", version)]
pub(crate) struct Cli {
    /// What to log, such as `info` or `toygres_server=debug,info`.
    #[arg(long, env = "RUST_LOG", global = true, default_value = "info,sqlx::postgres::notice=warn")]
    log: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// What to log; `info` if the filter is invalid.
    pub(crate) fn log_filter(&self) -> EnvFilter {
        EnvFilter::try_new(&self.log).unwrap_or_else(|_| EnvFilter::new("info"))
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve the dashboard and run the worker in one process.
    ///
    /// Without DATABASE_URL, the state database is an embedded PostgreSQL server in the data directory.
    Standalone(Serve),
    /// Serve the dashboard and the REST API. Requires DATABASE_URL and workers.
    Api(Serve),
    /// Run the worker only. Requires DATABASE_URL.
    Worker(Serve),
    /// Migrate the state database to the schema of this version and exit.
    Migrate(StateOptions),
    /// Manage accounts.
    #[command(subcommand)]
    User(User),
    /// Manage bearer tokens.
    #[command(subcommand)]
    Token(Token),
    /// Seal all secrets with a new key. Stop all servers first, and start them with the new key.
    RotateKey(RotateKey),
}
