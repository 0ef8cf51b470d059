//! Validates the fields of a store's form and normalizes them. An error names the field.

use std::collections::BTreeMap;

use model::{StoreAccess, StoreAuth, Transfer};

use super::access::KEYS;
use crate::error::{Error, Result};

/// The longest value of a field, in bytes; certificates may be longer.
const MAX_BYTES: usize = 1000;

/// The address, without surrounding spaces and trailing slashes.
pub(crate) fn url(typed: &str) -> Result<String> {
    let url = typed.trim().trim_end_matches('/');
    if url.is_empty() || url.len() > MAX_BYTES {
        return Err(Error::invalid(
            "url",
            "Enter the address of the store, such as az://account/container/images.",
        ));
    }
    if !["file", "pvc", "az", "s3"].contains(&scheme(url)) {
        return Err(Error::invalid(
            "url",
            "Enter an address that begins with az://, s3:// or pvc://, or with file:/// on a single machine.",
        ));
    }
    Ok(url.to_owned())
}

fn scheme(url: &str) -> &str {
    url.split_once("://").map_or("", |(scheme, _)| scheme)
}

/// How the store is accessed. Empty fields are absent; fields that do not apply to the address are an error.
pub(crate) fn access(url: &str, typed: &StoreAccess) -> Result<StoreAccess> {
    let access = StoreAccess {
        auth: auth(scheme(url), &typed.auth)?,
        endpoint: line("endpoint", typed.endpoint.as_ref())?,
        region: line("region", typed.region.as_ref())?,
        root_certificate: non_empty(typed.root_certificate.as_ref()),
        transfer: typed.transfer,
    };
    if let Some(endpoint) = &access.endpoint {
        https("endpoint", endpoint, matches!(access.auth, StoreAuth::AzureIdentity { .. }))?;
    }
    // foreign text: PEM
    if access.root_certificate.as_ref().is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----")) {
        return Err(Error::invalid(
            "root_certificate",
            "Paste a certificate in PEM format. It begins with -----BEGIN CERTIFICATE-----.",
        ));
    }
    let by_identity = matches!(access.auth, StoreAuth::Environment | StoreAuth::AzureIdentity { .. });
    if access.transfer == Transfer::Azcopy && !(scheme(url) == "az" && by_identity) {
        return Err(Error::invalid(
            "transfer",
            "azcopy requires az:// and a workload identity: it takes keys as arguments, which other processes can read.",
        ));
    }
    Ok(access)
}

fn auth(scheme: &str, typed: &StoreAuth) -> Result<StoreAuth> {
    let invalid = |message: &str| Err(Error::invalid("auth", message));
    Ok(match typed {
        StoreAuth::Environment => StoreAuth::Environment,
        StoreAuth::AzureIdentity { client_id, tenant_id, authority_host } => {
            if scheme != "az" {
                return invalid("An Azure workload identity requires az://.");
            }
            let authority_host = line("authority_host", authority_host.as_ref())?;
            authority_host.as_ref().map_or(Ok(()), |host| https("authority_host", host, true))?;
            StoreAuth::AzureIdentity {
                client_id: line("client_id", client_id.as_ref())?,
                tenant_id: line("tenant_id", tenant_id.as_ref())?,
                authority_host,
            }
        }
        StoreAuth::AwsIdentity { role_arn, sts_endpoint } => {
            if scheme != "s3" {
                return invalid("An AWS role requires s3://.");
            }
            let role = line("role_arn", Some(role_arn))?.filter(|role| role.starts_with("arn:"));
            let role_arn = role.ok_or_else(|| {
                Error::invalid(
                    "role_arn",
                    "Enter the ARN of the role, such as arn:aws:iam::ACCOUNT:role/NAME.",
                )
            })?;
            let sts_endpoint = line("sts_endpoint", sts_endpoint.as_ref())?;
            sts_endpoint.as_ref().map_or(Ok(()), |host| https("sts_endpoint", host, true))?;
            StoreAuth::AwsIdentity { role_arn, sts_endpoint }
        }
        StoreAuth::Secret { .. } | StoreAuth::Sealed if scheme != "az" && scheme != "s3" => {
            return invalid("Access keys require az:// or s3://. Choose the environment for a directory.");
        }
        StoreAuth::Secret { namespace, name } => {
            let missing = |field, message: &str| Error::invalid(field, message);
            StoreAuth::Secret {
                namespace: line("secret_namespace", Some(namespace))?
                    .ok_or_else(|| missing("secret_namespace", "Enter the namespace of the Secret."))?,
                name: line("secret_name", Some(name))?
                    .ok_or_else(|| missing("secret_name", "Enter the name of the Secret."))?,
            }
        }
        StoreAuth::Sealed => StoreAuth::Sealed,
    })
}

