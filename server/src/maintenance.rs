//! The commands for accounts, tokens, keys and migrations. They work on the state database without a server.

use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::Context;
use control::Keyring;
use control::audit::{Author, COMMAND_LINE, Entry};
use control::tokens::NewToken;
use platform::{ExposeSecret, Secret};

use crate::config::{RotateKey, StateOptions, Token, User};
use crate::state_database::StateDatabase;

/// Migrates the state database.
pub(crate) async fn migrate(state: &StateOptions) -> anyhow::Result<()> {
    let context = MaintenanceContext::open(state).await?;
    println!("The state database is up to date.");
    context.close().await;
    Ok(())
}

/// `user add`, `user passwd` and `user unlock`.
pub(crate) async fn user(command: User) -> anyhow::Result<()> {
    let (User::Add { state, .. } | User::Passwd { state, .. } | User::Unlock { state, .. }) = &command;
    let password = match &command {
        User::Unlock { .. } => None,
        User::Add { .. } | User::Passwd { .. } => Some(read_password()?),
    };
    let password = password.as_ref().map_or("", |password| password.expose_secret());
    let context = MaintenanceContext::open(state).await?;
    let db = &context.database.db;
    let done = match &command {
        User::Add { name, role, .. } => {
            let entry = Entry::new(Author::COMMAND_LINE, "user.create", name);
            let added = control::users::add(db, &entry, name, *role, password, false);
            entry.perform(db, added).await.map(|_| format!("Account {name} was created."))
        }
        User::Passwd { name, .. } => {
            let entry = Entry::new(Author::COMMAND_LINE, "user.password", name);
            let reset = control::users::reset_password(db, &entry, name, password);
            entry.perform(db, reset).await.map(|()| format!("The password of {name} was changed."))
        }
        User::Unlock { name, .. } => {
            let entry = Entry::new(Author::COMMAND_LINE, "user.unlock", name);
            let unlocked = control::users::unlock(db, &entry, name);
            entry.perform(db, unlocked).await.map(|()| format!("Failed logins of {name} were forgotten."))
        }
    };
    context.close().await;
    println!("{}", done?);
    Ok(())
}

/// `token add`.
pub(crate) async fn token(command: Token) -> anyhow::Result<()> {
    let Token::Add { state, name, role, days, no_expiry, sudo } = command;
    let context = MaintenanceContext::open(&state).await?;
    let expires = (!no_expiry).then(|| chrono::Utc::now() + chrono::TimeDelta::days(days.into()));
    let db = &context.database.db;
    let new = NewToken { by: COMMAND_LINE, name: &name, role, expires, sudo };
    let entry = Entry::new(Author::COMMAND_LINE, "token.create", &name);
    let token = entry.perform(db, control::tokens::add(db, &entry, None, new)).await;
    context.close().await;
    println!("{}", token?);
    Ok(())
}

/// `rotate-key`.
pub(crate) async fn rotate_key(options: RotateKey) -> anyhow::Result<()> {
    let state = &options.state;
    let context = MaintenanceContext::open(state).await?;
    if context.lock.is_none() {
        anyhow::bail!(
            "A server uses this data directory and would continue with the old key. Stop the server first."
        );
    }
    let db = &context.database.db;
    let file = state.key_file()?;
    let old = Keyring::open(db, state.encryption_key().as_ref(), &file).await?;
    let given = options.new_key.filter(|key| !key.is_empty()).map(Secret::from);
    let new_key = given.clone().unwrap_or_else(Keyring::generate);
    let new = Keyring::parse(new_key.expose_secret())?;
    let new_file = file.with_extension("key.new");
    if given.is_none() {
        // Written first: after a crash, one of the two files contains the key of the state database.
        write_key(&new_file, &new_key)?;
    }
    let secrets = old.rotate(db, &new).await?;
    control::audit::record(db, &Author::COMMAND_LINE, "key.rotate", new.key_id(), "ok", None).await?;
    if given.is_none() {
        std::fs::rename(&new_file, &file).context("replace the key file")?;
    }
    context.close().await;
    println!(
        "{secrets} secrets were sealed with the key {}. The key {} is no longer used.",
        new.key_id(),
        old.key_id()
    );
    Ok(())
}

fn write_key(path: &std::path::Path, key: &Secret) -> anyhow::Result<()> {
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(key.expose_secret().as_bytes())?;
    Ok(file.sync_all()?)
}

/// The state database, and the lock of the data directory unless a server holds it. The embedded server of a running
/// server is not stopped.
struct MaintenanceContext {
    database: StateDatabase,
    lock: Option<std::fs::File>,
}

impl MaintenanceContext {
    /// Opens the state database of an installation. A mistyped data directory does not become a new one.
    async fn open(state: &StateOptions) -> anyhow::Result<Self> {
        let data_dir = state.data_dir()?;
        anyhow::ensure!(
            state.database_url.is_some() || StateDatabase::exists(&data_dir),
            "There is no state database in {}. Name the data directory of the server with --data-dir or TOYGRES_DATA_DIR; the first start of the server creates the state database.",
            data_dir.display()
        );
        let lock = platform::local::lock(&data_dir).ok();
        Ok(Self { database: StateDatabase::open(state).await?, lock })
    }

    async fn close(self) {
        if self.lock.is_some() {
            self.database.close().await;
        }
    }
}

/// Reads a password from the terminal without echo or, if standard input is not a terminal, from standard input. It is never
/// an argument, which other users could see.
fn read_password() -> anyhow::Result<Secret> {
    if std::io::stdin().is_terminal() {
        return Ok(Secret::from(rpassword::prompt_password("Password: ").context("read the password")?));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("read the password")?;
    Ok(Secret::from(text.trim_end_matches(['\n', '\r'])))
}
