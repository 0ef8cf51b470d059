//! One page a file: what it fetches, and how it is laid out.

pub mod add_instance;
pub mod errors;
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