/// The typed keys that apply to the address.
pub(crate) fn keys(
    url: &str,
    access: &StoreAccess,
    typed: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    if access.auth != StoreAuth::Sealed {
        return Ok(BTreeMap::new());
    }
    let mut keys: BTreeMap<String, String> = typed
        .into_iter()
        .map(|(key, value)| (key, value.trim().trim_start_matches('?').to_owned()))
        .filter(|(key, value)| KEYS.contains(&key.as_str()) && !value.is_empty())
        .collect();
    let azure = ["account_key", "sas_token", "reading_sas_token"];
    keys.retain(|key, _| azure.contains(&key.as_str()) == (scheme(url) == "az"));
    if let Some((key, _)) =
        keys.iter().find(|(_, value)| value.len() > 4096 || value.contains(char::is_control))
    {
        let field = KEYS.iter().find(|known| *known == key).copied().unwrap_or("auth");
        return Err(Error::invalid(field, "Invalid key: paste it on a single line."));
    }
    let has = |key: &str| keys.contains_key(key);
    match scheme(url) {
        "az" if has("account_key") && has("sas_token") => {
            Err(Error::invalid("sas_token", "Enter either an account key or a SAS, not both."))
        }
        "az" if !has("account_key") && !has("sas_token") => {
            Err(Error::invalid("account_key", "Enter an account key or a SAS."))
        }
        "s3" if !has("access_key_id") => Err(Error::invalid("access_key_id", "Enter an access key ID.")),
        "s3" if !has("secret_access_key") => {
            Err(Error::invalid("secret_access_key", "Enter the secret access key."))
        }
        "s3" if has("reading_access_key_id") != has("reading_secret_access_key") => {
            let missing =
                ["reading_access_key_id", "reading_secret_access_key"].into_iter().find(|key| !has(key));
            let field = missing.unwrap_or("auth");
            Err(Error::invalid(field, "Enter both keys for reading, or none."))
        }
        _ => Ok(keys),
    }
}

fn non_empty(typed: Option<&String>) -> Option<String> {
    typed.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// A value of a single line.
fn line(field: &'static str, typed: Option<&String>) -> Result<Option<String>> {
    let value = non_empty(typed);
    if value.as_ref().is_some_and(|value| value.len() > MAX_BYTES || value.contains(char::is_control)) {
        return Err(Error::invalid(field, "Enter a single line of at most 1,000 bytes."));
    }
    Ok(value)
}

/// Requires an HTTP URL; with `tls_required`, an HTTPS URL.
fn https(field: &'static str, url: &str, tls_required: bool) -> Result<()> {
    if url.starts_with("https://") || (!tls_required && url.starts_with("http://")) {
        return Ok(());
    }
    let message = if tls_required {
        "Enter a URL that begins with https://, because a token is sent to it."
    } else {
        "Enter a URL that begins with https:// or http://."
    };
    Err(Error::invalid(field, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<T: std::fmt::Debug>(validated: Result<T>) -> &'static str {
        match validated.expect_err("invalid") {
            Error::Invalid { field, .. } => field,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn invalid_combination_names_its_field() {
        let of = |auth| StoreAccess { auth, ..StoreAccess::default() };
        let role = |role: &str| of(StoreAuth::AwsIdentity { role_arn: role.to_owned(), sts_endpoint: None });
        assert_eq!(field(access("file:///x", &of(StoreAuth::Sealed))), "auth");
        assert_eq!(field(access("az://a/c", &role("arn:aws:iam::1:role/x"))), "auth");
        assert_eq!(field(access("s3://bucket", &role("x"))), "role_arn");
        let plain =
            StoreAccess { endpoint: Some("http://azurite:10000".to_owned()), ..StoreAccess::default() };
        assert!(access("az://a/c", &plain).is_ok());
        let identity = StoreAuth::AzureIdentity { client_id: None, tenant_id: None, authority_host: None };
        assert_eq!(field(access("az://a/c", &StoreAccess { auth: identity, ..plain })), "endpoint");
        let azcopy = StoreAccess { transfer: Transfer::Azcopy, ..of(StoreAuth::Sealed) };
        assert_eq!(field(access("az://a/c", &azcopy)), "transfer");
    }

    #[test]
    fn only_keys_of_the_store_kind_are_kept() {
        let sealed = StoreAccess { auth: StoreAuth::Sealed, ..StoreAccess::default() };
        let typed = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let kept = keys(
            "az://a/c",
            &sealed,
            typed(&[("sas_token", " ?sv=1&sig=x "), ("access_key_id", "x"), ("account_key", "")]),
        );
        assert_eq!(kept.expect("keys"), typed(&[("sas_token", "sv=1&sig=x")]));
        assert_eq!(
            field(keys("az://a/c", &sealed, typed(&[("sas_token", "a"), ("account_key", "b")]))),
            "sas_token"
        );
        assert_eq!(field(keys("s3://b", &sealed, typed(&[("access_key_id", "a")]))), "secret_access_key");
        let half =
            typed(&[("access_key_id", "a"), ("secret_access_key", "b"), ("reading_access_key_id", "c")]);
        assert_eq!(field(keys("s3://b", &sealed, half)), "reading_secret_access_key");
        let open = keys("az://a/c", &StoreAccess::default(), typed(&[("account_key", "x")]));
        assert!(open.expect("no keys").is_empty());
    }
}
