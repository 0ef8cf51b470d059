//! The names of instances and images: their rules, and the messages for invalid names.

use serde::{Deserialize, Serialize};

/// The name of an instance or an image: a DNS label, because it also names Kubernetes objects and hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a name is invalid. Its `Display` is a message for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The name is empty.
    Empty,
    /// The name has more than 63 characters.
    TooLong,
    /// The name contains characters other than a-z, 0-9 and the hyphen, ends in a hyphen, or does not begin with a letter.
    Characters,
    /// The name is part of an address of the dashboard or the REST API.
    Reserved,
}

/// The path segments that can follow `/instances/` and `/api/instances/` in the place of a name.
const RESERVED: [&str; 3] = ["add", "external", "new"];

impl std::fmt::Display for NameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Enter a name.",
            Self::Reserved => {
                "The names add, external and new are reserved. Enter another name, such as new-orders."
            }
            Self::TooLong => "A name has at most 63 characters. Enter a shorter name.",
            Self::Characters => {
                "A name consists of lowercase letters, digits and hyphens, begins with a letter and does not end with a \
                 hyphen. Example: orders-staging-2."
            }
        })
    }
}

impl std::error::Error for NameError {}

impl Name {
    /// Parses a name. Surrounding spaces are removed.
    ///
    /// # Errors
    /// The rule of DNS labels (RFC 1035, section 2.3.1) that the text violates.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > 63 {
            return Err(NameError::TooLong);
        }
        let allowed = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !allowed || !text.as_bytes()[0].is_ascii_lowercase() || text.ends_with('-') {
            return Err(NameError::Characters);
        }
        if RESERVED.contains(&text) {
            return Err(NameError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dns_labels_are_valid() {
        for valid in ["a", "orders-staging-2", " trimmed ", &"a".repeat(63)] {
            assert!(Name::parse(valid).is_ok(), "{valid:?}");
        }
        for invalid in
            ["-a", "a-", "2a", "A", "a b", "../a", ";$(id)", "a\nb", "a\0", "<img>", "\u{202e}a", "ä"]
        {
            assert_eq!(Name::parse(invalid), Err(NameError::Characters), "{invalid:?}");
        }
        for reserved in RESERVED {
            assert_eq!(Name::parse(reserved), Err(NameError::Reserved));
        }
        assert_eq!(Name::parse(" "), Err(NameError::Empty));
        assert_eq!(Name::parse(&"a".repeat(64)), Err(NameError::TooLong));
    }
}
