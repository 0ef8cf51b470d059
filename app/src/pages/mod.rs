//! One page a file: what it fetches, and how it is laid out.

pub mod add_instance;
pub mod errors;
pub mod image;
pub mod images;
pub mod instance;
pub mod instance_dialogs;
pub mod instance_panels;
pub mod instances;
pub mod login;
pub mod new_instance;
pub mod overview;
pub mod password;
pub mod restore;
pub mod run;
pub mod runs;
pub mod settings;
pub mod settings_access;
pub mod settings_platform;
pub mod settings_state;
pub mod settings_store_form;
pub mod settings_stores;
pub mod sudo;
