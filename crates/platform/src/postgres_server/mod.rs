//! A PostgreSQL server on this machine: its data directory, its configuration and its process. It knows neither instances
//! nor the state database, which both run on one.

mod embedded;
mod log_file;
mod password;
mod program;
mod server;

pub use embedded::{EMBEDDED_PORT, EMBEDDED_USER, EmbeddedServer};
pub(crate) use server::Startup;
pub use server::{PostgresServer, ProcessState};
