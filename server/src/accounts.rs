//! The commands for accounts, tokens, keys and migrations: done on the CMS itself, without a server.

use std::io::{IsTerminal, Read};

use anyhow::Context;
use control::Keyring;
use control::audit::{COMMAND_LINE, by_command};
use platform::Secret;

use crate::config::{RotateKey, State, Token, User};
use crate::embedded::Cms;

/// Brings the CMS to this program's schema.
pub(crate) async fn migrate(state: &State) -> anyhow::Result<()> {
    let beside = Beside::open(state).await?;
    println!("The CMS is up to date.");
    beside.close().await;
    Ok(())
}

/// `user add`, `user passwd`.
pub(crate) async fn user(command: User) -> anyhow::Result<()> {
    let (User::Add { state, .. } | User::Passwd { state, .. }) = &command;
    let password = read_password()?;
    let beside = Beside::open(state).await?;
    let db = &beside.cms.db;
    let done = match &command {
        User::Add { name, role, .. } => {
            let added = control::users::add(db, name, *role, password.reveal(), false);
            by_command(db, "user.create", name, added).await.map(|_| format!("{name} may log in."))
        }
        User::Passwd { name, .. } => {
            let reset = control::users::reset_password(db, name, password.reveal());
            by_command(db, "user.password", name, reset)
                .await
                .map(|()| format!("{name} has the new password."))
        }
    };
    beside.close().await;
    println!("{}", done?);
    Ok(())
}

/// `token add`.
pub(crate) async fn token(command: Token) -> anyhow::Result<()> {
    let Token::Add { state, name, role, days, sudo } = command;
    let beside = Beside::open(&state).await?;
    let expires = days.map(|days| chrono::Utc::now() + chrono::TimeDelta::days(days.into()));
    let db = &beside.cms.db;
    let added = control::tokens::add(db, COMMAND_LINE, &name, role, expires, sudo);
    let token = by_command(db, "token.create", &name, added).await;
    beside.close().await;
    println!("{}", token?);
    Ok(())
}

/// `rotate-key`.
pub(crate) async fn rotate_key(options: RotateKey) -> anyhow::Result<()> {
    let state = &options.state;
    let beside = Beside::open(state).await?;
    if beside.lock.is_none() {
        anyhow::bail!("A server serves this data directory and would go on with the old key. Stop it first.");
    }
    let db = &beside.cms.db;
    let file = state.key_file()?;
    let old = Keyring::open(db, state.encryption_key().as_ref(), &file).await?;
    let given = options.new_key.filter(|key| !key.is_empty()).map(Secret::new);
    let new_key = given.clone().unwrap_or_else(Keyring::generate);
    let new = Keyring::parse(new_key.reveal())?;
    if given.is_none() {
        // Beside the old one first: whatever happens, one of the two files opens the CMS.
        write_key(&file.with_extension("key.new"), &new_key)?;
    }
    let secrets = old.rotate(db, &new).await?;
    control::audit::record(db, COMMAND_LINE, "key.rotate", new.key_id(), "ok", None).await?;
    if given.is_none() {
        std::fs::rename(file.with_extension("key.new"), &file).context("put the new key in its place")?;
    }
    beside.close().await;
    println!(
        "{secrets} secrets are sealed with the key {} now; {} opens nothing any more.",
        new.key_id(),
        old.key_id()
    );
    Ok(())
}

fn write_key(path: &std::path::Path, key: &Secret) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(key.reveal().as_bytes())?;
    Ok(file.sync_all()?)
}

/// The CMS, and the lock of the data directory unless a server has it: its private PostgreSQL is left running then.
struct Beside {
    cms: Cms,
    lock: Option<std::fs::File>,
}

impl Beside {
    async fn open(state: &State) -> anyhow::Result<Self> {
        let lock = platform::local::lock(&state.data_dir()?).ok();
        Ok(Self { cms: Cms::open(state).await?, lock })
    }

    async fn close(self) {
        if self.lock.is_some() {
            self.cms.close().await;
        }
    }
}

/// A password from standard input: one line, or all of a pipe. Never an argument, which everybody can see.
fn read_password() -> anyhow::Result<Secret> {
    let mut text = String::new();
    if std::io::stdin().is_terminal() {
        eprint!("Password: ");
        std::io::stdin().read_line(&mut text).context("read the password")?;
    } else {
        std::io::stdin().read_to_string(&mut text).context("read the password")?;
    }
    Ok(Secret::new(text.trim_end_matches(['\n', '\r']).to_owned()))
}
