//! Lint: checks that do not run Toygres. Each check is a file.

mod circles;
mod compiler;
mod dependencies;
mod layers;
mod modules;
pub(crate) mod queries;
mod scripts;
mod substrings;
mod tokens;
mod words;

use clap::ValueEnum;

use crate::command::step;
use crate::report::Report;

/// A check. The quick ones come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Check {
    /// rustfmt.
    Format,
    /// Which crate may depend on which, and what may reach the browser.
    Layers,
    /// Files of a crate that import each other.
    Circles,
    /// Banned words in code and documents.
    Words,
    /// Decisions on the wording of messages.
    Substrings,
    /// Shell scripts, by shellcheck.
    Scripts,
    /// The types of the stories in `end2end`, by TypeScript.
    Types,
    /// Unused dependencies, by cargo-machete.
    Unused,
    /// Licences, sources, bans and advisories of dependencies, by cargo-deny.
    Licences,
    /// `.sqlx/` against a scratch PostgreSQL, while Clippy compiles.
    Queries,
    /// Clippy with warnings as errors.
    Clippy,
    /// The API documentation, with warnings as errors.
    Docs,
}

impl Check {
    fn run(self) -> anyhow::Result<Option<String>> {
        match self {
            Self::Format => compiler::format()?,
            Self::Layers => layers::check()?,
            Self::Circles => circles::check()?,
            Self::Words => words::check()?,
            Self::Substrings => substrings::check()?,
            Self::Scripts => scripts::check()?,
            Self::Types => scripts::types()?,
            Self::Unused => dependencies::unused()?,
            Self::Licences => return dependencies::licences(),
            Self::Queries => queries::check()?,
            Self::Clippy => compiler::clippy()?,
            Self::Docs => compiler::docs()?,
        }
        Ok(None)
    }
}

/// Runs the checks that are named, or all. Each counts as one test; a failed check does not stop the others.
pub(crate) fn run(only: &[Check]) -> Report {
    let checks = if only.is_empty() { Check::value_variants() } else { only };
    let mut report = Report::default();
    for check in checks {
        step(&format!("Lint: {check:?}"));
        match report.phase(format!("{check:?}"), || check.run()) {
            Ok(left_out) => {
                report.passed += 1;
                report.left_out.extend(left_out);
            }
            Err(error) => {
                report.failed += 1;
                report.failures.push(format!("{check:?}: {error:#}"));
            }
        }
    }
    report
}
