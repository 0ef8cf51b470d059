//! What the product does: a noun is a file of queries and commands, a verb is a file in `workflows/`. It knows no HTTP and
//! no pages.

pub mod audit;
mod collector;
mod diagnosis;
mod error;
mod health;
pub mod images;
pub mod instances;
mod jobs;
mod logs;
mod migrate;
pub mod overview;
mod restore_plan;
pub mod runs;
mod search;
pub mod secrets;
mod services;
pub mod stores;
pub mod tokens;
pub mod users;
pub mod worker;
pub mod workflows;

pub use error::{Error, Result, Started};
pub use migrate::{MigrateError, migrate};
pub use secrets::Keyring;
pub use services::{Config, Services};
