//! Server functions about stores: style, add, open in another way, try, choose, forget.

use leptos::prelude::*;
use model::{StoreAccess, StoreId};
use serde::{Deserialize, Serialize};

use crate::error::Result;
#[cfg(feature = "ssr")]
use crate::error::UiError;
#[cfg(feature = "ssr")]
use model::{Role, StoreAuth, StoreAuthKind};

/// A store for images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRow {
    /// Its id.
    pub id: StoreId,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// How it is opened.
    pub access: StoreAccess,
    /// Whether new images go there.
    pub is_default: bool,
    /// How many images are there.
    pub images: i64,
    /// Bytes of them.
    pub stored_bytes: i64,
}

/// How a store is opened, as a form has it: all fields of all kinds. It has no `Debug` output: some are secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccessForm {
    /// The kind.
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
}

impl std::fmt::Debug for AccessForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessForm(…)")
    }
}

#[cfg(feature = "ssr")]
impl AccessForm {
    /// What it says. Fields of other kinds than the chosen one are ignored.
    fn read(&self) -> Result<(StoreAccess, control::stores::TypedKeys)> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let kind =
            self.auth.parse().map_err(|_| UiError::invalid("access[auth]", "Choose one of the list."))?;
        let transfer = self
            .transfer
            .parse()
            .map_err(|_| UiError::invalid("access[transfer]", "Choose one of the list."))?;
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
        ];
        let keys =
            control::stores::KEYS.iter().zip(keys).map(|(key, typed)| ((*key).to_owned(), typed.clone()));
        let access = StoreAccess {
            auth,
            endpoint: given(&self.endpoint),
            region: given(&self.region),
            root_certificate: given(&self.root_certificate),
            transfer,
        };
        Ok((access, control::stores::TypedKeys(keys.collect())))
    }

    /// What was typed but the secrets, by the names that the fields have. A certificate is longer than an address may be.
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

    /// A refusal with its field as this form calls it, and with what was typed.
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
pub async fn list_stores() -> Result<Vec<StoreRow>> {
    let (services, _) = super::caller(Role::Viewer)?;
    let row = |store: control::stores::Store| StoreRow {
        id: store.id,
        name: store.name,
        url: store.url,
        access: store.access,
        is_default: store.is_default,
        images: store.images,
        stored_bytes: store.stored_bytes,
    };
    Ok(control::stores::list(&services).await?.into_iter().map(row).collect())
}

/// Writes, reads, lists and deletes an object in a store, from the server and from a job.
#[server(prefix = "/api/fn", endpoint = "test-store")]
pub async fn test_store(store: StoreId) -> Result<()> {
    let (services, actor) = super::caller(Role::Operator)?;
    control::stores::test(&services, &actor, store).await?;
    leptos_axum::redirect("/settings?at=stores&tested=ok");
    Ok(())
}

/// Adds a store.
#[server(prefix = "/api/fn", endpoint = "add-store")]
pub async fn add_store(
    /// Its name.
    name: String,
    /// Where it is.
    url: String,
    /// How it is opened.
    #[server(default)]
    access: AccessForm,
) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    let remember = |error| access.map_field(error, &[("name", &*name), ("url", &*url)]);
    let (how, keys) = access.read().map_err(remember)?;
    let added = control::stores::add(&services, &actor, &name, &url, &how, keys).await;
    super::redirect_to_sudo(added).map_err(remember)?;
    leptos_axum::redirect("/settings?at=stores");
    Ok(())
}

/// Opens a store in another way from now on.
#[server(prefix = "/api/fn", endpoint = "store-access")]
pub async fn set_store_access(
    /// The store.
    store: StoreId,
    /// How it is opened.
    #[server(default)]
    access: AccessForm,
) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    let remember = |error| access.map_field(error, &[]);
    let (how, keys) = access.read().map_err(remember)?;
    let changed = control::stores::set_access(&services, &actor, store, &how, keys).await;
    super::redirect_to_sudo(changed).map_err(remember)?;
    leptos_axum::redirect("/settings?at=stores&tested=ok");
    Ok(())
}

/// Has new images go to a store.
#[server(prefix = "/api/fn", endpoint = "default-store")]
pub async fn default_store(store: StoreId) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    super::redirect_to_sudo(control::stores::set_default(&services, &actor, store).await)?;
    Ok(())
}

/// Forgets a store that no image is in.
#[server(prefix = "/api/fn", endpoint = "forget-store")]
pub async fn forget_store(store: StoreId) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    super::redirect_to_sudo(control::stores::forget(&services, &actor, store).await)?;
    Ok(())
}
