//! The arguments of the commands for accounts, tokens and keys.

use clap::{Args, Subcommand};
use model::Role;

use super::state::StateOptions;

#[derive(Subcommand)]
pub(crate) enum User {
    /// Create an account. The password is read from the terminal or from standard input.
    Add {
        #[command(flatten)]
        state: StateOptions,
        /// The name.
        name: String,
        /// The role: viewer, operator or admin.
        #[arg(long, default_value = "viewer", value_parser = role)]
        role: Role,
    },
    /// Change the password of an account, enable it and end its sessions. The password is read as by `user add`.
    Passwd {
        #[command(flatten)]
        state: StateOptions,
        /// The name.
        name: String,
    },
    /// Forget the failed logins of an account, so that its owner can log in at once.
    Unlock {
        #[command(flatten)]
        state: StateOptions,
        /// The name.
        name: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Token {
    /// Create a token and print it. It cannot be printed again.
    Add {
        #[command(flatten)]
        state: StateOptions,
        /// The name.
        name: String,
        /// The role: viewer, operator or admin.
        #[arg(long, default_value = "viewer", value_parser = role)]
        role: Role,
        /// Expire after this number of days.
        #[arg(long, default_value = "90", value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "no_expiry")]
        days: u16,
        /// Never expire.
        #[arg(long)]
        no_expiry: bool,
        /// Allow destructive and revealing actions, which otherwise require the confirmation of a password.
        #[arg(long)]
        sudo: bool,
    },
}

#[derive(Args)]
pub(crate) struct RotateKey {
    #[command(flatten)]
    pub(crate) state: StateOptions,
    /// The new key, 32 bytes in base64 [default: a generated key, which replaces the one in the data directory].
    #[arg(long, env = "TOYGRES_NEW_ENCRYPTION_KEY", hide_env_values = true, value_name = "BASE64")]
    pub(crate) new_key: Option<String>,
}

fn role(text: &str) -> Result<Role, String> {
    text.parse()
}
