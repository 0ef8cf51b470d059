//! Opening a store with its credentials: those of the environment, of a Secret of the cluster, or those sealed in the state
//! database. Jobs receive the same.

use std::collections::BTreeMap;
use std::time::Duration;

use image::StoreOptions;
use model::{StoreAccess, StoreAuth, StoreId, Transfer};
use platform::{ExposeSecret, Secret, StoreIdentity};

use super::endpoints;
use crate::error::{Error, Result};
use crate::secrets::Kind;
use crate::services::Services;

/// The access keys of a store: the keys of a Secret, and of sealed credentials. The first five have the names of object_store;
/// the last three replace them for jobs that write no image.
pub const KEYS: [&str; 8] = [
    "account_key",
    "sas_token",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "reading_sas_token",
    "reading_access_key_id",
    "reading_secret_access_key",
];

/// The keys for jobs that write no image, each with its name in object_store.
const READING_KEYS: [(&str, &str); 3] = [
    ("reading_sas_token", "sas_token"),
    ("reading_access_key_id", "access_key_id"),
    ("reading_secret_access_key", "secret_access_key"),
];

/// How long the server retries a request: less than the time limit of one call of a step.
const RETRY_LIMIT: Duration = Duration::from_secs(45);

/// What is needed to open a store.
pub(crate) struct Opening {
    pub(crate) url: String,
    pub(crate) options: StoreOptions,
    /// The identity that the platform gives to a job, if the store accepts one.
    pub(crate) identity: Option<StoreIdentity>,
    /// The options with the keys for reading, if the store has such keys.
    pub(crate) reading: Option<StoreOptions>,
}

impl Opening {
    /// The options as a job's secret file; `None` if there are none.
    pub(crate) fn secret(&self) -> Option<Secret> {
        (!self.options.is_empty()).then(|| Secret::from(self.options.to_json()))
    }
}

/// Opens a store. A directory that does not exist, as when its volume is not mounted, is not created.
pub(crate) async fn existing(services: &Services, store: StoreId) -> Result<image::Store> {
    let opening = opening(services, store).await?;
    Ok(image::Store::existing(&opening.url, &opening.options.with_retry_limit(RETRY_LIMIT))?)
}

/// What is needed to open a store. Its credentials are read now.
pub(crate) async fn opening(services: &Services, store: StoreId) -> Result<Opening> {
    let (url, access) = row(services, store).await?;
    let keys = match &access.auth {
        StoreAuth::Sealed => sealed_keys(services, store).await?,
        _ => BTreeMap::new(),
    };
    assemble(services, url, &access, keys).await
}

/// The address of a store and how it is accessed.
pub(crate) async fn row(services: &Services, store: StoreId) -> Result<(String, StoreAccess)> {
    let row = sqlx::query!(
        r#"select url, auth as "auth: sqlx::types::Json<StoreAuth>", endpoint, region, root_certificate,
               transfer as "transfer: Transfer" from toygres.store where id = $1"#,
        store.0
    )
    .fetch_optional(services.db())
    .await?
    .ok_or_else(|| Error::NotFound("The store does not exist.".to_owned()))?;
    let access = StoreAccess {
        auth: row.auth.0,
        endpoint: row.endpoint,
        region: row.region,
        root_certificate: row.root_certificate,
        transfer: row.transfer,
    };
    Ok((row.url, access))
}

