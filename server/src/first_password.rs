//! Announces the one-time password of the first account: on the terminal or, if there is none, in a file of the data
//! directory. It is never logged.

use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use platform::{ExposeSecret, Secret};

/// The file's name in the data directory.
const FILE: &str = "first-password";

/// Prints the password, or writes it to a file that only this account can read and prints the path.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn announce(name: &str, password: &Secret, data_dir: &Path) -> anyhow::Result<()> {
    let text = format!("Log in as {name} with the one-time password {}\n", password.expose_secret());
    if std::io::stdout().is_terminal() {
        print!("{text}");
        return Ok(());
    }
    let path = data_dir.join(FILE);
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("write {}", path.display()))?;
    println!("The one-time password of {name} is in {}", path.display());
    Ok(())
}

/// Deletes the file after the password was changed.
pub(crate) fn delete(data_dir: &Path) {
    match std::fs::remove_file(data_dir.join(FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, file = FILE, "cannot delete the file of the one-time password");
        }
        _ => {}
    }
}
