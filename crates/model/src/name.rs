//! Names that people type: what is allowed, and the sentence that says what is not. It knows nothing of taken names.

use serde::{Deserialize, Serialize};

/// A name of an instance or an image: a DNS label, so that it can name a Kubernetes object and a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no name. Its `Display` is a sentence for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing was typed.
    Empty,
    /// More than 63 characters.
    TooLong,
    /// A character other than a-z, 0-9 and the hyphen, or a hyphen at an end, or a digit first.
    Characters,
    /// A word that addresses have in the place of a name.
    Reserved,
}

/// What `/instances/` and `/api/instances/` may be followed by besides a name.
const RESERVED: [&str; 3] = ["add", "external", "new"];

impl std::fmt::Display for NameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Type a name.",
            Self::Reserved => {
                "add, external and new are words of Toygres' own addresses. Type another name, such as new-orders."
            }
            Self::TooLong => "A name has at most 63 characters. Type a shorter one.",
            Self::Characters => {
                "A name has lowercase letters, digits and hyphens only, begins with a letter and does not end \
                 with a hyphen, such as orders-staging-2."
            }
        })
    }
}

impl std::error::Error for NameError {}

impl Name {
    /// Takes `text` as a name; spaces around it are not counted as typed.
    ///
    /// # Errors
    /// Says which rule of DNS labels (RFC 1035, section 2.3.1) the text breaks.
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
    fn takes_dns_labels_and_nothing_else() {
        for good in ["a", "orders-staging-2", " trimmed ", &"a".repeat(63)] {
            assert!(Name::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["-a", "a-", "2a", "A", "a b", "../a", ";$(id)", "a\nb", "a\0", "<img>", "\u{202e}a", "ä"]
        {
            assert_eq!(Name::parse(bad), Err(NameError::Characters), "{bad:?}");
        }
        for taken in RESERVED {
            assert_eq!(Name::parse(taken), Err(NameError::Reserved));
        }
        assert_eq!(Name::parse(" "), Err(NameError::Empty));
        assert_eq!(Name::parse(&"a".repeat(64)), Err(NameError::TooLong));
    }
}
