//! Opens containers of Azure Blob Storage and buckets of S3, by the environment and the options of the store.

use std::sync::Arc;
use std::time::Duration;

use model::FailureCode;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};

use super::backend::Remote;
use super::causes;
use super::network::{CheckedResolver, check_address};
use super::options::{ROOT_CERTIFICATE, StoreOptions};
use crate::error::{Error, Result};

/// A container of Azure Blob Storage.
pub(crate) struct Container {
    pub(crate) client: MicrosoftAzure,
    pub(crate) remote: Remote,
    /// The URL of the storage account.
    pub(crate) account_url: String,
    /// The settings of an HTTP client for the account.
    pub(crate) http: ClientOptions,
}

/// Opens a container of Azure Blob Storage below a prefix.
pub(crate) fn azure(
    account: &str,
    container: &str,
    prefix: &str,
    options: &StoreOptions,
) -> Result<(Arc<dyn ObjectStore>, Remote)> {
    let Container { client, remote, .. } = azure_container(account, container, options)?;
    Ok((with_prefix(client, prefix), remote))
}

/// Opens a container of Azure Blob Storage.
pub(crate) fn azure_container(account: &str, container: &str, options: &StoreOptions) -> Result<Container> {
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
    let endpoint = value(AzureConfigKey::Endpoint).map(|endpoint| with_account(&endpoint, account));
    let authority = value(AzureConfigKey::AuthorityHost);
    let identity = [
        (AzureConfigKey::FederatedTokenFile, "AZURE_FEDERATED_TOKEN_FILE"),
        (AzureConfigKey::ClientId, "AZURE_CLIENT_ID"),
        (AzureConfigKey::AuthorityId, "AZURE_TENANT_ID"),
    ];
    let unset = identity.into_iter().filter(|(key, _)| value(*key).is_none());
    let unset: Vec<&str> = unset.map(|(_, name)| name).collect();
    let default_host = format!("{account}.blob.core.windows.net");
    let remote = Remote {
        container: format!("container {container} of the storage account {account}"),
        host: host(endpoint.as_deref(), &default_host),
        token_host: host(authority.as_deref(), "login.microsoftonline.com"),
        token_file: value(AzureConfigKey::FederatedTokenFile),
    };
    if let Some(authority) = &authority {
        // The URL that AKS sets ends in a slash.
        builder = builder.with_authority_host(authority.trim_end_matches('/'));
    }
    if let Some(endpoint) = &endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let http = client(options, endpoint.as_deref(), authority.as_deref())?;
    let client = builder
        .with_account(account)
        .with_container_name(container)
        .with_retry(retries(options))
        .with_client_options(http.clone())
        .build()
        .map_err(|error| invalid(&remote, &error, &unset))?;
    let account_url = endpoint.unwrap_or_else(|| format!("https://{default_host}"));
    Ok(Container { client, remote, account_url, http })
}

/// Opens a bucket of S3.
pub(crate) fn s3(
    bucket: &str,
    prefix: &str,
    options: &StoreOptions,
) -> Result<(Arc<dyn ObjectStore>, Remote)> {
    use AmazonS3ConfigKey as Key;
    // Credentials come either from the environment or from the options, never in part from both.
    let given = options.get("access_key_id").is_some() || options.get("role_arn").is_some();
    let identity = [Key::AccessKeyId, Key::SecretAccessKey, Key::Token, Key::RoleArn];
    let mut builder = AmazonS3Builder::new();
    for (name, value) in environment("AWS_") {
        if let Ok(key) = name.parse::<Key>()
            && !(given && identity.contains(&key))
        {
            builder = builder.with_config(key, value);
        }
    }
    for (name, value) in options.library() {
        builder = builder.with_config(name.parse().map_err(|_| unknown(name))?, value);
    }
    let value = |key| builder.get_config_value(&key).filter(|value: &String| !value.is_empty());
    let endpoint = value(Key::S3Endpoint).or_else(|| value(Key::Endpoint));
    let region = value(Key::Region).unwrap_or_else(|| "us-east-1".to_owned());
    let sts = value(Key::StsEndpoint);
    let remote = Remote {
        container: format!("bucket {bucket}"),
        host: host(endpoint.as_deref(), &format!("s3.{region}.amazonaws.com")),
        token_host: host(sts.as_deref(), &format!("sts.{region}.amazonaws.com")),
        token_file: value(Key::WebIdentityTokenFile),
    };
    let built = builder
        .with_bucket_name(bucket)
        .with_retry(retries(options))
        .with_client_options(client(options, endpoint.as_deref(), sts.as_deref())?)
        .build()
        .map_err(|error| invalid(&remote, &error, &[]))?;
    Ok((with_prefix(built, prefix), remote))
}

/// The environment variables with this prefix, their names in lowercase as object_store expects them.
fn environment(prefix: &str) -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(move |(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        (name.starts_with(prefix) && !value.is_empty()).then(|| (name.to_ascii_lowercase(), value))
    })
}

/// Host and port of a URL, without credentials; the default if there is no URL.
fn host(url: Option<&str>, default: &str) -> String {
    let Some(url) = url else { return default.to_owned() };
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    authority.rsplit('@').next().unwrap_or(authority).to_owned()
}

