//! Shared access signatures for a container of Azure Blob Storage. It sends no requests.

use chrono::{DateTime, SecondsFormat, Utc};
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use sha2::Sha256;

/// The version of the service whose form of signatures is used.
pub(crate) const VERSION: &str = "2020-12-06";
/// Read and list objects, and create new ones. It does not include replacing and deleting existing objects.
const READ_LIST_CREATE: &str = "rcl";

/// What a signature gives access to.
pub(crate) struct Grant<'a> {
    pub(crate) account: &'a str,
    pub(crate) container: &'a str,
    pub(crate) expires: DateTime<Utc>,
    /// Whether http is accepted, as by an emulator.
    pub(crate) http: bool,
}

/// A key that the service gives to an identity, to sign with instead of the key of the account.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DelegationKey {
    signed_oid: String,
    signed_tid: String,
    signed_start: String,
    signed_expiry: String,
    signed_service: String,
    signed_version: String,
    value: String,
}

/// A time as signatures and requests for keys contain it.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl Grant<'_> {
    /// The token, signed with the key of the account in base64; none if it is not base64.
    pub(crate) fn sign(&self, account_key: &str) -> Option<String> {
        self.token(&[], account_key)
    }

    /// The token, signed with a delegated key; none if its value is not base64.
    pub(crate) fn sign_delegated(&self, key: &DelegationKey) -> Option<String> {
        let delegated = [
            ("skoid", &*key.signed_oid),
            ("sktid", &key.signed_tid),
            ("skt", &key.signed_start),
            ("ske", &key.signed_expiry),
            ("sks", &key.signed_service),
            ("skv", &key.signed_version),
        ];
        self.token(&delegated, &key.value)
    }

    fn token(&self, delegated: &[(&str, &str)], key: &str) -> Option<String> {
        let (expires, protocols) = (time(self.expires), if self.http { "https,http" } else { "https" });
        let resource = format!("/blob/{}/{}", self.account, self.container);
        // The lines in the documented order; a feature that is not used is an empty line. After the delegated key: two
        // accounts that use it, and a correlation. Without one: the name of a policy.
        let middle = if delegated.is_empty() { vec![""] } else { vec![""; 3] };
        let lines: Vec<&str> = [READ_LIST_CREATE, "", &expires, &resource]
            .into_iter()
            .chain(delegated.iter().map(|(_, value)| *value))
            .chain(middle)
            // Addresses, protocols, version, kind of resource; snapshot, encryption, and five headers of responses.
            .chain(["", protocols, VERSION, "c"])
            .chain([""; 7])
            .collect();
        let mut mac = Hmac::<Sha256>::new_from_slice(&BASE64.decode(key.as_bytes()).ok()?).ok()?;
        mac.update(lines.join("\n").as_bytes());
        let signature = BASE64.encode(&mac.finalize().into_bytes());
        let fields = [
            ("sv", VERSION),
            ("sr", "c"),
            ("sp", READ_LIST_CREATE),
            ("se", &*expires),
            ("spr", protocols),
            ("sig", &*signature),
        ];
        let encoded =
            |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        Some(fields.iter().chain(delegated).map(encoded).collect::<Vec<_>>().join("&"))
    }
}
