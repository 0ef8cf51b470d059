//! Adding, changing, removing and testing stores.

use std::collections::BTreeMap;

use model::{Actor, Name, Role, StoreAccess, StoreAuth, StoreId};
use platform::Secret;

use super::probe_store::probe_store;
use crate::audit::entry;
use crate::error::{Error, Result};
use crate::secrets::{Keyring, Kind};
use crate::services::Services;
use crate::store_checks::scope;
use crate::stores::{TypedKeys, access, endpoints, validate};
use crate::users::{require_admin_sudo, require_role};

/// Adds a store that the server and jobs can use.
///
/// # Errors
/// The user is not an admin in sudo mode, a field is invalid, the name or address exists, or the store fails the test.
pub async fn add_store(
    services: &Services,
    actor: &Actor,
    name: &str,
    url: &str,
    access: &StoreAccess,
    keys: TypedKeys,
) -> Result<StoreId> {
    let db = services.db();
    let entry = entry(actor, "store.add", name);
    entry.perform(db, async {
        require_admin_sudo(actor)?;
        let name = Name::parse(name).map_err(|error| Error::invalid("name", error.to_string()))?;
        let url = validate::url(url)?;
        if services.place().is_kubernetes() && url.starts_with("file:") {
            return Err(Error::invalid(
                "url",
                "On Kubernetes, Toygres and its jobs do not share a directory. Use az://, s3://, or pvc:// for a volume of the cluster.",
            ));
        }
        let access = validate::access(&url, access)?;
        let keys = validate::keys(&url, &access, keys.0)?;
        endpoints::check(services, &access).await?;
        let opening = access::assemble(services, url.clone(), &access, keys.clone()).await?;
        probe_store(services, &opening).await.map_err(|failure| at_field("url", failure))?;
        let id = StoreId::new();
        let mut tx = db.begin().await?;
        let added = sqlx::query!(
            "insert into toygres.store (id, name, url, is_default) select $1, $2, $3, not exists (select from toygres.store) on conflict do nothing",
            id.0,
            name.as_str(),
            url
        )
        .execute(&mut *tx)
        .await?;
        if added.rows_affected() == 0 {
            return Err(Error::Conflict("A store with this name or address already exists.".to_owned()));
        }
        record_access(services, &mut tx, id, &access, &keys).await?;
        entry.succeed(&mut tx, None).await?;
        tx.commit().await?;
        Ok(id)
    })
    .await
}

