//! Finds the programs of a PostgreSQL major version on this machine. It starts them only to read their version.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use model::client_version::{first_fixed, has_fixed_clients};
use model::{Failure, FailureCode, Level};
use tokio::process::Command;

use crate::job::Job;

/// The programs of one PostgreSQL installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Programs {
    /// The directory that contains them.
    dir: PathBuf,
    /// Their major version.
    pub(crate) major: i32,
    /// Their full version, such as `15.20 (Debian 15.20-0+deb12u1)`.
    pub(crate) version: String,
}

/// The programs that a backup needs. The version of the first one counts.
pub(crate) const FOR_BACKUP: &[&str] = &["pg_dump", "pg_dumpall"];
/// The programs that a restore needs. The version of the first one counts.
pub(crate) const FOR_RESTORE: &[&str] = &["postgres", "initdb", "pg_restore"];

/// Directories in which packages install PostgreSQL, and how the names of its directories there begin.
const ROOTS: [(&str, &[&str]); 4] = [
    ("/usr/lib/postgresql", &[""]),
    ("/usr/local", &["pgsql", "postgresql"]),
    ("/opt/homebrew/opt", &["postgresql"]),
    ("/usr", &["pgsql"]),
];

impl Programs {
    /// The path of a program.
    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.dir.join(program)
    }

    /// The directories that the programs read and execute.
    pub(crate) fn dirs(&self) -> Vec<PathBuf> {
        let beside = ["lib", "lib64", "share"].map(|name| self.dir.with_file_name(name));
        std::iter::once(self.dir.clone()).chain(beside).collect()
    }

    /// Finds the programs in `bin_dir`, or else in the directories in which PostgreSQL is usually installed. Of several
    /// installations it takes the one whose major version is `major`, or else the next newer one.
    ///
    /// # Errors
    /// No installation has all of the programs, or all are older than `major`.
    pub(crate) async fn find(
        bin_dir: Option<&str>,
        major: i32,
        programs: &'static [&'static str],
    ) -> Result<Self> {
        let dirs = match bin_dir {
            Some(dir) => vec![PathBuf::from(dir)],
            None => usual_dirs().await,
        };
        let mut found = Vec::new();
        for dir in dirs {
            if let Some(installed) = installed_in(&dir, programs).await? {
                found.push(installed);
            }
        }
        Ok(choose(found, major, programs, bin_dir)?)
    }

    /// Warns if the programs have known vulnerabilities.
    ///
    /// # Errors
    /// They have, and `required` says that they must not.
    pub(crate) fn check_fixed(&self, job: &Job, required: bool) -> Result<(), Failure> {
        if has_fixed_clients(&self.version) != Some(false) {
            return Ok(());
        }
        let first =
            first_fixed(self.major).map(|first| format!("; {first} has the fixes")).unwrap_or_default();
        let detail = format!("the programs of PostgreSQL {} have known vulnerabilities{first}", self.version);
        if required {
            return Err(
                Failure::new(FailureCode::ProgramsVulnerable, detail).on(self.dir.display().to_string())
            );
        }
        job.log(Level::Warn, detail);
        Ok(())
    }
}

fn choose(
    mut found: Vec<Programs>,
    major: i32,
    programs: &[&str],
    bin_dir: Option<&str>,
) -> Result<Programs, Failure> {
    found.sort_by_key(|p| p.major);
    if let Some(best) = found.iter().find(|p| p.major >= major) {
        return Ok(best.clone());
    }
    let place = bin_dir.unwrap_or("the usual directories");
    let failure = match found.last() {
        Some(newest) => Failure::new(
            FailureCode::ProgramsOutdated,
            format!(
                "the server's major version is {major}, the newest programs in {place} are {}",
                newest.version
            ),
        ),
        None => Failure::new(
            FailureCode::ProgramsMissing,
            format!("{} of PostgreSQL {major} or newer were not found in {place}", programs.join(", ")),
        ),
    };
    Err(failure.on(format!("PostgreSQL {major}")))
}

/// The installation to which the programs in `dir` belong, symbolic links resolved; none if a program is missing. The wrappers
/// in Debian's /usr/bin do not count: which version they start depends on the clusters of the machine.
async fn installed_in(dir: &Path, programs: &[&str]) -> Result<Option<Programs>> {
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

/// The directories of programs: those of PATH, and those below which packages install PostgreSQL.
async fn usual_dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    for (root, prefixes) in ROOTS {
        let Ok(mut entries) = tokio::fs::read_dir(root).await else { continue };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let name = entry.file_name();
            if prefixes.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                dirs.push(entry.path().join("bin"));
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
    fn version_is_parsed_from_program_output() {
        assert_eq!(
            parse_version("pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"),
            Some((15, "15.20 (Debian 15.20-0+deb12u1)".to_owned()))
        );
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1"), Some((18, "18beta1".to_owned())));
        assert_eq!(parse_version("nonsense"), None);
    }

    #[test]
    fn older_programs_are_refused_and_the_next_newer_version_is_chosen() {
        let taken = choose(vec![programs(18), programs(15), programs(17)], 16, FOR_BACKUP, None)
            .expect("17 is newer");
        assert_eq!(taken.major, 17);
        let refused = choose(vec![programs(15)], 16, FOR_BACKUP, None).expect_err("15 is older");
        assert_eq!(refused.code, FailureCode::ProgramsOutdated);
    }

    #[tokio::test]
    async fn directory_without_programs_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path().to_str().expect("text");
        let refused = Programs::find(Some(dir), 15, FOR_RESTORE).await.expect_err("an empty directory");
        let failure = refused.downcast_ref::<Failure>().expect("a failure");
        assert_eq!(failure.code, FailureCode::ProgramsMissing);
        assert!(failure.detail.contains(dir), "{failure}");
    }
}
