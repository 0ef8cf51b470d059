//! Secrets of the cluster that may be read: those in a configured namespace whose owner set the label.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::{Api, ResourceExt};
use model::{Failure, FailureCode};

use super::KubernetesPlatform;
use super::api_error::{answer, failed};
use crate::{Result, Secret};

/// The label with which the owner of a Secret permits Toygres to read it.
const READABLE: &str = "toygres.io/readable";
/// The longest name of an object in bytes.
const LONGEST_NAME: usize = 253;
/// The longest name of a namespace in bytes.
const LONGEST_NAMESPACE: usize = 63;

impl KubernetesPlatform {
    /// The values of a Secret.
    ///
    /// # Errors
    /// [`FailureCode::SecretUnreadable`] if it does not exist or may not be read.
    pub(super) async fn readable_secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<BTreeMap<String, Secret>> {
        self.require_permitted(namespace)?;
        // The name becomes a part of a URL.
        if !is_name(name) {
            let shown = shortened(name, LONGEST_NAME);
            let detail = "not the name of a Secret: it has lowercase letters, digits, hyphens and dots";
            return Err(unreadable(namespace, &shown, detail).into());
        }
        let secrets: Api<SecretObject> = Api::namespaced(self.client.clone(), namespace);
        let subject = format!("Secret {namespace}/{name}");
        let secret = match answer(&subject, secrets.get_opt(name)).await? {
            Ok(found) => found.ok_or_else(|| unreadable(namespace, name, "the Secret does not exist"))?,
            Err(kube::Error::Api(status)) if status.code == 403 => {
                return Err(unreadable(namespace, name, &status.message).into());
            }
            Err(error) => return Err(failed(&subject, error)),
        };
        Ok(values(secret, namespace, name)?)
    }

    fn require_permitted(&self, namespace: &str) -> Result<()> {
        let own = [&self.config.namespace, &self.config.system_namespace];
        let detail = if own.iter().any(|own| *own == namespace) {
            "Secrets in a namespace of Toygres itself are never read"
        } else if self.config.secret_namespaces.iter().any(|listed| listed == namespace) {
            return Ok(());
        } else {
            "the namespace is not in TOYGRES_SECRET_NAMESPACES"
        };
        // A user typed it: it may be long and is perhaps not a name.
        let shown = shortened(namespace, LONGEST_NAMESPACE);
        Err(Failure::new(FailureCode::SecretUnreadable, detail).on(format!("namespace {shown}")).into())
    }
}

/// The values of a Secret whose label permits it.
fn values(
    secret: SecretObject,
    namespace: &str,
    name: &str,
) -> std::result::Result<BTreeMap<String, Secret>, Failure> {
    if secret.labels().get(READABLE).map(String::as_str) != Some("true") {
        return Err(unreadable(
            namespace,
            name,
            &format!("the Secret does not have the label {READABLE}=true"),
        ));
    }
    let values = secret.data.unwrap_or_default().into_iter();
    values
        .map(|(key, value)| match String::from_utf8(value.0) {
            Ok(text) => Ok((key, Secret::from(text))),
            Err(_) => Err(unreadable(namespace, name, &format!("the value {key} is not UTF-8 text"))),
        })
        .collect()
}

fn unreadable(namespace: &str, name: &str, detail: &str) -> Failure {
    Failure::new(FailureCode::SecretUnreadable, detail).on(format!("{namespace}/{name}"))
}

fn shortened(text: &str, length: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(length).collect()
}

/// Whether a text is a name of an object: an RFC 1123 subdomain.
fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= LONGEST_NAME
        && text.chars().all(inner)
        && text.starts_with(outer)
        && text.ends_with(outer)
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_cannot_change_the_path_of_the_request() {
        for name in ["db", "my.secret-1", "1"] {
            assert!(is_name(name), "{name}");
        }
        for name in
            ["", ".", "..", "a/b", "../x", "a..b", "a?b", "a#b", "a%2fb", "A", "a ", "-a", &"a".repeat(254)]
        {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn only_text_of_a_labelled_secret_is_read() {
        let secret = |labels: serde_json::Value, password: &[u8]| {
            let mut secret: SecretObject =
                serde_json::from_value(serde_json::json!({"metadata": {"labels": labels}}))
                    .expect("a Secret");
            let password = ("password".to_owned(), k8s_openapi::ByteString(password.to_vec()));
            secret.data = Some(BTreeMap::from([password]));
            values(secret, "shop", "orders").map(|values| values.len())
        };
        let readable = serde_json::json!({"toygres.io/readable": "true"});
        assert_eq!(secret(readable.clone(), b"secret"), Ok(1));
        for refused in [secret(serde_json::json!({}), b"secret"), secret(readable, &[0xff])] {
            let failure = refused.expect_err("refused");
            assert_eq!(failure.code, FailureCode::SecretUnreadable);
            assert_eq!(failure.subject.as_deref(), Some("shop/orders"));
        }
    }
}
