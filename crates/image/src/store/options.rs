//! How a remote store is opened besides its address: what the library calls configuration, some of it secret. It opens
//! nothing and knows no provider.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::{Error, Result};

/// Certificates in PEM to trust besides the system's.
pub const ROOT_CERTIFICATE: &str = "root_certificate";
/// What carries objects into the store: `object_store` (if not given) or `azcopy`.
pub const TRANSFER: &str = "transfer";

/// How long a request is tried again before the store is said not to answer. A request's signature must outlive it.
const PATIENCE: Duration = Duration::from_secs(180);

/// The options whose values are secret.
const SECRET: [&str; 7] = [
    "account_key",
    "sas_token",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "client_secret",
    "bearer_token",
];

/// Options of a store, by the names that object_store gives them (`account_key`, `endpoint`, `region`, …), and
/// [`ROOT_CERTIFICATE`] and [`TRANSFER`]. They win over what the environment says. No `Debug` output shows a value.
#[derive(Clone)]
pub struct StoreOptions {
    values: BTreeMap<String, String>,
    pub(crate) patience: Duration,
}

impl StoreOptions {
    /// Reads a JSON object of texts: the form that travels in a secret file.
    ///
    /// # Errors
    /// It is no such object. The words quote nothing of it.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let values: BTreeMap<String, String> = serde_json::from_slice(text).map_err(|error| {
            Error::Settings(format!(
                "the store's options are no JSON object of texts (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        Ok(values.into_iter().collect())
    }

    /// The same as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!(self.values).to_string()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Another time to try requests again for: a person who waits for an answer has less patience than a job.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// One of them.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// Those that are the library's.
    pub(crate) fn library(&self) -> impl Iterator<Item = (&str, &str)> {
        let ours = |key: &str| key == ROOT_CERTIFICATE || key == TRANSFER;
        self.values
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .filter(move |(key, _)| !ours(key))
    }

    /// Everything in them that must never be shown.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let secret = self.values.iter().filter(|(key, _)| SECRET.contains(&key.as_str()));
        let mut secrets: Vec<String> = secret.map(|(_, value)| value.clone()).collect();
        // The signature alone opens as much as the whole token.
        let signature = |token: &str| {
            let pair = token.trim_start_matches('?').split('&').find_map(|pair| pair.strip_prefix("sig="));
            pair.map(|raw| [raw.to_owned(), raw.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=")])
        };
        secrets.extend(self.get("sas_token").and_then(signature).into_iter().flatten());
        secrets
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { values: BTreeMap::new(), patience: PATIENCE }
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for StoreOptions {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(options: T) -> Self {
        let values = options.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Self { values, ..Self::default() }
    }
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_and_never_shown() {
        let options = StoreOptions::from_iter([
            ("sas_token", "sv=2024&sig=ab%2Bc%3D&se=x"),
            ("endpoint", "https://example.test"),
        ]);
        assert_eq!(options.secrets(), ["sv=2024&sig=ab%2Bc%3D&se=x", "ab%2Bc%3D", "ab+c="]);
        assert_eq!(format!("{options:?}"), r#"{"endpoint", "sas_token"}"#);
        let again = StoreOptions::from_json(options.to_json().as_bytes()).expect("read");
        assert_eq!(again.values, options.values);
        let refused = StoreOptions::from_json(br#"{"account_key": canary}"#).expect_err("no JSON");
        assert!(!refused.to_string().contains("canary"), "{refused}");
    }
}