/// What is needed to open a store that is not recorded yet, with typed `keys`.
pub(crate) async fn assemble(
    services: &Services,
    url: String,
    access: &StoreAccess,
    keys: BTreeMap<String, String>,
) -> Result<Opening> {
    let mut options: BTreeMap<String, String> = keys;
    let mut identity = None;
    let mut set = |key: &str, value: &Option<String>| {
        options.extend(value.clone().map(|value| (key.to_owned(), value)));
    };
    set("endpoint", &access.endpoint);
    set("region", &access.region);
    set(image::ROOT_CERTIFICATE, &access.root_certificate);
    if endpoints::typed(access).next().is_some() {
        let policy = serde_json::to_string(&services.network().policy().await)?;
        set(image::NETWORK, &Some(policy));
    }
    let transfer = (access.transfer != Transfer::ObjectStore).then(|| access.transfer.to_string());
    set(image::TRANSFER, &transfer);
    match &access.auth {
        StoreAuth::Environment | StoreAuth::Sealed => {}
        StoreAuth::AzureIdentity { client_id, tenant_id, authority_host } => {
            set("client_id", client_id);
            set("tenant_id", tenant_id);
            set("authority_host", authority_host);
            set("credential_type", &Some("workload_identity".to_owned()));
            identity = Some(StoreIdentity::Azure {
                client_id: client_id.clone(),
                tenant_id: tenant_id.clone(),
                authority_host: authority_host.clone(),
            });
        }
        StoreAuth::AwsIdentity { role_arn, sts_endpoint } => {
            set("role_arn", &Some(role_arn.clone()));
            set("endpoint_url_sts", sts_endpoint);
            identity =
                Some(StoreIdentity::Aws { role_arn: role_arn.clone(), sts_endpoint: sts_endpoint.clone() });
        }
        StoreAuth::Secret { namespace, name } => {
            let values = services.platform().read_secret(namespace, name).await?;
            let known = values.iter().filter(|(key, _)| KEYS.contains(&key.as_str()));
            options.extend(known.map(|(key, value)| (key.clone(), value.expose_secret().trim().to_owned())));
            if !is_complete(&options) {
                return Err(Error::Conflict(format!(
                    "The Secret {namespace}/{name} contains no access keys. It needs account_key or sas_token (Azure), or access_key_id and secret_access_key (S3)."
                )));
            }
        }
    }
    let reading = take_reading(&mut options)?;
    select_credential_type(&mut options);
    Ok(Opening { url, options: options.into_iter().collect(), identity, reading })
}

/// Removes the keys for reading from the options, and returns the options with these keys instead of the others.
fn take_reading(options: &mut BTreeMap<String, String>) -> Result<Option<StoreOptions>> {
    let keys: BTreeMap<String, String> = READING_KEYS
        .into_iter()
        .filter_map(|(key, name)| Some((name.to_owned(), options.remove(key).filter(|key| !key.is_empty())?)))
        .collect();
    if keys.is_empty() {
        return Ok(None);
    }
    if !is_complete(&keys) {
        return Err(Error::Conflict(
            "The keys for reading are not complete: S3 needs reading_access_key_id and reading_secret_access_key.".to_owned(),
        ));
    }
    let others = options.iter().filter(|(name, _)| !KEYS.contains(&name.as_str()));
    let mut reading: BTreeMap<String, String> =
        others.map(|(name, value)| (name.clone(), value.clone())).chain(keys).collect();
    select_credential_type(&mut reading);
    Ok(Some(reading.into_iter().collect()))
}

/// Whether the keys are sufficient to open a store.
fn is_complete(keys: &BTreeMap<String, String>) -> bool {
    let has = |key: &str| keys.get(key).is_some_and(|value| !value.is_empty());
    has("account_key") || has("sas_token") || (has("access_key_id") && has("secret_access_key"))
}

/// Makes the client use the given keys, whatever the environment contains.
fn select_credential_type(options: &mut BTreeMap<String, String>) {
    let kind = if options.contains_key("account_key") {
        "access_key"
    } else if options.contains_key("sas_token") {
        "sas_token"
    } else {
        return;
    };
    options.insert("credential_type".to_owned(), kind.to_owned());
}

/// The sealed access keys of a store.
pub(crate) async fn sealed_keys(services: &Services, store: StoreId) -> Result<BTreeMap<String, String>> {
    let sealed = services.keys().read(services.db(), Kind::StoreCredential, store.0).await?;
    let sealed = sealed.ok_or_else(|| {
        Error::Conflict("The store has no access keys. Enter them under Settings › Stores.".to_owned())
    })?;
    serde_json::from_str(sealed.expose_secret())
        .map_err(|_| Error::Internal(anyhow::anyhow!("cannot parse the sealed keys of the store {store}")))
}
