//! What the commands for accounts, tokens and keys are told.

use clap::{Args, Subcommand};
use model::Role;

use super::State;

#[derive(Subcommand)]
pub(crate) enum User {
    /// Makes an account. The password is read from standard input.
    Add {
        #[command(flatten)]
        state: State,
        /// Its name.
        name: String,
        /// What it may do.
        #[arg(long, default_value = "viewer", value_parser = role)]
        role: Role,
    },
    /// Sets an account's password, read from standard input; its sessions end.
    Passwd {
        #[command(flatten)]
        state: State,
        /// Its name.
        name: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Token {
    /// Makes a token and prints it, once.
    Add {
        #[command(flatten)]
        state: State,
        /// What to call it.
        name: String,
        /// What it may do.
        #[arg(long, default_value = "viewer", value_parser = role)]
        role: Role,
        /// For how many days it works; for ever if not given.
        #[arg(long)]
        days: Option<u16>,
        /// It needs no second password before it deletes or reveals.
        #[arg(long)]
        sudo: bool,
    },
}

#[derive(Args)]
pub(crate) struct RotateKey {
    #[command(flatten)]
    pub(crate) state: State,
    /// The new key: 32 bytes in base64; made, and put into the data directory's file, if not given.
    #[arg(long, env = "TOYGRES_NEW_ENCRYPTION_KEY", hide_env_values = true, value_name = "BASE64")]
    pub(crate) new_key: Option<String>,
}

fn role(text: &str) -> Result<Role, String> {
    text.parse()
}
