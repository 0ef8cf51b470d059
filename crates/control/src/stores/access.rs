//! Opening a store: who we are to it, from the environment, a Secret of the cluster or what is sealed in the CMS. The one
//! place that does; jobs are given the same.

use std::collections::BTreeMap;
use std::time::Duration;

use image::StoreOptions;
use model::{StoreAccess, StoreAuth, StoreId, Transfer};
use platform::{Secret, StoreIdentity};

use crate::error::{Error, Result};
use crate::secrets::Kind;
use crate::services::Services;

/// The keys that open a store, as object_store names them: what a Secret may hold, and what is sealed.
pub const KEYS: [&str; 5] =
    ["account_key", "sas_token", "access_key_id", "secret_access_key", "session_token"];

/// How long the server tries a request again: less than one call of a step may take.
const PATIENCE: Duration = Duration::from_secs(45);

/// All that opening a store takes.
pub(crate) struct Opening {
    pub(crate) url: String,
    pub(crate) options: StoreOptions,
    /// Whom a job is to it, where the platform vouches for that.
    pub(crate) identity: Option<StoreIdentity>,
}

impl Opening {
    /// The options as a job's secret file; none where there is nothing to say.
    pub(crate) fn secret(&self) -> Option<Secret> {
        (!self.options.is_empty()).then(|| Secret::new(self.options.to_json()))
    }
}

/// Opens a store with what its row says.
pub(crate) async fn open(services: &Services, store: StoreId) -> anyhow::Result<image::Store> {
    let (url, options) = patient(services, store).await?;
    Ok(image::Store::open(&url, &options)?)
}

/// The same to read from: a directory that is not mounted is not made.
pub(crate) async fn existing(services: &Services, store: StoreId) -> anyhow::Result<image::Store> {
    let (url, options) = patient(services, store).await?;
    Ok(image::Store::existing(&url, &options)?)
}

async fn patient(services: &Services, store: StoreId) -> anyhow::Result<(String, StoreOptions)> {
    let opening = opening(services, store).await.map_err(|error| match error {
        Error::Internal(cause) => cause,
        told => anyhow::anyhow!("{told}"),
    })?;
    Ok((opening.url, opening.options.with_patience(PATIENCE)))
}

/// What opening a store takes, its secrets read now.
pub(crate) async fn opening(services: &Services, store: StoreId) -> Result<Opening> {
    let (url, access) = row(services, store).await?;
    let keys = match &access.auth {
        StoreAuth::Sealed => sealed(services, store).await?,
        _ => BTreeMap::new(),
    };
    assemble(services, url, &access, keys).await
}

/// A store's address and how it is opened.
pub(crate) async fn row(services: &Services, store: StoreId) -> Result<(String, StoreAccess)> {
    let row = sqlx::query!(
        r#"select url, auth as "auth: sqlx::types::Json<StoreAuth>", endpoint, region, root_certificate,
               transfer as "transfer: Transfer" from toygres.store where id = $1"#,
        store.0
    )
    .fetch_optional(services.db())
    .await?
    .ok_or_else(|| Error::NotFound("There is no such store.".to_owned()))?;
    let access = StoreAccess {
        auth: row.auth.0,
        endpoint: row.endpoint,
        region: row.region,
        root_certificate: row.root_certificate,
        transfer: row.transfer,
    };
    Ok((row.url, access))
}

/// The same for a store that is not kept yet: `keys` are what was typed.
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
            let found = services.platform().read_secret(namespace, name).await?;
            let known = found.iter().filter(|(key, _)| KEYS.contains(&key.as_str()));
            options.extend(known.map(|(key, value)| (key.clone(), value.reveal().trim().to_owned())));
            if !is_complete(&options) {
                return Err(Error::Conflict(format!(
                    "The Secret {namespace}/{name} opens no store. It must hold account_key or sas_token (Azure), or access_key_id and secret_access_key (S3)."
                )));
            }
        }
    }
    force(&mut options);
    Ok(Opening { url, options: options.into_iter().collect(), identity })
}

/// Whether keys open a store.
pub(crate) fn is_complete(keys: &BTreeMap<String, String>) -> bool {
    let has = |key: &str| keys.get(key).is_some_and(|value| !value.is_empty());
    has("account_key") || has("sas_token") || (has("access_key_id") && has("secret_access_key"))
}

/// What was given is what is used, whatever else the environment has.
fn force(options: &mut BTreeMap<String, String>) {
    let kind = if options.contains_key("account_key") {
        "access_key"
    } else if options.contains_key("sas_token") {
        "sas_token"
    } else {
        return;
    };
    options.insert("credential_type".to_owned(), kind.to_owned());
}

/// The keys that were typed once.
pub(super) async fn sealed(services: &Services, store: StoreId) -> Result<BTreeMap<String, String>> {
    let sealed = services.keys().read(services.db(), Kind::StoreCredential, store.0).await?;
    let sealed = sealed.ok_or_else(|| {
        Error::Conflict("The store's keys are gone. Give them again in the settings.".to_owned())
    })?;
    serde_json::from_str(sealed.reveal())
        .map_err(|_| Error::Internal(anyhow::anyhow!("the sealed keys of the store {store} cannot be read")))
}
