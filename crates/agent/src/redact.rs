//! Removes secrets from foreign text: what PostgreSQL, its programs, and object stores print.
//!
//! It is applied where such text enters the agent, never to the agent's own sentences. The rule:
//!
//! 1. Where a secret is expected, the value is replaced, whatever it is: after `password=`, `sig=` and the like, in
//!    `PASSWORD '…'`, in `"password": "…"`, and between `:` and `@` of a URL. As every value is replaced there, a replacement does
//!    not tell whether the value was the secret.
//! 2. A secret that is *distinctive* is replaced wherever it occurs, in every form in which programs quote it. Distinctive are
//!    secrets that do not occur in fixed phrases: at least 8 characters with a digit or a sign, or at least 20 characters.
//! 3. Other secrets, such as `user` or `postgres`, are replaced by the first rule only. Replacing them elsewhere would reveal
//!    them: `password authentication failed for [secret] "app"` tells that the password is `user`.

use secrecy::{ExposeSecret as _, SecretString};

/// The text that replaces a secret.
const REDACTED: &str = "[secret]";
/// The length in characters from which a secret with a digit or a sign is distinctive.
const DISTINCTIVE: usize = 8;
/// The length in characters from which every secret is distinctive.
const LONG: usize = 20;
/// The names of secret values in connection strings, URLs, SQL, JSON and headers.
const NAMES: [&str; 10] = [
    "password",
    "pgpassword",
    "passwd",
    "pwd",
    "secret",
    "secret_access_key",
    "account_key",
    "token",
    "sig",
    "x-amz-signature",
];

/// Removes secrets from text.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    /// The distinctive secrets in all of their forms, the longest first: one may be a part of another.
    forms: Vec<SecretString>,
}

impl Redactor {
    /// Creates a redactor for these secrets.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: Vec<String> = Vec::new();
        for secret in secrets.into_iter().filter(|secret| is_distinctive(secret)) {
            let escaped = secret.replace('\\', r"\\");
            forms.extend([
                secret.to_owned(),
                secret.trim().to_owned(),
                secret.replace('\'', "''"),
                escaped.replace(':', r"\:"),
                escaped.replace('\'', r"\'"),
                escaped.replace('"', "\\\""),
            ]);
        }
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { forms: forms.into_iter().map(SecretString::from).collect() }
    }

    /// The text without secrets.
    pub(crate) fn clean(&self, foreign: &str) -> String {
        let text = self
            .forms
            .iter()
            .fold(foreign.to_owned(), |text, form| text.replace(form.expose_secret(), REDACTED));
        let values = secret_values(&text);
        replace(text, values)
    }
}

/// Whether a secret does not occur in text by chance.
fn is_distinctive(secret: &str) -> bool {
    let secret = secret.trim();
    let length = secret.chars().count();
    let is_sign = |c: char| !c.is_alphabetic() && !matches!(c, ' ' | '_' | '-' | '.');
    length >= LONG || (length >= DISTINCTIVE && secret.contains(is_sign))
}

/// The byte ranges of the values that stand where secrets are expected, in order.
fn secret_values(text: &str) -> Vec<(usize, usize)> {
    // ASCII only, so that positions are those of the text.
    let lower = text.to_ascii_lowercase();
    let named = NAMES.iter().flat_map(|name| {
        lower.match_indices(name).filter_map(|(at, name)| {
            let is_start = !text[..at].ends_with(|c: char| c.is_alphanumeric());
            is_start.then(|| value_after_name(text, at + name.len())).flatten()
        })
    });
    let in_urls = text.match_indices("://").filter_map(|(at, mark)| password_of_url(text, at + mark.len()));
    let mut values: Vec<(usize, usize)> = named.chain(in_urls).collect();
    values.sort_unstable();
    values
}

/// The value after a name that ends at `at`: `=value`, `='value'`, `": "value"` or ` 'value'`.
fn value_after_name(text: &str, at: usize) -> Option<(usize, usize)> {
    let rest = &text[at..];
    let after_quote = rest.trim_start_matches(['"', '\'']);
    let after_space = after_quote.trim_start();
    let (value, needs_quote) = match after_space.strip_prefix('=') {
        Some(value) => (value.trim_start(), false),
        // Without a quote, what follows is a sentence.
        None => (after_space.strip_prefix(':').unwrap_or(after_space).trim_start(), true),
    };
    let start = text.len() - value.len();
    let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let is_sql = after_space == value;
    match quote {
        // PostgreSQL puts names into double quotes: only an apostrophe begins a value of SQL.
        Some('"') if needs_quote && is_sql => None,
        Some(quote) => {
            let inner = &value[1..];
            Some((start + 1, start + 1 + end_of_quoted(inner, quote)))
        }
        None if needs_quote => None,
        None => {
            let end = value.find(|c: char| c.is_whitespace() || "&;,)}\"'".contains(c));
            Some((start, start + end.unwrap_or(value.len())))
        }
    }
}

