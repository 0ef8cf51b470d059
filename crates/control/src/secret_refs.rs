//! Passwords in a Secret of the cluster: the reference is stored, the value is read at each use.

use std::fmt;
use std::str::FromStr;

use platform::{ExposeSecret, Platform, Secret};

use crate::error::{Error, Result};

/// The field of the form and the body.
const FIELD: &str = "secret_ref";

/// A reference to one key of a Secret.
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
            _ => {
                Err(Error::invalid(FIELD, "Enter namespace/name/key, such as shop/orders-postgres/password."))
            }
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.name, self.key)
    }
}

impl SecretRef {
    /// The command that prints the value, for users with access to the cluster.
    pub(crate) fn command(&self) -> String {
        format!(
            "kubectl get secret --namespace {} {} --output jsonpath='{{.data.{}}}' | base64 --decode",
            self.namespace,
            self.name,
            self.key.replace('.', "\\.")
        )
    }

    /// Reads the current value.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the Secret or the key does not exist or may not be read; [`Error::Failed`] if the cluster is
    /// unavailable.
    pub(crate) async fn read(&self, platform: &dyn Platform) -> Result<Secret> {
        let invalid = |message: String| Error::invalid(FIELD, message);
        let mut values = platform.read_secret(&self.namespace, &self.name).await.map_err(|error| {
            let failure = error.failure();
            match failure.code.is_permanent() {
                true => Error::at_field(FIELD, failure),
                false => Error::Failed(failure.clone()),
            }
        })?;
        let Some(value) = values.remove(&self.key) else {
            let keys: Vec<String> = values.into_keys().collect();
            let keys = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
            return Err(invalid(format!(
                "The Secret {}/{} has no key {}. Its keys: {keys}.",
                self.namespace, self.name, self.key
            )));
        };
        if value.expose_secret().is_empty() || value.expose_secret().contains(['\n', '\r', '\0']) {
            return Err(invalid(format!(
                "The value of {self} is empty or contains a line break. Store the password without one: use printf, not echo."
            )));
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_has_three_valid_parts() {
        let good: SecretRef = " shop/orders.db/postgres_password ".parse().expect("reference");
        assert_eq!(good.to_string(), "shop/orders.db/postgres_password");
        for bad in ["", "a/b", "a/b/c/d", "a//c", "A/b/c", "a/b/c d", "../b/c d", "a/b/$(id)"] {
            let error = bad.parse::<SecretRef>().expect_err(bad);
            assert!(matches!(error, Error::Invalid { field: "secret_ref", .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn command_escapes_dots_in_the_key() {
        let secret: SecretRef = "shop/orders/tls.key".parse().expect("reference");
        assert!(secret.command().contains(r"'{.data.tls\.key}'"), "{}", secret.command());
    }
}
