//! Server functions of stores: list, add, set access, test, set default, remove.

use leptos::prelude::*;
use model::{Store, StoreId, UnusedPrefix};
use serde::{Deserialize, Serialize};

use crate::error::Result;
#[cfg(feature = "ssr")]
use crate::error::UiError;
#[cfg(feature = "ssr")]
use model::{Role, StoreAccess, StoreAuth, StoreAuthKind};

/// The access form of a store: the fields of all kinds of authentication. Its `Debug` output is redacted, because some
/// fields are secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccessForm {
    /// The kind of authentication.
    pub auth: String,
    pub endpoint: String,
    pub region: String,
    pub root_certificate: String,
    pub transfer: String,
    pub client_id: String,
    pub tenant_id: String,
    pub authority_host: String,
    pub role_arn: String,
    pub sts_endpoint: String,
    pub secret_namespace: String,
    pub secret_name: String,
    pub account_key: String,
    pub sas_token: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub reading_sas_token: String,
    pub reading_access_key_id: String,
    pub reading_secret_access_key: String,
}

impl std::fmt::Debug for AccessForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessForm(…)")
    }
}

#[cfg(feature = "ssr")]
impl AccessForm {
    /// Parses the form. Fields that do not belong to the selected kind are ignored.
    fn parse(&self) -> Result<(StoreAccess, control::stores::TypedKeys)> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let kind = self
            .auth
            .parse()
            .map_err(|_| UiError::invalid("access[auth]", "Select a value from the list."))?;
        let transfer = self
            .transfer
            .parse()
            .map_err(|_| UiError::invalid("access[transfer]", "Select a value from the list."))?;
        let auth = match kind {
            StoreAuthKind::Environment => StoreAuth::Environment,
            StoreAuthKind::AzureIdentity => StoreAuth::AzureIdentity {
                client_id: given(&self.client_id),
                tenant_id: given(&self.tenant_id),
                authority_host: given(&self.authority_host),
            },
            StoreAuthKind::AwsIdentity => StoreAuth::AwsIdentity {
                role_arn: self.role_arn.clone(),
                sts_endpoint: given(&self.sts_endpoint),
            },
            StoreAuthKind::Secret => {
                StoreAuth::Secret { namespace: self.secret_namespace.clone(), name: self.secret_name.clone() }
            }
            StoreAuthKind::Sealed => StoreAuth::Sealed,
        };
        let keys = [
            &self.account_key,
            &self.sas_token,
            &self.access_key_id,
            &self.secret_access_key,
            &self.session_token,
            &self.reading_sas_token,
            &self.reading_access_key_id,
            &self.reading_secret_access_key,
        ];
        let keys =
            control::stores::KEYS.iter().zip(keys).map(|(key, value)| ((*key).to_owned(), value.clone()));
        let access = StoreAccess {
            auth,
            endpoint: given(&self.endpoint),
            region: given(&self.region),
            root_certificate: given(&self.root_certificate),
            transfer,
        };
        Ok((access, control::stores::TypedKeys(keys.collect())))
    }

    /// The submitted values by field name, without secrets and without the certificate, which is too long for an address.
    fn input(&self) -> [(&'static str, &str); 10] {
        [
            ("access[auth]", &self.auth),
            ("access[endpoint]", &self.endpoint),
            ("access[region]", &self.region),
            ("access[transfer]", &self.transfer),
            ("access[client_id]", &self.client_id),
            ("access[tenant_id]", &self.tenant_id),
            ("access[authority_host]", &self.authority_host),
            ("access[role_arn]", &self.role_arn),
            ("access[sts_endpoint]", &self.sts_endpoint),
            ("access[secret_name]", &self.secret_name),
        ]
    }

    /// Maps the field of an error to its name in this form and adds the submitted values.
    fn map_field(&self, mut error: UiError, more: &[(&'static str, &str)]) -> UiError {
        let outer = ["name", "url"];
        error.field =
            error.field.map(|field| match field.starts_with("access[") || outer.contains(&&*field) {
                true => field,
                false => format!("access[{field}]"),
            });
        let namespace = ("access[secret_namespace]", self.secret_namespace.as_str());
        error.with_input(self.input().into_iter().chain([namespace]).chain(more.iter().copied()))
    }
}

/// All stores.
#[server(prefix = "/api/fn", endpoint = "stores")]
pub async fn list_stores() -> Result<Vec<Store>> {
    let (services, _) = super::caller(Role::Viewer)?;
    Ok(control::stores::list(&services).await?)
}

/// The objects in all stores that no image uses, the largest prefixes first.
#[server(prefix = "/api/fn", endpoint = "unused-objects")]
pub async fn list_unused_objects() -> Result<Vec<UnusedPrefix>> {
    let (services, _) = super::caller(Role::Viewer)?;
    Ok(control::stores::unused_prefixes(&services, 100).await?)
}

/// Tests a store: writes, reads, lists and deletes an object, from the server and from a job.
#[server(prefix = "/api/fn", endpoint = "test-store")]
pub async fn test_store(store: StoreId) -> Result<()> {
    let (services, actor) = super::caller(Role::Operator)?;
    control::commands::test_store(&services, &actor, store).await?;
    leptos_axum::redirect("/settings?at=stores&tested=ok");
    Ok(())
}

/// Adds a store.
#[server(prefix = "/api/fn", endpoint = "add-store")]
pub async fn add_store(
    /// Its name.
    name: String,
    /// Its address.
    url: String,
    /// How it is accessed.
    #[server(default)]
    access: AccessForm,
) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    let remember = |error| access.map_field(error, &[("name", &*name), ("url", &*url)]);
    let (how, keys) = access.parse().map_err(remember)?;
    let added = control::commands::add_store(&services, &actor, &name, &url, &how, keys).await;
    super::redirect_to_sudo(added).map_err(remember)?;
    leptos_axum::redirect("/settings?at=stores");
    Ok(())
}

/// Changes how a store is accessed.
#[server(prefix = "/api/fn", endpoint = "store-access")]
pub async fn set_store_access(
    /// The store.
    store: StoreId,
    /// How it is accessed.
    #[server(default)]
    access: AccessForm,
) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    let remember = |error| access.map_field(error, &[]);
    let (how, keys) = access.parse().map_err(remember)?;
    let changed = control::commands::set_store_access(&services, &actor, store, &how, keys).await;
    super::redirect_to_sudo(changed).map_err(remember)?;
    leptos_axum::redirect("/settings?at=stores&tested=ok");
    Ok(())
}

/// Makes a store the default for new images.
#[server(prefix = "/api/fn", endpoint = "default-store")]
pub async fn default_store(store: StoreId) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    super::redirect_to_sudo(control::commands::set_default_store(&services, &actor, store).await)?;
    Ok(())
}

/// Removes a store that contains no images.
#[server(prefix = "/api/fn", endpoint = "remove-store")]
pub async fn remove_store(store: StoreId) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    super::redirect_to_sudo(control::commands::remove_store(&services, &actor, store).await)?;
    Ok(())
}