/// Where the closing quote is. A quote that is doubled or has a backslash before it belongs to the value.
fn end_of_quoted(inner: &str, quote: char) -> usize {
    let mut chars = inner.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let is_escape = c == '\\' || (c == quote && chars.peek().is_some_and(|(_, next)| *next == quote));
        if is_escape {
            chars.next();
        } else if c == quote {
            return at;
        }
    }
    inner.len()
}

/// The password in the URL whose authority begins at `at`.
fn password_of_url(text: &str, at: usize) -> Option<(usize, usize)> {
    let authority = &text[at..];
    let end = authority.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c)).unwrap_or(authority.len());
    let user_info = &authority[..authority[..end].rfind('@')?];
    let colon = user_info.find(':')?;
    Some((at + colon + 1, at + user_info.len()))
}

/// Replaces ranges, which are in order and may overlap.
fn replace(text: String, ranges: Vec<(usize, usize)>) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    for (start, end) in ranges {
        if start >= at && end > start {
            clean.push_str(&text[at..start]);
            clean.push_str(REDACTED);
            at = end;
        }
    }
    clean.push_str(&text[at..]);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinctive_secret_is_removed_in_every_quoted_form() {
        let redactor = Redactor::new(["can'ary:\\1"]);
        for form in ["can'ary:\\1", "can''ary:\\1", "can'ary\\:\\\\1", "can\\'ary:\\\\1"] {
            assert_eq!(redactor.clean(&format!("x {form} y")), "x [secret] y", "{form}");
            assert_eq!(redactor.clean(&format!("database \"{form}\"")), "database \"[secret]\"", "{form}");
        }
        assert_eq!(Redactor::new(["canary-77"]).clean("password=canary-77 x"), "password=[secret] x");
        assert_eq!(redactor.clean("nothing"), "nothing");
    }

    #[test]
    fn password_that_is_a_common_word_does_not_change_fixed_phrases() {
        for (password, message) in [
            ("user", "FATAL:  password authentication failed for user \"x\""),
            ("postgres", "FATAL:  password authentication failed for user \"postgres\""),
            ("password", "FATAL:  password authentication failed for user \"x\""),
            ("does not exist", "FATAL:  database \"x\" does not exist"),
            ("a", "ERROR:  canceling statement due to lock timeout"),
            ("", "ERROR:  out of shared memory"),
        ] {
            assert_eq!(Redactor::new([password]).clean(message), message, "{password}");
        }
    }

    #[test]
    fn value_in_the_place_of_a_secret_is_removed_whatever_it_is() {
        let redactor = Redactor::new(["user"]);
        for (text, clean) in [
            ("dbname=x password=user host=y", "dbname=x password=[secret] host=y"),
            ("password='us er' host=y", "password='[secret]' host=y"),
            (r"password='us''e\'r' host=y", "password='[secret]' host=y"),
            ("PGPASSWORD=user pg_dump", "PGPASSWORD=[secret] pg_dump"),
            ("postgres://me:user@h/db", "postgres://me:[secret]@h/db"),
            ("postgres://me:p@ss@h:5432/db?x", "postgres://me:[secret]@h:5432/db?x"),
            ("https://h:443/c?sv=1&sig=abc%3D&sp=r", "https://h:443/c?sv=1&sig=[secret]&sp=r"),
            ("ALTER ROLE a PASSWORD 'user';", "ALTER ROLE a PASSWORD '[secret]';"),
            (r#"{"password": "user", "a": 1}"#, r#"{"password": "[secret]", "a": 1}"#),
            ("access_token=user", "access_token=[secret]"),
        ] {
            assert_eq!(redactor.clean(text), clean, "{text}");
            // The replacement does not depend on the secret.
            assert_eq!(Redactor::new(["other"]).clean(text), clean, "{text}");
        }
    }

    #[test]
    fn text_without_a_value_is_kept() {
        for text in [
            "no password supplied",
            "password authentication failed for user \"x\"",
            "syntax error at or near token \"x\"",
            "design=1",
            "https://host:443/path@x",
            "connection to server at \"h\" (::1), port 5432 failed",
        ] {
            assert_eq!(Redactor::default().clean(text), text);
        }
    }

    #[test]
    fn only_secrets_that_do_not_occur_by_chance_are_distinctive() {
        for secret in ["canary-1", r#"p:a\s's "w$(id)"#, "12345678", "correct horse battery staple"] {
            assert!(is_distinctive(secret), "{secret}");
        }
        for secret in ["user", "postgres", "pg_hba.conf", "connection", "a1b2c3", "does not exist"] {
            assert!(!is_distinctive(secret), "{secret}");
        }
    }
}
