//! Finds PostgreSQL's own programs of a major version on this machine. It starts none of them but to ask its version.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use model::ExitClass;
use tokio::process::Command;

use crate::failure::fail;

/// The programs of one PostgreSQL installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Programs {
    dir: PathBuf,
    /// Their major version.
    pub(crate) major: i32,
    /// Their full version, such as `15.20 (Debian 15.20-0+deb12u1)`.
    pub(crate) version: String,
}

/// Which of several installations will do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// The major version that is best; a newer one will do, an older one never.
    pub(crate) major: i32,
    /// The programs that must be there, side by side; the first one's version counts.
    pub(crate) programs: &'static [&'static str],
}

/// What a backup needs.
pub(crate) const FOR_BACKUP: &[&str] = &["pg_dump", "pg_dumpall"];
/// What a restore needs.
pub(crate) const FOR_RESTORE: &[&str] = &["postgres", "initdb", "pg_restore"];

impl Programs {
    /// Where a program is.
    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.dir.join(program)
    }

    /// Finds the programs in `bin_dir`, or else wherever PostgreSQL is usually installed.
    pub(crate) async fn find(bin_dir: Option<&str>, wanted: Wanted) -> Result<Self> {
        let dirs = match bin_dir {
            Some(dir) => vec![PathBuf::from(dir)],
            None => usual_dirs().await,
        };
        let mut found = Vec::new();
        for dir in dirs {
            if let Some(programs) = look(&dir, wanted.programs).await? {
                found.push(programs);
            }
        }
        choose(found, wanted, bin_dir)
    }
}

fn choose(mut found: Vec<Programs>, wanted: Wanted, bin_dir: Option<&str>) -> Result<Programs> {
    let Wanted { major, programs } = wanted;
    let program = programs.first().copied().unwrap_or_default();
    found.sort_by_key(|p| p.major);
    let place = bin_dir.map_or_else(|| "on this machine".to_owned(), |dir| format!("in {dir}"));
    if let Some(best) = found.iter().find(|p| p.major >= major) {
        return Ok(best.clone());
    }
    let there = match found.last() {
        Some(p) => format!("the newest {program} {place} is {}", p.version),
        None => format!("there is no {program} {place}"),
    };
    Err(fail(
        ExitClass::Configuration,
        format!(
            "the server is PostgreSQL {major}, and {there}: install PostgreSQL {major} (Debian: apt-get install postgresql-{major})"
        ),
    ))
}

/// The installation that `dir` leads to; none where a program is missing. Debian's wrappers in /usr/bin are not the
/// programs: what they start depends on which clusters exist.
async fn look(dir: &Path, programs: &[&str]) -> Result<Option<Programs>> {
    let Some(first) = programs.first() else { return Ok(None) };
    let Ok(path) = tokio::fs::canonicalize(dir.join(first)).await else { return Ok(None) };
    let Some(dir) = path.parent().filter(|_| path.file_name().is_some_and(|name| name == *first)) else {
        return Ok(None);
    };
    if !programs.iter().all(|program| dir.join(program).exists()) {
        return Ok(None);
    }
    let output = Command::new(&path)
        .arg("--version")
        .env_clear()
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot start {}", path.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(parse_version(&text).map(|(major, version)| Programs { dir: dir.to_owned(), major, version }))
}

/// `pg_dump (PostgreSQL) 15.20 (Debian …)` is 15 and `15.20 (Debian …)`.
fn parse_version(text: &str) -> Option<(i32, String)> {
    let version = text.split_once(") ")?.1.trim();
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    Some((digits.parse().ok()?, version.to_owned()))
}

async fn usual_dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    for (root, below) in
        [("/usr/lib/postgresql", "bin"), ("/usr/local", "bin"), ("/opt/homebrew/opt", "bin"), ("/usr", "bin")]
    {
        let Ok(mut entries) = tokio::fs::read_dir(root).await else { continue };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if root.ends_with("postgresql") || name.starts_with("pgsql") || name.starts_with("postgresql") {
                dirs.push(entry.path().join(below));
            }
        }
    }
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(major: i32) -> Programs {
        Programs { dir: PathBuf::from("/x"), major, version: format!("{major}.1") }
    }

    #[test]
    fn versions_are_read_as_the_programs_print_them() {
        assert_eq!(
            parse_version("pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"),
            Some((15, "15.20 (Debian 15.20-0+deb12u1)".to_owned()))
        );
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1"), Some((18, "18beta1".to_owned())));
        assert_eq!(parse_version("nonsense"), None);
    }

    #[test]
    fn an_older_program_is_refused_and_the_nearest_newer_one_taken() {
        let wanted = Wanted { major: 16, programs: FOR_BACKUP };
        let taken = choose(vec![programs(18), programs(15), programs(17)], wanted, None).expect("17 will do");
        assert_eq!(taken.major, 17);
        let refused = choose(vec![programs(15)], wanted, None).expect_err("15 cannot read 16");
        assert!(refused.to_string().contains("install PostgreSQL 16"), "{refused}");
    }

    #[tokio::test]
    async fn a_directory_without_programs_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path().to_str().expect("text");
        let refused = Programs::find(Some(dir), Wanted { major: 15, programs: FOR_RESTORE })
            .await
            .expect_err("nothing there");
        assert!(refused.to_string().contains(dir), "{refused}");
    }
}
