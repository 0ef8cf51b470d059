//! What the product does: a noun is a file of queries and commands, a verb is a file in `workflows/`. It knows no HTTP and
//! no pages.

pub mod audit;
mod collector;
pub mod diagnosis;
mod error;
mod health;
pub mod images;
pub mod instances;
mod jobs;
mod logs;
mod migrate;
pub mod overview;
pub mod test_platform;
mod restore_plan;
pub mod runs;
mod search;
mod secret_refs;
pub mod secrets;
mod services;
pub mod stores;
pub mod tokens;
pub mod users;
pub mod volumes;
pub mod worker;
pub mod workflows;

pub use error::{Error, Result, Started};
pub use migrate::{MigrateError, migrate};
pub use restore_plan::Target;
pub use secrets::Keyring;
pub use services::{Config, Services};
