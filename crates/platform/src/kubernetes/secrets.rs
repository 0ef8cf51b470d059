//! Secrets of the cluster that an administrator made readable: in a namespace that the server was told of, and labelled.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::{Api, ResourceExt};

use super::KubernetesPlatform;
use super::apply::{answer, asking};
use crate::{Error, Result, Secret};

/// Says that Toygres may read a Secret.
const READABLE: &str = "toygres.io/readable";

impl KubernetesPlatform {
    pub(super) async fn readable_secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<BTreeMap<String, Secret>> {
        self.may_read_in(namespace)?;
        // It becomes a part of an address.
        if !is_name(name) {
            return Err(Error::Impossible(
                "That is no name of a Secret: it has lowercase letters, digits, hyphens and dots.".to_owned(),
            ));
        }
        let api: Api<SecretObject> = Api::namespaced(self.client.clone(), namespace);
        let found = match answer("read the Secret", api.get_opt(name)).await? {
            Err(kube::Error::Api(status)) if status.code == 403 => {
                return Err(Error::Impossible(format!(
                    "Toygres' service account may not read Secrets in namespace {namespace}. Give it a Role with get on secrets \
                     there ({}).",
                    status.message
                )));
            }
            other => asking("read the Secret", other)?,
        };
        let secret = found.ok_or_else(|| {
            Error::Impossible(format!(
                "Namespace {namespace} has no Secret {name}: kubectl get secrets -n {namespace}"
            ))
        })?;
        readable(secret, namespace, name)
    }

    fn may_read_in(&self, namespace: &str) -> Result<()> {
        let own = [&self.config.namespace, &self.config.system_namespace];
        if own.iter().any(|own| *own == namespace) {
            return Err(Error::Impossible(format!(
                "Secrets in namespace {namespace} are Toygres' own and never read for an instance. Put yours in the namespace \
                 of the server that it is for."
            )));
        }
        if self.config.secret_namespaces.iter().any(|listed| listed == namespace) {
            return Ok(());
        }
        // What was typed may be long and is no name of anything.
        let shown: String = namespace.chars().filter(|c| !c.is_control()).take(63).collect();
        Err(Error::Impossible(format!(
            "Toygres was not told to read Secrets in namespace {shown}. Add it to TOYGRES_SECRET_NAMESPACES."
        )))
    }
}

/// The values of a Secret whose label allows it.
fn readable(secret: SecretObject, namespace: &str, name: &str) -> Result<BTreeMap<String, Secret>> {
    if secret.labels().get(READABLE).map(String::as_str) != Some("true") {
        return Err(Error::Impossible(format!(
            "The Secret {name} is not marked as readable. Whoever it belongs to allows it: \
             kubectl label secret -n {namespace} {name} {READABLE}=true"
        )));
    }
    let values = secret.data.unwrap_or_default().into_iter();
    values
        .map(|(key, value)| match String::from_utf8(value.0) {
            Ok(text) => Ok((key, Secret::new(text))),
            Err(_) => Err(Error::Impossible(format!(
                "The value {key} of the Secret {name} in namespace {namespace} is no text (UTF-8)."
            ))),
        })
        .collect()
}

/// Whether a text can name an object: RFC 1123, a subdomain.
fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 253
        && text.chars().all(inner)
        && text.starts_with(outer)
        && text.ends_with(outer)
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["db", "my.secret-1", "1"] {
            assert!(is_name(name), "{name}");
        }
        for name in
            ["", ".", "..", "a/b", "../x", "a..b", "a?b", "a#b", "a%2fb", "A", "a ", "-a", &"a".repeat(254)]
        {
            assert!(!is_name(name), "{name}");
        }
    }
}
