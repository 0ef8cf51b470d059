//! What can go wrong with images and stores, as far as callers act differently on it, in sentences that name the cause
//! and what to do. It does no input or output.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use model::ExitClass;

/// A failure of a store, or of an image in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store's URL or a key cannot be what it is.
    #[error("{0}")]
    Configuration(String),
    /// An object is not there.
    #[error("{key} is missing from the store: it was deleted, or this is not the place where it was written")]
    Missing {
        /// Its key below the store.
        key: String,
    },
    /// There is no manifest.
    #[error(
        "there is no image at {prefix}: its manifest.json is missing, so it was never finished or was deleted"
    )]
    NoImage {
        /// Where it should be: below the store.
        prefix: String,
    },
    /// Something of that key is there already and is not overwritten.
    #[error("{key} is in the store already, and what is there is never overwritten")]
    Exists {
        /// Its key below the store.
        key: String,
    },
    /// What was read is not what was written.
    #[error("{key} is damaged: {why}")]
    Corrupt {
        /// Its key below the store.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The image is of a kind that this program does not know.
    #[error(
        "this program cannot read {key}: {why}; use the version of Toygres that wrote it, or a newer one"
    )]
    Unknown {
        /// The manifest's key below the store.
        key: String,
        /// What it does not know.
        why: String,
    },
    /// The store does not let us.
    #[error(
        "the store refuses access to {key} ({why}): let the user that Toygres' jobs run as read and write there"
    )]
    Refused {
        /// The key below the store.
        key: String,
        /// The store's words.
        why: String,
    },
    /// The store takes no writes.
    #[error("the store is read-only, {key} cannot be written: mount it for writing, or choose another store")]
    ReadOnly {
        /// The key below the store.
        key: String,
    },
    /// The store is full.
    #[error(
        "the store is full ({why}), {key} cannot be written: delete images that nobody needs, or make it larger"
    )]
    Full {
        /// The key below the store.
        key: String,
        /// Disk full or quota reached.
        why: &'static str,
    },
    /// The store does not answer.
    #[error("the store could not be reached for {key}: {why}")]
    Unreachable {
        /// The key below the store.
        key: String,
        /// The words of the network.
        why: String,
    },
    /// Anything else; it may work the next time.
    #[error("the store failed at {key}: {why}")]
    Transient {
        /// The key below the store.
        key: String,
        /// Its words.
        why: String,
    },
}

/// Shorthand.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What the failure means for a job: whether to try again, and what to tell people.
    #[must_use]
    pub fn class(&self) -> ExitClass {
        match self {
            Self::Configuration(_)
            | Self::Exists { .. }
            | Self::Unknown { .. }
            | Self::ReadOnly { .. }
            | Self::Full { .. } => ExitClass::Configuration,
            Self::Missing { .. } | Self::NoImage { .. } | Self::Corrupt { .. } => ExitClass::Verification,
            Self::Refused { .. } => ExitClass::Authentication,
            Self::Unreachable { .. } => ExitClass::Unreachable,
            Self::Transient { .. } => ExitClass::Transient,
        }
    }

    pub(crate) fn corrupt(key: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Corrupt { key: key.into(), why: why.into() }
    }

    /// Finds the cause behind a store's error.
    pub(crate) fn of_store(key: impl Into<String>, error: &object_store::Error) -> Self {
        use object_store::Error as E;
        let key = key.into();
        if let Some(error) = io_cause(error) {
            return Self::of_io(key, error);
        }
        let why = error.to_string();
        match error {
            E::NotFound { .. } => Self::Missing { key },
            E::AlreadyExists { .. } | E::Precondition { .. } => Self::Exists { key },
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => Self::Refused { key, why },
            E::InvalidPath { .. } | E::NotSupported { .. } | E::NotImplemented { .. } => {
                Self::Configuration(why)
            }
            _ => Self::Transient { key, why },
        }
    }

    pub(crate) fn of_io(key: impl Into<String>, error: &io::Error) -> Self {
        let key = key.into();
        let why = error.to_string();
        match error.kind() {
            ErrorKind::NotFound => Self::Missing { key },
            ErrorKind::AlreadyExists => Self::Exists { key },
            ErrorKind::PermissionDenied => Self::Refused { key, why },
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { key },
            ErrorKind::StorageFull => Self::Full { key, why: "no space left on its disk" },
            ErrorKind::QuotaExceeded => Self::Full { key, why: "its quota is used up" },
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable => Self::Unreachable { key, why },
            _ => Self::Transient { key, why },
        }
    }
}

/// The operating system's error at the bottom of another.
fn io_cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}
