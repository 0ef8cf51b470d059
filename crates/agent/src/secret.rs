//! The secrets of a task, read from files and wiped from memory when dropped.

use std::path::Path;

use anyhow::{Context as _, Result};
use image::StoreOptions;
use model::FailureCode;
use model::agent::{SECRET_PASSWORD, SECRET_STORE};
use secrecy::{ExposeSecret as _, SecretString};

use crate::failure::fail;
use crate::redact::Redactor;

/// The secrets of a task.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    /// The password of the task's connection, or of the restored instance's superuser.
    pub(crate) password: Option<SecretString>,
    /// The options of the task's store.
    pub(crate) store: StoreOptions,
}

impl Secrets {
    /// Reads the secrets that exist in a directory.
    ///
    /// # Errors
    /// A file cannot be read, is not UTF-8, or the store's options are invalid.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let store = read(&dir.join(SECRET_STORE))?;
        let store = store.map(|text| StoreOptions::from_json(text.expose_secret().as_bytes())).transpose()?;
        Ok(Self { password: read(&dir.join(SECRET_PASSWORD))?, store: store.unwrap_or_default() })
    }

    /// A redactor that knows all of the secrets.
    pub(crate) fn redactor(&self) -> Redactor {
        let store = self.store.secrets();
        let password = self.password.as_ref().map(SecretString::expose_secret);
        Redactor::new(password.into_iter().chain(store.iter().map(String::as_str)))
    }
}

/// Reads a file whose whole content is the secret; none if the file does not exist.
fn read(path: &Path) -> Result<Option<SecretString>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read the secret {}", path.display())),
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.into())),
            Err(_) => {
                Err(fail(FailureCode::TaskInvalid, format!("the secret {} is not UTF-8", path.display())))
            }
        },
    }
}
