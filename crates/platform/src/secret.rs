//! The type of passwords and keys.

pub use secrecy::ExposeSecret;

/// A secret text: redacted in `Debug`, not serializable, overwritten when dropped. Read it with [`ExposeSecret`].
pub type Secret = secrecy::SecretString;
