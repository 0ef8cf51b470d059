//! Which PostgreSQL versions are installed here, and what extensions each offers. It starts none of their servers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::{Installation, Result};

/// Looks in the given directories, on PATH, where pg_config says, and where packages put things; the newest first.
pub(crate) async fn find(more: &[PathBuf]) -> Result<Vec<Installation>> {
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
        entry.file_name().to_str()?.starts_with("pgsql").then(|| entry.path().join("bin"))
    }));
    let mut found: BTreeMap<i32, Installation> = BTreeMap::new();
    for dir in dirs {
        if let Some(installed) = look(&dir).await {
            found.entry(installed.major).or_insert(installed);
        }
    }
    Ok(found.into_values().rev().collect())
}

/// A directory with all the programs that an instance and a job need.
async fn look(dir: &Path) -> Option<Installation> {
    let whole = ["postgres", "initdb", "pg_ctl", "pg_dump", "pg_restore", "pg_dumpall"];
    if !dir.is_absolute() || whole.iter().any(|program| !dir.join(program).is_file()) {
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
    let mut places = vec![
        PathBuf::from(format!("/usr/share/postgresql/{major}/extension")),
        bin_dir.with_file_name("share").join("postgresql/extension"),
        bin_dir.with_file_name("share").join("extension"),
    ];
    if let Ok(output) = Command::new(bin_dir.join("pg_config")).arg("--sharedir").output().await {
        let share = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        places.insert(0, PathBuf::from(share).join("extension"));
    }
    let place = places.into_iter().find(|place| place.is_dir());
    let entries = place.and_then(|place| std::fs::read_dir(place).ok()).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".control")?.to_owned()))
        .collect();
    names.sort();
    names
}
