//! What somebody typed about a store: put in order, or refused with the field and the fix. It asks nobody.

use std::collections::BTreeMap;

use model::{StoreAccess, StoreAuth, Transfer};

use super::access::KEYS;
use crate::error::{Error, Result};

/// The longest value of any field but a certificate.
const LONGEST: usize = 1000;

/// An address, without what does not change where it leads.
pub(super) fn url(typed: &str) -> Result<String> {
    let url = typed.trim().trim_end_matches('/');
    if url.is_empty() || url.len() > LONGEST {
        return Err(Error::invalid(
            "url",
            "Type the store's address, such as az://account/container/images.",
        ));
    }
    if !["file", "pvc", "az", "s3"].contains(&scheme(url)) {
        return Err(Error::invalid(
            "url",
            "An address begins with az://, s3://, pvc:// or, on one machine, file:///.",
        ));
    }
    Ok(url.to_owned())
}

fn scheme(url: &str) -> &str {
    url.split_once("://").map_or("", |(scheme, _)| scheme)
}

/// How a store is opened: what is empty is nothing, and what does not belong to the address is refused.
pub(super) fn access(url: &str, typed: &StoreAccess) -> Result<StoreAccess> {
    let access = StoreAccess {
        auth: auth(scheme(url), &typed.auth)?,
        endpoint: line("endpoint", typed.endpoint.as_ref())?,
        region: line("region", typed.region.as_ref())?,
        root_certificate: given(typed.root_certificate.as_ref()),
        transfer: typed.transfer,
    };
    if let Some(endpoint) = &access.endpoint {
        https("endpoint", endpoint, matches!(access.auth, StoreAuth::AzureIdentity { .. }))?;
    }
    if access.root_certificate.as_ref().is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----")) {
        return Err(Error::invalid(
            "root_certificate",
            "Paste a certificate in PEM: it begins with -----BEGIN CERTIFICATE-----.",
        ));
    }
    let by_identity = matches!(access.auth, StoreAuth::Environment | StoreAuth::AzureIdentity { .. });
    if access.transfer == Transfer::Azcopy && !(scheme(url) == "az" && by_identity) {
        return Err(Error::invalid(
            "transfer",
            "azcopy carries to az:// with a workload identity only: it takes keys in its arguments, where others could read them.",
        ));
    }
    Ok(access)
}

fn auth(scheme: &str, typed: &StoreAuth) -> Result<StoreAuth> {
    let wrong = |words: &str| Err(Error::invalid("auth", words));
    Ok(match typed {
        StoreAuth::Environment => StoreAuth::Environment,
        StoreAuth::AzureIdentity { client_id, tenant_id, authority_host } => {
            if scheme != "az" {
                return wrong("A workload identity of Azure opens az:// only.");
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
                return wrong("A role of AWS opens s3:// only.");
            }
            let role = line("role_arn", Some(role_arn))?.filter(|role| role.starts_with("arn:"));
            let role_arn = role.ok_or_else(|| {
                Error::invalid("role_arn", "Type the role's ARN: arn:aws:iam::ACCOUNT:role/NAME.")
            })?;
            let sts_endpoint = line("sts_endpoint", sts_endpoint.as_ref())?;
            sts_endpoint.as_ref().map_or(Ok(()), |host| https("sts_endpoint", host, true))?;
            StoreAuth::AwsIdentity { role_arn, sts_endpoint }
        }
        StoreAuth::Secret { .. } | StoreAuth::Sealed if scheme != "az" && scheme != "s3" => {
            return wrong(
                "Only az:// and s3:// are opened with keys; for a directory choose the environment.",
            );
        }
        StoreAuth::Secret { namespace, name } => {
            let missing = |field, words: &str| Error::invalid(field, words);
            StoreAuth::Secret {
                namespace: line("secret_namespace", Some(namespace))?
                    .ok_or_else(|| missing("secret_namespace", "Type the Secret's namespace."))?,
                name: line("secret_name", Some(name))?
                    .ok_or_else(|| missing("secret_name", "Type the Secret's name."))?,
            }
        }
        StoreAuth::Sealed => StoreAuth::Sealed,
    })
}

/// The typed keys that open this kind of store.
pub(super) fn keys(
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
    let azure = ["account_key", "sas_token"];
    keys.retain(|key, _| azure.contains(&key.as_str()) == (scheme(url) == "az"));
    if let Some((key, _)) =
        keys.iter().find(|(_, value)| value.len() > 4096 || value.contains(char::is_control))
    {
        let field = KEYS.iter().find(|known| *known == key).copied().unwrap_or("auth");
        return Err(Error::invalid(field, "This is no key: paste it again, in one line."));
    }
    let has = |key: &str| keys.contains_key(key);
    match scheme(url) {
        "az" if has("account_key") && has("sas_token") => {
            Err(Error::invalid("sas_token", "Give either an account key or a SAS, not both."))
        }
        "az" if !has("account_key") && !has("sas_token") => {
            Err(Error::invalid("account_key", "Give an account key or a SAS."))
        }
        "s3" if !has("access_key_id") => Err(Error::invalid("access_key_id", "Give an access key id.")),
        "s3" if !has("secret_access_key") => {
            Err(Error::invalid("secret_access_key", "Give the access key's secret."))
        }
        _ => Ok(keys),
    }
}

fn given(typed: Option<&String>) -> Option<String> {
    typed.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn line(field: &'static str, typed: Option<&String>) -> Result<Option<String>> {
    let value = given(typed);
    if value.as_ref().is_some_and(|value| value.len() > LONGEST || value.contains(char::is_control)) {
        return Err(Error::invalid(field, "This is too long, or more than one line."));
    }
    Ok(value)
}

fn https(field: &'static str, url: &str, only: bool) -> Result<()> {
    if url.starts_with("https://") || (!only && url.starts_with("http://")) {
        return Ok(());
    }
    let words = if only {
        "Type a URL that begins with https://: a token travels there."
    } else {
        "Type a URL that begins with https:// or http://."
    };
    Err(Error::invalid(field, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<T: std::fmt::Debug>(refused: Result<T>) -> &'static str {
        match refused.expect_err("refused") {
            Error::Invalid { field, .. } => field,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_does_not_belong_together_is_refused_by_field() {
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
    fn only_the_keys_of_the_kind_are_kept() {
        let sealed = StoreAccess { auth: StoreAuth::Sealed, ..StoreAccess::default() };
        let typed = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let kept = keys(
            "az://a/c",
            &sealed,
            typed(&[("sas_token", " ?sv=1&sig=x "), ("access_key_id", "x"), ("account_key", "")]),
        );
        assert_eq!(kept.expect("kept"), typed(&[("sas_token", "sv=1&sig=x")]));
        assert_eq!(
            field(keys("az://a/c", &sealed, typed(&[("sas_token", "a"), ("account_key", "b")]))),
            "sas_token"
        );
        assert_eq!(field(keys("s3://b", &sealed, typed(&[("access_key_id", "a")]))), "secret_access_key");
        let open = keys("az://a/c", &StoreAccess::default(), typed(&[("account_key", "x")]));
        assert!(open.expect("nothing to keep").is_empty());
    }
}
