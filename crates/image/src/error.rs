//! What can go wrong with a store or an image, in sentences that name the cause and the fix.

use model::ExitClass;

/// Shorthand.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong, as far as callers act differently on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing is there under that key.
    #[error("the store has no {0}")]
    Missing(String),
    /// There is no image: its manifest is missing.
    #[error(
        "there is no image at {0}: its manifest.json is missing, so it was never finished or was deleted"
    )]
    NoImage(String),
    /// What is there is not what was written.
    #[error("{key} is damaged: {why}. Restore another image; this one must not be used")]
    Corrupt {
        /// The object.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something is there already and is not to be overwritten.
    #[error("the store has {0} already; an image is written only once")]
    Exists(String),
    /// The store's directory does not let us.
    #[error("the store refuses access to {0}: let the user that jobs run as read and write there")]
    Refused(String),
    /// A provider does not let us; the words have its code and the fix.
    #[error("{0}")]
    Denied(String),
    /// The way to a provider is closed.
    #[error("{0}")]
    Unreachable(String),
    /// A store's options, or what they name, are wrong.
    #[error("{0}")]
    Settings(String),
    /// No space is left.
    #[error(
        "the store is full: no space left while writing {0}. Delete images that nobody needs, or make it larger"
    )]
    Full(String),
    /// The store takes nothing.
    #[error("the store is read-only: {0} cannot be written. Mount it for writing, or choose another store")]
    ReadOnly(String),
    /// The store's address is none that this program knows.
    #[error("{0}")]
    Unsupported(String),
    /// It may work the next time.
    #[error("the store did not answer for {key}: {cause}")]
    Transient {
        /// The object.
        key: String,
        /// What was heard.
        cause: String,
    },
}

impl Error {
    /// The class that an agent exits with.
    #[must_use]
    pub fn class(&self) -> ExitClass {
        match self {
            Self::Missing(_) | Self::NoImage(_) | Self::Corrupt { .. } => ExitClass::Verification,
            Self::Exists(_)
            | Self::Full(_)
            | Self::ReadOnly(_)
            | Self::Settings(_)
            | Self::Unsupported(_) => ExitClass::Configuration,
            Self::Refused(_) | Self::Denied(_) => ExitClass::Authentication,
            Self::Unreachable(_) => ExitClass::Unreachable,
            Self::Transient { .. } => ExitClass::Transient,
        }
    }

    pub(crate) fn corrupt(key: &str, why: impl Into<String>) -> Self {
        Self::Corrupt { key: key.to_owned(), why: why.into() }
    }

    /// Sorts what the library says about `key` in a directory.
    pub(crate) fn of(key: &str, error: object_store::Error) -> Self {
        use std::io::ErrorKind;
        let key = key.to_owned();
        match &error {
            object_store::Error::NotFound { .. } => return Self::Missing(key),
            object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
                return Self::Exists(key);
            }
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                return Self::Refused(key);
            }
            _ => {}
        }
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
                Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => return Self::Full(key),
                Some(ErrorKind::ReadOnlyFilesystem) => return Self::ReadOnly(key),
                Some(ErrorKind::PermissionDenied) => return Self::Refused(key),
                _ => cause = error.source(),
            }
        }
        Self::Transient { key, cause: error.to_string() }
    }

    pub(crate) fn io(key: &str, error: std::io::Error) -> Self {
        Self::of(key, object_store::Error::Generic { store: "directory", source: Box::new(error) })
    }
}