/// The URL of an account: an endpoint that serves several accounts has the account in its path.
pub(super) fn with_account(endpoint: &str, account: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    if host.contains('/') || host.starts_with(&format!("{account}.")) {
        return endpoint.to_owned();
    }
    format!("{endpoint}/{account}")
}

fn with_prefix(store: impl ObjectStore, prefix: &str) -> Arc<dyn ObjectStore> {
    if prefix.is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) }
}

/// Retries are limited by time. object_store's default of ten retries can be used up within a few seconds.
fn retries(options: &StoreOptions) -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(200),
        max_backoff: Duration::from_secs(5),
        base: 2.,
    };
    RetryConfig { backoff, max_retries: 1000, retry_timeout: options.retry_limit }
}

/// The HTTP client for an endpoint and the service that exchanges tokens.
fn client(options: &StoreOptions, endpoint: Option<&str>, tokens: Option<&str>) -> Result<ClientOptions> {
    // Fails if the process has a provider already, which is then used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A part has at most 20 MiB: 120 s are enough at 1.4 Mbit/s.
    let timeout = options.retry_limit.clamp(Duration::from_secs(15), Duration::from_secs(120));
    let mut client = ClientOptions::new()
        .with_timeout(timeout)
        .with_connect_timeout(Duration::from_secs(5))
        .with_user_agent(object_store::HeaderValue::from_static(concat!(
            "toygres/",
            env!("CARGO_PKG_VERSION")
        )))
        .with_allow_http(endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")));
    if let Some(policy) = options.network()? {
        endpoint.into_iter().chain(tokens).try_for_each(|url| check_address(&policy, url))?;
        client = client.with_dns_resolver(Arc::new(CheckedResolver(policy)));
    }
    if let Some(pem) = options.get(ROOT_CERTIFICATE) {
        let certificates = Certificate::from_pem_bundle(pem.as_bytes()).ok().filter(|all| !all.is_empty());
        let certificates = certificates.ok_or_else(|| {
            Error::settings(ROOT_CERTIFICATE, "not a certificate in PEM (-----BEGIN CERTIFICATE-----)")
        })?;
        for certificate in certificates {
            client = client.with_root_certificate(certificate);
        }
    }
    Ok(client)
}

fn unknown(name: &str) -> Error {
    Error::settings(name, "unknown option for this kind of store")
}

/// Classifies an error of a builder. Its text quotes no value except that of an invalid option. `unset` are the variables
/// that a workload identity needs and that have no value.
fn invalid(remote: &Remote, error: &object_store::Error, unset: &[&str]) -> Error {
    let mut detail = causes::of(error).last().map(ToString::to_string).unwrap_or_default();
    let no_certificates = detail.contains("No CA certificates were loaded"); // foreign text: reqwest
    let no_credentials = detail.contains("required configuration is missing"); // foreign text: object_store
    if no_credentials && detail.contains("workload_identity") {
        detail = format!("{detail}: {}", unset.join(", "));
    }
    let code = match (no_certificates, no_credentials) {
        (true, _) => FailureCode::StoreCertificateUntrusted,
        (_, true) => FailureCode::StoreCredentialsMissing,
        _ => FailureCode::StoreSettingsInvalid,
    };
    Error::new(code, remote.container.as_str(), detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn invalid_options_have_codes() {
        for (options, code, detail) in [
            (&[("account_key", "not base64!")][..], FailureCode::StoreSettingsInvalid, ""),
            (&[("colour", "blue")], FailureCode::StoreSettingsInvalid, ""),
            (&[("root_certificate", "x")], FailureCode::StoreSettingsInvalid, "PEM"),
            (&[("transfer", "pigeon")], FailureCode::StoreSettingsInvalid, "pigeon"),
            (
                &[("credential_type", "workload_identity"), ("tenant_id", "t"), ("client_id", "c")],
                FailureCode::StoreCredentialsMissing,
                "AZURE_FEDERATED_TOKEN_FILE",
            ),
        ] {
            let options = StoreOptions::from_iter(options.iter().copied());
            let error = Store::open("az://acme1/images", &options).expect_err("invalid");
            assert_eq!(error.code(), code, "{error}");
            assert!(error.failure().detail.contains(detail), "{error}");
        }
    }

    #[test]
    fn host_has_no_credentials_and_no_path() {
        assert_eq!(
            host(Some("https://user:canary@example.test:9000/images"), "default"),
            "example.test:9000"
        );
        assert_eq!(host(None, "default"), "default");
    }

    #[test]
    fn endpoint_contains_the_account_once() {
        for (endpoint, expected) in [
            ("https://azurite:10000/", "https://azurite:10000/acme"),
            ("https://azurite:10000/acme", "https://azurite:10000/acme"),
            ("https://acme.blob.core.windows.net", "https://acme.blob.core.windows.net"),
            ("https://acme.privatelink.blob.example/", "https://acme.privatelink.blob.example"),
        ] {
            assert_eq!(with_account(endpoint, "acme"), expected);
        }
    }
}
