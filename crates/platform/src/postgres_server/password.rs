//! The generated password of the embedded server, in a file.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

use crate::files::missing_is_fine;
use crate::{Result, Secret};

/// Reads the password in a file of this process' account, and whether it was generated now because the file did not exist.
pub(super) fn ensure(path: &Path) -> Result<(Secret, bool)> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((Secret::from(text), false)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Hexadecimal digits of the system's random numbers: 244 bits, and no character that needs quotes.
            let text = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
            write(path, &text).with_context(|| format!("write {}", path.display()))?;
            Ok((Secret::from(text), true))
        }
        Err(error) => Err(anyhow::Error::new(error).context(format!("read {}", path.display())).into()),
    }
}

/// Writes a file that only this process' account can read, atomically.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let staging = path.with_extension("writing");
    std::fs::remove_file(&staging).or_else(missing_is_fine)?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&staging)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&staging, path)
}
