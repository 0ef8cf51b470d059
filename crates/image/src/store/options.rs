//! The options of a store: object_store's configuration keys and values, some of them secret.

use std::collections::BTreeMap;
use std::time::Duration;

use model::NetworkPolicy;

use crate::error::{Error, Result};

/// The option with root certificates in PEM that are trusted in addition to the system's.
pub const ROOT_CERTIFICATE: &str = "root_certificate";
/// The option with the tool that uploads objects: `object_store` (default) or `azcopy`.
pub const TRANSFER: &str = "transfer";
/// The option with the addresses that the store may have, a [`NetworkPolicy`] as JSON; any if none. Set if a user typed a host
/// of the store.
pub const NETWORK: &str = "network";

/// The time limit for retries of one request. The request's signature must be valid for longer.
const RETRY_LIMIT: Duration = Duration::from_secs(180);

/// The names of the options whose values are secret.
const SECRET: [&str; 7] = [
    "account_key",
    "sas_token",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "client_secret",
    "bearer_token",
];

/// The options of a store, by object_store's names (`account_key`, `endpoint`, `region`, …), and [`ROOT_CERTIFICATE`],
/// [`TRANSFER`] and [`NETWORK`]. They take precedence over the environment. The `Debug` output contains no values.
#[derive(Clone)]
pub struct StoreOptions {
    values: BTreeMap<String, String>,
    pub(crate) retry_limit: Duration,
}

impl StoreOptions {
    /// Parses a JSON object of strings, the form of the secret file.
    ///
    /// # Errors
    /// [`FailureCode::StoreSettingsInvalid`](model::FailureCode::StoreSettingsInvalid). The text quotes no values.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let values: BTreeMap<String, String> = serde_json::from_slice(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let detail = format!("not a JSON object of strings (line {line}, column {column})");
            Error::settings("store options", detail)
        })?;
        Ok(values.into_iter().collect())
    }

    /// Serializes the options as JSON, secrets included.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!(self.values).to_string()
    }

    /// Whether there are no options.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Sets the time limit for retries of one request (180 seconds by default).
    #[must_use]
    pub fn with_retry_limit(mut self, retry_limit: Duration) -> Self {
        self.retry_limit = retry_limit;
        self
    }

    /// The value of an option.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// All options.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Which addresses the store may have; any if none.
    pub(crate) fn network(&self) -> Result<Option<NetworkPolicy>> {
        let policy = self.get(NETWORK).map(serde_json::from_str).transpose();
        policy.map_err(|error| Error::settings(NETWORK, error.to_string()))
    }

    /// The options that object_store knows.
    pub(crate) fn library(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = |key: &str| [ROOT_CERTIFICATE, TRANSFER, NETWORK].contains(&key);
        self.all().filter(move |(key, _)| !own(key))
    }

    /// The secret values, and the signature of a shared access signature.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let secret = self.values.iter().filter(|(key, _)| SECRET.contains(&key.as_str()));
        let mut secrets: Vec<String> = secret.map(|(_, value)| value.clone()).collect();
        // The signature without the rest of the token grants the same access.
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
        Self { values: BTreeMap::new(), retry_limit: RETRY_LIMIT }
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
    fn secrets_are_listed_and_never_printed() {
        let options = StoreOptions::from_iter([
            ("sas_token", "sv=2024&sig=ab%2Bc%3D&se=x"),
            ("endpoint", "https://example.test"),
        ]);
        assert_eq!(options.secrets(), ["sv=2024&sig=ab%2Bc%3D&se=x", "ab%2Bc%3D", "ab+c="]);
        assert_eq!(format!("{options:?}"), r#"{"endpoint", "sas_token"}"#);
        let again = StoreOptions::from_json(options.to_json().as_bytes()).expect("read");
        assert_eq!(again.values, options.values);
        let error = StoreOptions::from_json(br#"{"account_key": canary}"#).expect_err("no JSON");
        assert_eq!(error.code(), model::FailureCode::StoreSettingsInvalid);
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}
