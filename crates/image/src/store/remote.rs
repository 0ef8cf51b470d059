//! Opening a container of Azure Blob Storage or a bucket of S3: what the environment says, what the options say over it,
//! how long to wait and how often to try again.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};

use super::options::{ROOT_CERTIFICATE, StoreOptions};
use super::place::Place;
use crate::error::{Error, Result};

/// Opens a container.
pub(crate) fn azure(
    account: &str,
    container: &str,
    prefix: &str,
    options: &StoreOptions,
) -> Result<(Arc<dyn ObjectStore>, Place)> {
    let mut builder = MicrosoftAzureBuilder::new();
    for (name, value) in environment("AZURE_") {
        if let Ok(key) = name.parse::<AzureConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    for (name, value) in options.library() {
        builder = builder.with_config(name.parse().map_err(|_| unknown(name))?, value);
    }
    let value = |key| builder.get_config_value(&key).filter(|value: &String| !value.is_empty());
    let endpoint = value(AzureConfigKey::Endpoint).map(|endpoint| of_account(&endpoint, account));
    let token_file = value(AzureConfigKey::FederatedTokenFile);
    if let Some(host) = value(AzureConfigKey::AuthorityHost) {
        // AKS' ends in a slash.
        builder = builder.with_authority_host(host.trim_end_matches('/'));
    }
    if let Some(endpoint) = &endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let place = Place::Azure { account: account.to_owned(), container: container.to_owned(), token_file };
    let built = builder
        .with_account(account)
        .with_container_name(container)
        .with_retry(retries(options))
        .with_client_options(client(options, endpoint.as_deref())?)
        .build()
        .map_err(|error| unusable(&place, &error))?;
    Ok((below(built, prefix), place))
}

/// Opens a bucket.
pub(crate) fn s3(
    bucket: &str,
    prefix: &str,
    options: &StoreOptions,
) -> Result<(Arc<dyn ObjectStore>, Place)> {
    use AmazonS3ConfigKey as Key;
    // Who we are is said either by the environment or by the options: half of each would be nobody.
    let named = options.get("access_key_id").is_some() || options.get("role_arn").is_some();
    let identity = [Key::AccessKeyId, Key::SecretAccessKey, Key::Token, Key::RoleArn];
    let mut builder = AmazonS3Builder::new();
    for (name, value) in environment("AWS_") {
        if let Ok(key) = name.parse::<Key>()
            && !(named && identity.contains(&key))
        {
            builder = builder.with_config(key, value);
        }
    }
    for (name, value) in options.library() {
        builder = builder.with_config(name.parse().map_err(|_| unknown(name))?, value);
    }
    let value = |key| builder.get_config_value(&key).filter(|value: &String| !value.is_empty());
    let endpoint = value(Key::S3Endpoint).or_else(|| value(Key::Endpoint));
    let place = Place::S3 { bucket: bucket.to_owned(), token_file: value(Key::WebIdentityTokenFile) };
    let built = builder
        .with_bucket_name(bucket)
        .with_retry(retries(options))
        .with_client_options(client(options, endpoint.as_deref())?)
        .build()
        .map_err(|error| unusable(&place, &error))?;
    Ok((below(built, prefix), place))
}

/// What the process was given under names that begin so, as the library writes them.
fn environment(prefix: &str) -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(move |(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        (name.starts_with(prefix) && !value.is_empty()).then(|| (name.to_ascii_lowercase(), value))
    })
}

/// An endpoint that serves many accounts names them in its path; one of the account's own is taken as it is.
pub(super) fn of_account(endpoint: &str, account: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    if host.contains('/') || host.starts_with(&format!("{account}.")) {
        return endpoint.to_owned();
    }
    format!("{endpoint}/{account}")
}

fn below(store: impl ObjectStore, prefix: &str) -> Arc<dyn ObjectStore> {
    if prefix.is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) }
}

/// The library's ten tries may be over in a few seconds; what counts is the time.
fn retries(options: &StoreOptions) -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(200),
        max_backoff: Duration::from_secs(5),
        base: 2.,
    };
    RetryConfig { backoff, max_retries: 1000, retry_timeout: options.patience }
}

fn client(options: &StoreOptions, endpoint: Option<&str>) -> Result<ClientOptions> {
    // Whoever installed another one first decided for the whole process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A part of 20 MiB in 120 s takes a line of 1.4 Mbit/s.
    let timeout = options.patience.clamp(Duration::from_secs(15), Duration::from_secs(120));
    let mut client = ClientOptions::new()
        .with_timeout(timeout)
        .with_connect_timeout(Duration::from_secs(5))
        .with_user_agent(object_store::HeaderValue::from_static(concat!(
            "toygres/",
            env!("CARGO_PKG_VERSION")
        )))
        .with_allow_http(endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")));
    if let Some(pem) = options.get(ROOT_CERTIFICATE) {
        let certificates = Certificate::from_pem_bundle(pem.as_bytes()).ok().filter(|all| !all.is_empty());
        let certificates = certificates.ok_or_else(|| {
            Error::Settings(
                "the store's root certificate is no certificate in PEM (-----BEGIN CERTIFICATE-----)"
                    .to_owned(),
            )
        })?;
        for certificate in certificates {
            client = client.with_root_certificate(certificate);
        }
    }
    Ok(client)
}

fn unknown(name: &str) -> Error {
    Error::Settings(format!("the store has an option {name:?} that its kind does not know"))
}

/// What the library says before it asks anybody quotes no value but that of a wrong option.
fn unusable(place: &Place, error: &object_store::Error) -> Error {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        words = cause.to_string();
        source = cause.source();
    }
    if words.contains("No CA certificates were loaded") {
        words = "this machine trusts no certificate authority: install ca-certificates, name a bundle in SSL_CERT_FILE, or give the store a root certificate".to_owned();
    }
    if words.contains("workload_identity") {
        words = "workload identity needs AZURE_FEDERATED_TOKEN_FILE, a client id and a tenant id: on Kubernetes the webhook or Toygres sets them for pods whose identity is set up; elsewhere set them yourself".to_owned();
    }
    if words.contains("base64") || words.contains("Invalid symbol") || words.contains("Invalid padding") {
        words = "the account key is not base64: copy it again, whole".to_owned();
    }
    Error::Settings(format!("{place} cannot be opened: {words}"))
}

#[cfg(test)]
mod tests {
    use super::of_account;

    #[test]
    fn an_endpoint_names_the_account_once() {
        for (given, meant) in [
            ("https://azurite:10000/", "https://azurite:10000/acme"),
            ("https://azurite:10000/acme", "https://azurite:10000/acme"),
            ("https://acme.blob.core.windows.net", "https://acme.blob.core.windows.net"),
            ("https://acme.privatelink.blob.example/", "https://acme.privatelink.blob.example"),
        ] {
            assert_eq!(of_account(given, "acme"), meant);
        }
    }
}
