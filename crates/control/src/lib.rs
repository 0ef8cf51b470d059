//! What the product does. A noun is a module of queries (`images`, `instances`, `runs`, `stores`); a verb is a command that a
//! user gives (`commands`) or a workflow that carries it out (`workflows`). This crate knows no HTTP and no pages.

pub mod audit;
pub mod changes;
mod collector;
pub mod commands;
pub mod diagnosis;
mod duty;
mod error;
mod health;
pub mod images;
pub mod instances;
mod jobs;
mod locks;
mod logs;
mod migrate;
mod network;
pub mod overview;
pub mod restore_plan;
mod retention;
pub mod runs;
mod search;
mod secret_refs;
pub mod secrets;
mod services;
pub mod store_checks;
pub mod stores;
pub mod tokens;
pub mod users;
pub mod volumes;
pub mod worker;
pub mod workflows;

pub use error::{Error, Result, Started};
pub use migrate::{MigrateError, migrate};
pub use network::NetworkAccess;
pub use restore_plan::Target;
pub use secrets::Keyring;
pub use services::{Config, Maintenance, Services};
pub use workflow::pool_options;
