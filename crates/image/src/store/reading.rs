//! Credentials for a job that writes no image: a shared access signature instead of the key or the identity of the store.

use std::time::Duration;

use chrono::Utc;
use http::{Method, Request, StatusCode};
use model::{Failure, FailureCode};
use object_store::azure::AzureCredential;
use object_store::client::{HttpConnector as _, ReqwestConnector};

use super::address::Address;
use super::options::{StoreOptions, TRANSFER};
use super::remote::{self, Container};
use super::sas::{self, DelegationKey, Grant};
use crate::error::{Error, Result};

/// How long before now a delegated key becomes valid: the clock of the service may be late.
const CLOCK_SKEW: Duration = Duration::from_secs(15 * 60);

/// The options that a signature replaces, and the tool for uploads, which accepts no signature.
const REPLACED: [&str; 7] = [
    "account_key",
    "credential_type",
    "client_id",
    "tenant_id",
    "authority_host",
    "federated_token_file",
    TRANSFER,
];

/// Credentials for a job that writes no image.
#[derive(Debug)]
pub enum Reading {
    /// Options that can read and list the objects of the container and create new ones, but replace and delete none.
    Signed(StoreOptions),
    /// The store has no narrower credentials: a directory, S3, a signature that was typed, or the environment.
    Unchanged,
    /// The service does not give a key for signatures to the identity of this process.
    Refused(Failure),
}

impl StoreOptions {
    /// Derives credentials for a job that writes no image: signed with the key of the storage account, or with a key that
    /// the service delegates to the workload identity of this process.
    ///
    /// # Errors
    /// The address or the options are invalid, or the service does not respond.
    pub async fn for_reading(&self, url: &str, valid_for: Duration) -> Result<Reading> {
        let Address::Azure { account, container, .. } = Address::parse(url)? else {
            return Ok(Reading::Unchanged);
        };
        let by_identity = self.get("credential_type") == Some("workload_identity");
        if self.get("account_key").is_none() && !by_identity {
            return Ok(Reading::Unchanged);
        }
        let opened = remote::azure_container(&account, &container, self)?;
        let grant = Grant {
            account: &account,
            container: &container,
            expires: Utc::now() + valid_for,
            http: opened.account_url.starts_with("http://"),
        };
        let token = match self.get("account_key") {
            Some(key) => grant.sign(key),
            None => match opened.delegated_key(&grant).await {
                Ok(key) => grant.sign_delegated(&key),
                Err(error) if error.code() == FailureCode::StoreAccessDenied => {
                    return Ok(Reading::Refused(error.failure()));
                }
                Err(error) => return Err(error),
            },
        };
        let token = token.ok_or_else(|| Error::settings("account_key", "the key is not base64"))?;
        Ok(Reading::Signed(self.with_signature(token)))
    }

    fn with_signature(&self, token: String) -> Self {
        let kept = self.all().filter(|(name, _)| !REPLACED.contains(name));
        let kept = kept.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let signed = [("credential_type", "sas_token".to_owned()), ("sas_token", token)];
        let signed = signed.map(|(name, value)| (name.to_owned(), value));
        Self::from_iter(kept.chain(signed)).with_retry_limit(self.retry_limit)
    }
}

impl Container {
    /// Requests a key for signatures that expire when the grant does.
    async fn delegated_key(&self, grant: &Grant<'_>) -> Result<DelegationKey> {
        let classified = |error: &object_store::Error| self.remote.classify("the key for signatures", error);
        let credential =
            self.client.credentials().get_credential().await.map_err(|error| classified(&error))?;
        let AzureCredential::BearerToken(token) = &*credential else {
            return Err(Error::settings("credential_type", "the identity has no token"));
        };
        let (start, expiry) = (sas::time(Utc::now() - CLOCK_SKEW), sas::time(grant.expires));
        let body = format!("<KeyInfo><Start>{start}</Start><Expiry>{expiry}</Expiry></KeyInfo>");
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/?restype=service&comp=userdelegationkey", self.account_url))
            .header("x-ms-version", sas::VERSION)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/xml")
            .body(body.into())
            .map_err(|error| Error::settings("endpoint", error.to_string()))?;
        let generic = |source: Box<dyn std::error::Error + Send + Sync>| {
            classified(&object_store::Error::Generic { store: "MicrosoftAzure", source })
        };
        let http = ReqwestConnector::default().connect(&self.http).map_err(|error| classified(&error))?;
        let response = http.execute(request).await.map_err(|error| generic(error.into()))?;
        let status = response.status();
        let text = response.into_body().bytes().await.map_err(|error| generic(error.into()))?;
        let text = String::from_utf8_lossy(&text);
        if status != StatusCode::OK {
            // The form in which object_store reports a response.
            return Err(generic(format!("POST: status code: {}: {text}", status.as_u16()).into()));
        }
        quick_xml::de::from_str(&text).map_err(|_| {
            Error::new(FailureCode::StoreForeignAnswer, &*self.remote.host, "the response contains no key")
        })
    }
}
