//! Server functions: they check the role of the caller and call `control`. Forms post to them without WASM as well.
#![expect(
    missing_docs,
    reason = "the arguments of a server function become fields of a struct that is not used directly"
)]

pub mod images;
#[expect(clippy::too_many_arguments, reason = "each field of a form is an argument")]
pub mod instances;
pub mod layout;
pub mod overview;
pub mod platform;
pub mod restore;
pub mod runs;
pub mod settings;
pub mod stores;

#[cfg(feature = "ssr")]
mod caller;
#[cfg(feature = "ssr")]
pub(crate) mod cookies;
#[cfg(feature = "ssr")]
pub use caller::RoleRefusal;
#[cfg(feature = "ssr")]
pub(crate) use caller::{caller, redirect_if_sudo_required, redirect_to_sudo};
#[cfg(feature = "ssr")]
pub use cookies::SecureCookies;
