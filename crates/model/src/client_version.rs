//! Which versions of PostgreSQL's client programs have fixes of known vulnerabilities.

/// The first minor version of each major version in which `pg_restore` does not execute code from a crafted archive
/// (CVE-2026-116314).
const FIXED: [(i32, i32); 5] = [(14, 25), (15, 20), (16, 16), (17, 12), (18, 7)];

/// Whether the client programs of a full version, such as `15.20 (Debian 15.20-0+deb12u1)`, have the fixes. None if only the major
/// version is known.
#[must_use]
pub fn has_fixed_clients(version: &str) -> Option<bool> {
    let number = |text: &str| -> Option<i32> {
        text.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok())
    };
    let major = number(version)?;
    let Some((_, first)) = FIXED.iter().find(|(fixed, _)| *fixed == major) else {
        return Some(FIXED.iter().all(|(fixed, _)| *fixed < major));
    };
    let rest = version.trim_start_matches(|c: char| c.is_ascii_digit());
    match rest.strip_prefix('.').and_then(number) {
        Some(minor) => Some(minor >= *first),
        None if rest.is_empty() => None,
        // A beta version or a release candidate.
        None => Some(false),
    }
}

/// The first version of a major version with the fixes, such as `15.20`; none if the major version has no such version, or needs none.
#[must_use]
pub fn first_fixed(major: i32) -> Option<String> {
    FIXED.iter().find(|(fixed, _)| *fixed == major).map(|(major, minor)| format!("{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_below_the_fixes_are_known() {
        for (version, fixed) in [
            ("15.18 (Debian 15.18-0+deb12u1)", Some(false)),
            ("15.20 (Debian 15.20-0+deb12u1)", Some(true)),
            ("14.24", Some(false)),
            ("14.25", Some(true)),
            ("16.15", Some(false)),
            ("17.12", Some(true)),
            ("18.6", Some(false)),
            ("18.10", Some(true)),
            ("18beta1", Some(false)),
            ("19.0", Some(true)),
            ("13.99", Some(false)),
            ("15", None),
            ("", None),
        ] {
            assert_eq!(has_fixed_clients(version), fixed, "{version}");
        }
    }
}