/// Changes how a store is accessed if the server and jobs can access it in that way. Keys that are not typed are kept,
/// unless the endpoint or the root certificate changes.
///
/// # Errors
/// The user is not an admin in sudo mode, a field is invalid, the store does not exist, or it fails the test; then nothing
/// is changed.
pub async fn set_store_access(
    services: &Services,
    actor: &Actor,
    store: StoreId,
    access: &StoreAccess,
    keys: TypedKeys,
) -> Result<()> {
    let db = services.db();
    let entry = entry(actor, "store.access", store.to_string());
    entry
        .perform(db, async {
            require_admin_sudo(actor)?;
            let (url, before) = access::row(services, store).await?;
            scope::of(services, store)
                .await?
                .ensure_mounted(services)
                .await
                .map_err(|failure| at_field("auth", failure))?;
            let access = validate::access(&url, access)?;
            // Stored keys are sent only to the server that they were typed for, whose certificate they were typed under.
            let is_same_server =
                access.endpoint == before.endpoint && access.root_certificate == before.root_certificate;
            let keeps_keys = access.auth == StoreAuth::Sealed
                && before.auth == StoreAuth::Sealed
                && is_same_server
                && keys.0.values().all(|value| value.trim().is_empty());
            let keys = match keeps_keys {
                true => access::sealed_keys(services, store).await?,
                false => validate::keys(&url, &access, keys.0)?,
            };
            endpoints::check(services, &access).await?;
            let opening = access::assemble(services, url, &access, keys.clone()).await?;
            probe_store(services, &opening).await.map_err(|failure| at_field("auth", failure))?;
            let mut tx = db.begin().await?;
            record_access(services, &mut tx, store, &access, &keys).await?;
            entry.succeed(&mut tx, None).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
}

/// Reports the failure of a test at a field of the form.
fn at_field(field: &'static str, error: Error) -> Error {
    match error {
        Error::Failed(failure) => Error::at_field(field, &failure),
        other => other,
    }
}

async fn record_access(
    services: &Services,
    tx: &mut sqlx::PgConnection,
    store: StoreId,
    access: &StoreAccess,
    keys: &BTreeMap<String, String>,
) -> Result<()> {
    sqlx::query!(
        "update toygres.store set auth = $2, endpoint = $3, region = $4, root_certificate = $5, transfer = $6 where id = $1",
        store.0,
        sqlx::types::Json(&access.auth) as _,
        access.endpoint,
        access.region,
        access.root_certificate,
        access.transfer.as_str()
    )
    .execute(&mut *tx)
    .await?;
    if access.auth == StoreAuth::Sealed {
        let text = Secret::from(serde_json::json!(keys).to_string());
        services.keys().save(tx, Kind::StoreCredential, store.0, &text).await?;
    } else {
        Keyring::delete(tx, Kind::StoreCredential, store.0).await?;
    }
    Ok(())
}

/// Removes a store without images from Toygres. Its objects are not deleted.
///
/// # Errors
/// The user is not an admin in sudo mode, the store does not exist, contains images, or is the default.
pub async fn remove_store(services: &Services, actor: &Actor, store: StoreId) -> Result<()> {
    let db = services.db();
    let entry = entry(actor, "store.remove", store.to_string());
    entry.perform(db, async {
        require_admin_sudo(actor)?;
        access::row(services, store).await?;
        let mut tx = db.begin().await?;
        let removed = sqlx::query!(
            "delete from toygres.store s where id = $1 and not is_default
                 and not exists (select from toygres.image i where i.store = s.id)",
            store.0
        )
        .execute(&mut *tx)
        .await?;
        if removed.rows_affected() == 0 {
            return Err(Error::Conflict(
                "The store is the default or contains images. Make another store the default and delete the store's images first.".to_owned(),
            ));
        }
        Keyring::delete(&mut tx, Kind::StoreCredential, store.0).await?;
        entry.succeed(&mut tx, None).await?;
        tx.commit().await?;
        Ok(())
    })
    .await
}

/// Makes a store the default for new images.
///
/// # Errors
/// The user is not an admin in sudo mode, or the store does not exist.
pub async fn set_default_store(services: &Services, actor: &Actor, store: StoreId) -> Result<()> {
    let db = services.db();
    let entry = entry(actor, "store.default", store.to_string());
    entry
        .perform(db, async {
            require_admin_sudo(actor)?;
            access::row(services, store).await?;
            let mut tx = db.begin().await?;
            sqlx::query!("update toygres.store set is_default = false where is_default")
                .execute(&mut *tx)
                .await?;
            sqlx::query!("update toygres.store set is_default = true where id = $1", store.0)
                .execute(&mut *tx)
                .await?;
            entry.succeed(&mut tx, None).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
}

/// Writes, reads, lists and deletes an object in a store, from the server and from a job.
///
/// # Errors
/// The role does not allow it, or [`Error::Failed`]: the store fails the test.
pub async fn test_store(services: &Services, actor: &Actor, store: StoreId) -> Result<()> {
    let entry = entry(actor, "store.test", store.to_string());
    entry
        .perform(services.db(), async {
            require_role(actor, Role::Operator)?;
            // The job of the test would create a missing directory.
            scope::of(services, store).await?.ensure_mounted(services).await?;
            let opening = access::opening(services, store).await?;
            probe_store(services, &opening).await
        })
        .await
}
