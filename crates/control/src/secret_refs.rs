//! Passwords that are in a Secret of the cluster: the reference is kept here, the value is read each time it is used.

use std::fmt;
use std::str::FromStr;

use platform::{Platform, Secret};

use crate::error::{Error, Result};

/// The form's and the body's field.
const FIELD: &str = "secret_ref";

/// One key of one Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretRef {
    namespace: String,
    name: String,
    key: String,
}

impl FromStr for SecretRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.trim().split('/').collect();
        let of_object = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let of_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is = |part: &str, allowed: &dyn Fn(char) -> bool| {
            (1..=253).contains(&part.len()) && part.chars().all(allowed)
        };
        match parts[..] {
            [namespace, name, key]
                if is(namespace, &of_object) && is(name, &of_object) && is(key, &of_key) =>
            {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned(), key: key.to_owned() })
            }
            _ => Err(Error::invalid(
                FIELD,
                "A reference to a Secret is namespace/name/key, such as shop/orders-postgres/password.",
            )),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.name, self.key)
    }
}

impl SecretRef {
    /// How to look at it, for who may.
    pub(crate) fn command(&self) -> String {
        format!(
            "kubectl get secret --namespace {} {} --output jsonpath='{{.data.{}}}' | base64 --decode",
            self.namespace,
            self.name,
            self.key.replace('.', "\\.")
        )
    }

    /// The value as it is now.
    ///
    /// # Errors
    /// The platform has no Secrets, this one may not be read, or the key is not in it; the field is named.
    pub(crate) async fn read(&self, platform: &dyn Platform) -> Result<Secret> {
        let refused = |words: String| Error::invalid(FIELD, words);
        let mut values = platform.read_secret(&self.namespace, &self.name).await.map_err(|error| match error {
            platform::Error::Transient(error) => {
                tracing::warn!(error = format!("{error:#}"), secret = %self, "a Secret could not be read");
                Error::Unavailable(format!("The cluster does not answer for the Secret {self}. Try again in a moment."))
            }
            platform::Error::Foreign(words) | platform::Error::Impossible(words) => refused(words),
        })?;
        let Some(value) = values.remove(&self.key) else {
            let there: Vec<String> = values.into_keys().collect();
            let there = if there.is_empty() { "nothing".to_owned() } else { there.join(", ") };
            return Err(refused(format!(
                "The Secret {}/{} has no key {}; it has {there}.",
                self.namespace, self.name, self.key
            )));
        };
        if value.reveal().is_empty() || value.reveal().contains(['\n', '\r', '\0']) {
            return Err(refused(format!(
                "The value of {self} is empty or has a line break. Store the password alone (printf, not echo)."
            )));
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_three_parts_of_their_characters() {
        let good: SecretRef = " shop/orders.db/postgres_password ".parse().expect("a reference");
        assert_eq!(good.to_string(), "shop/orders.db/postgres_password");
        for bad in ["", "a/b", "a/b/c/d", "a//c", "A/b/c", "a/b/c d", "../b/c d", "a/b/$(id)"] {
            let error = bad.parse::<SecretRef>().expect_err(bad);
            assert!(matches!(error, Error::Invalid { field: "secret_ref", .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn the_command_names_the_key_as_jsonpath_takes_it() {
        let secret: SecretRef = "shop/orders/tls.key".parse().expect("a reference");
        assert!(secret.command().contains(r"'{.data.tls\.key}'"), "{}", secret.command());
    }
}
