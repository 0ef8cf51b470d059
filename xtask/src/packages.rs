//! Debian packages: found on this machine, and installed with apt-get by root. For other users, an error names them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, bail};

use crate::command::{self, find, step};

/// Something that Debian packages bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Postgres,
    /// The extension whose worker connects over TCP, for the PostgreSQL that is installed.
    Cron,
    Chromium,
    Node,
    Curl,
    Shellcheck,
    Openssl,
    /// The program whose library gives a process a clock of its own.
    Faketime,
    /// What the script in an image's RESTORE.md runs.
    Guide,
    Python,
    /// The source of the standard library, its compiler and a linker for WebAssembly.
    WasmSource,
}

impl Need {
    fn is_met(self) -> bool {
        match self {
            Self::Postgres => postgres_bin().is_some(),
            Self::Cron => postgres_major().is_none_or(|major| {
                PathBuf::from(format!("/usr/share/postgresql/{major}/extension/pg_cron.control")).exists()
            }),
            Self::Chromium => chromium().is_some(),
            Self::Node => find("node").is_some() && find("npm").is_some(),
            Self::Curl => find("curl").is_some(),
            Self::Shellcheck => find("shellcheck").is_some(),
            Self::Openssl => find("openssl").is_some(),
            Self::Faketime => find("faketime").is_some(),
            Self::Guide => find("jq").is_some() && find("zstd").is_some(),
            Self::Python => command::succeeds(Command::new("python3").args(["-m", "ensurepip", "--version"])),
            Self::WasmSource => ["/usr/bin/rustc", "/usr/lib/rustlib/src/rust", "/usr/bin/wasm-ld"]
                .iter()
                .all(|file| PathBuf::from(file).exists()),
        }
    }

    fn packages(self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::Postgres => &["postgresql", "postgresql-contrib"],
            Self::Cron => {
                let major = postgres_major();
                return major.map(|major| format!("postgresql-{major}-cron")).into_iter().collect();
            }
            Self::Chromium => &["chromium"],
            Self::Node => &["nodejs", "npm"],
            Self::Curl => &["curl"],
            Self::Shellcheck => &["shellcheck"],
            Self::Openssl => &["openssl"],
            Self::Faketime => &["faketime"],
            Self::Guide => &["jq", "zstd"],
            Self::Python => &["python3", "python3-venv"],
            Self::WasmSource => &["rustc-web", "rust-web-src", "lld"],
        };
        names.iter().map(ToString::to_string).collect()
    }
}

/// Set once apt-get has the current lists of packages.
static UPDATED: OnceLock<()> = OnceLock::new();

/// Installs the packages that are missing.
///
/// # Errors
/// They cannot be installed here; the error names them.
pub(crate) fn install(needs: &[Need]) -> anyhow::Result<()> {
    let missing: Vec<String> =
        needs.iter().filter(|need| !need.is_met()).flat_map(|need| need.packages()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if find("apt-get").is_none() {
        bail!("Missing on this machine: {names} (names of Debian). Install them and run this again.");
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "Missing on this machine: {names}. Install them and run this again:\n  sudo apt-get install -y {names}"
        );
    }
    step(&format!("Installing {names}"));
    let apt = |args: &[&str]| {
        command::output(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"))
            .map(drop)
            .with_context(|| format!("install {names}"))
    };
    if UPDATED.get().is_none() {
        apt(&["update"])?;
        let _ = UPDATED.set(());
    }
    // Another apt-get may run, such as the one that starts a cluster.
    let mut install = vec!["install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"];
    install.extend(missing.iter().map(String::as_str));
    apt(&install)
}

/// The directory of the newest PostgreSQL's programs on this machine.
pub(crate) fn postgres_bin() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("postgres").is_file())
        .collect();
    found.sort();
    found.pop().map(|(_, bin)| bin).or_else(|| Some(find("postgres")?.parent()?.to_owned()))
}

fn postgres_major() -> Option<u32> {
    postgres_bin()?.parent()?.file_name()?.to_str()?.parse().ok()
}

/// The browser that the tests drive.
pub(crate) fn chromium() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| find(name))
}
