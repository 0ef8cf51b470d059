//! The compiler for WebAssembly: the pinned toolchain with rustup's target, or Debian's compiler with a standard library that is
//! built once from Debian's source, where rustup cannot download.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::command::{self, find, step};
use crate::packages::{self, Need};

/// A compiler that has a standard library for WebAssembly.
pub(crate) enum WasmCompiler {
    /// The pinned toolchain.
    Rustup,
    /// `rustc` of Debian, whose linker is `wasm-ld`.
    Debian,
}

const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

impl WasmCompiler {
    /// The first one that is installed, if any.
    pub(crate) fn ready() -> Option<Self> {
        if has_core(&find("rustc").unwrap_or_else(|| "rustc".into())) {
            return Some(Self::Rustup);
        }
        has_core(DEBIAN_RUSTC.as_ref()).then_some(Self::Debian)
    }

    /// Makes a cargo command use it.
    pub(crate) fn apply(&self, cargo: &mut Command) {
        if let Self::Debian = self {
            cargo.env("RUSTC", DEBIAN_RUSTC).env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld");
        }
    }
}

fn has_core(rustc: &Path) -> bool {
    let mut print = Command::new(rustc);
    print.args(["--print", "target-libdir", "--target", TARGET]);
    let Ok(dir) = command::output(&mut print) else { return false };
    std::fs::read_dir(dir.trim())
        .into_iter()
        .flatten()
        .flatten()
        .any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
}

/// Installs the standard library for WebAssembly if it is missing.
pub(crate) fn install() -> anyhow::Result<()> {
    if WasmCompiler::ready().is_some() {
        return Ok(());
    }
    step("Adding the WebAssembly target");
    if find("rustup").is_some()
        && command::succeeds(Command::new("rustup").args(["target", "add", TARGET]))
        && WasmCompiler::ready().is_some()
    {
        return Ok(());
    }
    step("rustup cannot download it: building the standard library from Debian's source, once");
    packages::install(&[Need::WasmSource])?;
    build_standard_library()
}

/// Builds an empty crate with `-Z build-std` and copies its libraries to the directory where Debian's compiler looks for them.
fn build_standard_library() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let dir = scratch.path();
    std::fs::create_dir(dir.join("src"))?;
    std::fs::write(dir.join("src/lib.rs"), "")?;
    std::fs::write(
        dir.join("Cargo.toml"),
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2021\"\n",
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
    std::fs::create_dir_all(&lib).with_context(|| format!("create {} (needs root)", lib.display()))?;
    for file in std::fs::read_dir(dir.join("target").join(TARGET).join("release/deps"))? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libempty") {
            std::fs::copy(file.path(), lib.join(name))?;
        }
    }
    WasmCompiler::ready().map(drop).context("the standard library for WebAssembly was built but is not found")
}
