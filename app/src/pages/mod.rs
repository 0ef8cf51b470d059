//! The pages. A page is a component that loads its data, and a view component that renders given data: tests render views
//! from fixtures without a browser and without a database.
#![expect(unreachable_pub, reason = "the component macro declares every component `pub`")]

pub mod add_instance;
pub mod errors;
#[cfg(all(test, feature = "ssr"))]
mod fixtures;
pub mod image;
pub mod images;
pub mod instance;
pub mod instances;
pub mod login;
pub mod new_instance;
pub mod overview;
pub mod password;
pub mod restore;
pub mod run;
pub mod runs;
pub mod settings;
pub mod sudo;
#[cfg(all(test, feature = "ssr"))]
mod tests;
