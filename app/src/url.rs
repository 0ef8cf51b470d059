//! Percent-encoding and safe redirects: the only place that builds or checks addresses from foreign text.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Every ASCII character except the unreserved ones of RFC 3986 and the slash, which a query may contain.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// Percent-encodes a text for use as a value in a query.
#[must_use]
pub fn encode(value: &str) -> String {
    utf8_percent_encode(value, VALUE).to_string()
}

/// A query of the pairs whose value is not empty, without the question mark.
#[must_use]
pub fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    pairs.map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

/// The path if it is safe as the target of a redirect after login, else `/`: an absolute path of this site that is not
/// the login page.
#[must_use]
pub fn safe_path(next: &str) -> &str {
    let is_local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && !next.chars().any(char::is_control);
    if is_local && !next.starts_with("/login") { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_percent_encoded() {
        assert_eq!(encode("/a-b_c.~?x=ä b&c"), "/a-b_c.~%3Fx%3D%C3%A4%20b%26c");
    }

    #[test]
    fn query_omits_empty_values() {
        assert_eq!(query([("q", "a b"), ("status", ""), ("sort", "-name")]), "q=a%20b&sort=-name");
    }

    #[test]
    fn safe_path_rejects_other_sites_and_the_login_page() {
        assert_eq!(safe_path("/runs/1?x=2"), "/runs/1?x=2");
        for unsafe_path in [
            "https://example.com",
            "//example.com",
            "/\\example.com",
            "example.com",
            "/a\nb",
            "/login?next=/",
            "",
        ] {
            assert_eq!(safe_path(unsafe_path), "/", "{unsafe_path:?}");
        }
    }
}
