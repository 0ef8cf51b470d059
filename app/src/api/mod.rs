//! The server functions: who is asking, call `control`, nothing more. Forms post to them without WASM as well.

pub mod frame;
pub mod images;
pub mod instances;
pub mod overview;
pub mod restore;
pub mod runs;
pub mod settings;

#[cfg(feature = "ssr")]
mod caller;
#[cfg(feature = "ssr")]
pub(crate) use caller::{caller, to_sudo_if_asked};
