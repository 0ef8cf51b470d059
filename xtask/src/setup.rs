//! Finds what Toygres needs on this machine and installs what is missing: as root with apt, else it names the packages.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::command::{self, find, say};
use crate::emulators;

/// What building and running needs: PostgreSQL and a standard library for WebAssembly.
pub(crate) fn for_run() -> anyhow::Result<()> {
    packages(&missing(&[Need::Postgres]))?;
    wasm()
}

/// What building needs.
pub(crate) fn for_build() -> anyhow::Result<()> {
    wasm()
}

/// What the tests need besides: a browser, Node.js, curl, OpenSSL, shellcheck, emulators of stores, and the extension whose
/// worker connects over TCP.
pub(crate) fn for_test() -> anyhow::Result<()> {
    let needs = [
        Need::Postgres,
        Need::Chromium,
        Need::Node,
        Need::Curl,
        Need::Openssl,
        Need::Python,
        Need::Shellcheck,
    ];
    packages(&missing(&needs))?;
    packages(&missing(&[Need::Cron]))?;
    wasm()?;
    emulators::install()?;
    cargo_deny().map(drop)
}

/// cargo-deny, installed below `target/` where the machine has none.
pub(crate) fn cargo_deny() -> anyhow::Result<PathBuf> {
    let tools = command::root().join("target/tools");
    let ours = tools.join("bin/cargo-deny");
    if let Some(program) = find("cargo-deny").or_else(|| ours.is_file().then(|| ours.clone())) {
        return Ok(program);
    }
    say("Installing cargo-deny below target/tools");
    command::run(
        command::cargo()
            .args([
                "install",
                "cargo-deny",
                "--version",
                "0.20.2",
                "--locked",
                "--debug",
                "--quiet",
                "--root",
            ])
            .arg(tools),
    )?;
    Ok(ours)
}

/// A thing that a Debian package brings.
#[derive(Clone, Copy)]
enum Need {
    Postgres,
    Chromium,
    Node,
    Curl,
    Shellcheck,
    Openssl,
    Python,
    Cron,
}

impl Need {
    fn is_there(self) -> bool {
        match self {
            Self::Postgres => postgres_bin().is_some(),
            Self::Chromium => chromium().is_some(),
            Self::Node => find("node").is_some() && find("npm").is_some(),
            Self::Curl => find("curl").is_some(),
            Self::Shellcheck => find("shellcheck").is_some(),
            Self::Openssl => find("openssl").is_some(),
            Self::Python => command::succeeds(Command::new("python3").args(["-m", "ensurepip", "--version"])),
            Self::Cron => postgres_major().is_none_or(|major| {
                PathBuf::from(format!("/usr/share/postgresql/{major}/extension/pg_cron.control")).exists()
            }),
        }
    }

    fn packages(self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::Postgres => &["postgresql", "postgresql-contrib"],
            Self::Chromium => &["chromium"],
            Self::Node => &["nodejs", "npm"],
            Self::Curl => &["curl"],
            Self::Shellcheck => &["shellcheck"],
            Self::Openssl => &["openssl"],
            Self::Python => &["python3", "python3-venv"],
            Self::Cron => {
                return postgres_major()
                    .map(|major| format!("postgresql-{major}-cron"))
                    .into_iter()
                    .collect();
            }
        };
        names.iter().map(ToString::to_string).collect()
    }
}

fn missing(needs: &[Need]) -> Vec<String> {
    needs.iter().filter(|need| !need.is_there()).flat_map(|need| need.packages()).collect()
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

fn packages(missing: &[String]) -> anyhow::Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if find("apt-get").is_none() {
        bail!("Missing on this machine: {names} (Debian's names). Install them and call this again.");
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "Missing on this machine: {names}. Install them and call this again:\n  sudo apt-get install -y {names}"
        );
    }
    say(&format!("Installing {names}"));
    let apt = |args: &[&str]| {
        command::output(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"))
            .map(drop)
            .with_context(|| format!("install {names}"))
    };
    apt(&["update"])?;
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(missing.iter().map(String::as_str));
    apt(&install)
}

/// Which compiler builds the browser's half, and with which linker.
pub(crate) enum WasmCompiler {
    /// The pinned toolchain, with the target that rustup added.
    Rustup,
    /// Debian's `rustc`, with a standard library that was built from Debian's source.
    Debian,
}

const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

impl WasmCompiler {
    /// The one that is ready, if any.
    pub(crate) fn ready() -> Option<Self> {
        if has_core(&find("rustc").unwrap_or_else(|| "rustc".into())) {
            return Some(Self::Rustup);
        }
        has_core(DEBIAN_RUSTC.as_ref()).then_some(Self::Debian)
    }

    /// Makes `cargo` use it.
    pub(crate) fn apply(&self, cargo: &mut Command) {
        if let Self::Debian = self {
            cargo.env("RUSTC", DEBIAN_RUSTC).env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld");
        }
    }
}

fn has_core(rustc: &std::path::Path) -> bool {
    let mut ask = Command::new(rustc);
    ask.args(["--print", "target-libdir", "--target", TARGET]);
    let Ok(dir) = command::output(&mut ask) else { return false };
    std::fs::read_dir(dir.trim())
        .into_iter()
        .flatten()
        .flatten()
        .any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
}

/// rustup's download is the normal way; where it is not to be had, the library is built once from Debian's source.
fn wasm() -> anyhow::Result<()> {
    if WasmCompiler::ready().is_some() {
        return Ok(());
    }
    say("Adding the WebAssembly target");
    if find("rustup").is_some()
        && command::succeeds(Command::new("rustup").args(["target", "add", TARGET]))
        && WasmCompiler::ready().is_some()
    {
        return Ok(());
    }
    say("rustup cannot download it: building it from Debian's source of the standard library, once");
    let needed = [
        ("rustc-web", DEBIAN_RUSTC),
        ("rust-web-src", "/usr/lib/rustlib/src/rust"),
        ("lld", "/usr/bin/wasm-ld"),
    ];
    let missing: Vec<String> = needed
        .iter()
        .filter(|(_, file)| !PathBuf::from(file).exists())
        .map(|(name, _)| (*name).to_owned())
        .collect();
    packages(&missing)?;
    build_standard_library()
}

/// Recipe: an empty crate with `-Z build-std`, whose libraries go where Debian's compiler looks for them.
fn build_standard_library() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let dir = scratch.path();
    std::fs::create_dir(dir.join("src"))?;
    std::fs::write(dir.join("src/lib.rs"), "")?;
    std::fs::write(
        dir.join("Cargo.toml"),
        "[package]\nname = \"nothing\"\nversion = \"0.0.0\"\nedition = \"2021\"\n",
    )?;
    command::run(
        command::cargo()
            .current_dir(dir)
            .args(["build", "--release", "--target", TARGET, "--target-dir"])
            .arg(dir.join("target"))
            .args(["-Z", "build-std=std,panic_abort,panic_unwind,proc_macro"])
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", DEBIAN_RUSTC),
    )?;
    let lib = PathBuf::from("/usr/lib/rustlib").join(TARGET).join("lib");
    std::fs::create_dir_all(&lib).with_context(|| format!("make {} (needs root)", lib.display()))?;
    for file in std::fs::read_dir(dir.join("target").join(TARGET).join("release/deps"))? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libnothing") {
            std::fs::copy(file.path(), lib.join(name))?;
        }
    }
    WasmCompiler::ready().map(drop).context("the WebAssembly standard library was built but is not found")
}
