//! The PostgreSQL versions that are installed on this machine, and the extensions that each offers. It starts no server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::{Failure, FailureCode};
use tokio::process::Command;

use crate::{Installation, Result};

/// The programs that instances and jobs need.
const PROGRAMS: [&str; 6] = ["postgres", "initdb", "pg_ctl", "pg_dump", "pg_restore", "pg_dumpall"];

/// The installed PostgreSQL versions, newest first. Searches the given directories, the one that `pg_config` names, PATH,
/// and the usual directories of packages; the first installation of a major version is used.
///
/// # Errors
/// None at present: a directory that cannot be read has no installation.
pub async fn find_installations(more: &[PathBuf]) -> Result<Vec<Installation>> {
    let mut dirs = more.to_vec();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output().await {
        dirs.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_owned()));
    }
    dirs.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    for root in ["/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt"] {
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        dirs.extend(entries.map(|entry| entry.path().join("bin")));
    }
    dirs.extend(std::fs::read_dir("/usr").into_iter().flatten().flatten().filter_map(|entry| {
        // foreign text: names of package directories
        entry.file_name().to_str()?.starts_with("pgsql").then(|| entry.path().join("bin"))
    }));
    let mut found: BTreeMap<i32, Installation> = BTreeMap::new();
    for dir in dirs {
        if let Some(installed) = installation(&dir).await {
            found.entry(installed.major).or_insert(installed);
        }
    }
    Ok(found.into_values().rev().collect())
}

/// The directory of the programs of a major version.
///
/// # Errors
/// [`FailureCode::ProgramsMissing`].
pub(super) async fn bin_dir(more: &[PathBuf], major: i32) -> Result<PathBuf> {
    let found = find_installations(more).await?.into_iter().find(|installed| installed.major == major);
    Ok(found.and_then(|installed| installed.bin_dir).map(PathBuf::from).ok_or_else(|| {
        Failure::new(FailureCode::ProgramsMissing, "not installed on this machine")
            .on(format!("PostgreSQL {major}"))
    })?)
}

/// The installation in a directory that contains all programs.
async fn installation(dir: &Path) -> Option<Installation> {
    if !dir.is_absolute() || PROGRAMS.iter().any(|program| !dir.join(program).is_file()) {
        return None;
    }
    let output = Command::new(dir.join("postgres")).arg("--version").output().await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_once(") ")?.1.split_whitespace().next()?.to_owned();
    let major = version.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()?;
    Some(Installation {
        major,
        version,
        bin_dir: Some(dir.display().to_string()),
        extensions: Some(extensions(dir, major).await),
    })
}

async fn extensions(bin_dir: &Path, major: i32) -> Vec<String> {
    let mut dirs = vec![
        PathBuf::from(format!("/usr/share/postgresql/{major}/extension")),
        bin_dir.with_file_name("share").join("postgresql/extension"),
        bin_dir.with_file_name("share").join("extension"),
    ];
    if let Ok(output) = Command::new(bin_dir.join("pg_config")).arg("--sharedir").output().await {
        let share = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        dirs.insert(0, PathBuf::from(share).join("extension"));
    }
    let dir = dirs.into_iter().find(|dir| dir.is_dir());
    let entries = dir.and_then(|dir| std::fs::read_dir(dir).ok()).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".control")?.to_owned()))
        .collect();
    names.sort();
    names
}
