//! The result of one check of a restore plan.

use model::restore::{Check, CheckSubject, Verdict};

/// Creates the result of a check.
pub(super) fn found(
    subject: CheckSubject,
    verdict: Verdict,
    found: impl Into<String>,
    fix: Option<String>,
) -> Check {
    Check { subject, verdict, found: found.into(), fix }
}
