//! Stores: where images go. It knows no format.

pub(crate) mod access;
mod probe;
mod typed;

use std::collections::BTreeMap;

use model::{Actor, StoreAccess, StoreAuth, StoreId, Transfer};
use platform::Secret;

use crate::audit;
use crate::error::{Error, Result};
use crate::secrets::{Keyring, Kind};
use crate::services::Services;
use crate::users::{require_role, require_admin_sudo};

pub use self::access::KEYS;

/// A store with what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
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

/// Keys that somebody typed, by the names in [`KEYS`]; the others are ignored. No `Debug` output shows one.
#[derive(Clone, Default)]
pub struct TypedKeys(pub BTreeMap<String, String>);

/// All stores, the one that new images go to first.
///
/// # Errors
/// The CMS does not answer.
pub async fn list(services: &Services) -> Result<Vec<Store>> {
    let rows = sqlx::query!(
        r#"select s.id as "id: StoreId", s.name, s.url, s.is_default, s.auth as "auth: sqlx::types::Json<StoreAuth>",
               s.endpoint, s.region, s.root_certificate, s.transfer as "transfer: Transfer",
               count(i.id) filter (where i.prefix is not null) as "images!",
               coalesce(sum(i.stored_bytes), 0)::bigint as "stored_bytes!"
           from toygres.store s left join toygres.image i on i.store = s.id
           group by s.id order by s.is_default desc, s.name"#
    )
    .fetch_all(services.db())
    .await?;
    let rows = rows.into_iter().map(|row| Store {
        id: row.id,
        name: row.name,
        url: row.url,
        access: StoreAccess {
            auth: row.auth.0,
            endpoint: row.endpoint,
            region: row.region,
            root_certificate: row.root_certificate,
            transfer: row.transfer,
        },
        is_default: row.is_default,
        images: row.images,
        stored_bytes: row.stored_bytes,
    });
    Ok(rows.collect())
}

/// The store that new images go to.
pub(crate) async fn default(services: &Services) -> Result<StoreId> {
    let id = sqlx::query_scalar!("select id from toygres.store where is_default")
        .fetch_optional(services.db())
        .await?;
    id.map(StoreId).ok_or_else(|| {
        Error::Conflict("No store is chosen for new images. Add or choose one in the settings.".to_owned())
    })
}

/// Whether there is a store that new images go to.
///
/// # Errors
/// The CMS does not answer.
pub async fn has_default(services: &Services) -> Result<bool> {
    match default(services).await {
        Err(Error::Conflict(_)) => Ok(false),
        found => found.map(|_| true),
    }
}

/// The store that an image is in, or goes to.
pub(crate) async fn of_image(services: &Services, image: model::ImageId) -> sqlx::Result<StoreId> {
    let id = sqlx::query_scalar!("select store from toygres.image where id = $1", image.0);
    id.fetch_one(services.db()).await.map(StoreId)
}

/// Adds a store, if the server and jobs can use it.
///
/// # Errors
/// The caller may not, what was typed cannot be, the name or the address is taken, or the store refuses.
pub async fn add(
    services: &Services,
    actor: &Actor,
    name: &str,
    url: &str,
    access: &StoreAccess,
    keys: TypedKeys,
) -> Result<StoreId> {
    let db = services.db();
    audit::audited(db, actor, "store.add", name, |_| None, async {
        require_admin_sudo(actor)?;
        let name = model::Name::parse(name).map_err(|error| Error::invalid("name", error.to_string()))?;
        let url = typed::url(url)?;
        if services.place().is_kubernetes() && url.starts_with("file:") {
            return Err(Error::invalid(
                "url",
                "A directory is not one and the same to Toygres and to the jobs of a cluster. Use az://, s3://, or pvc:// for a share of the cluster.",
            ));
        }
        let access = typed::access(&url, access)?;
        let keys = typed::keys(&url, &access, keys.0)?;
        let opening = access::assemble(services, url.clone(), &access, keys.clone()).await?;
        probe::both(services, &opening).await.map_err(|words| Error::invalid("url", words))?;
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
            return Err(Error::Conflict("There is a store of this name or address already.".to_owned()));
        }
        keep(services, &mut tx, id, &access, &keys).await?;
        tx.commit().await?;
        Ok(id)
    })
    .await
}

/// Opens a store in another way from now on, if the server and jobs can. Keys that are not typed again stay.
///
/// # Errors
/// The caller may not, what was typed cannot be, there is no such store, or it refuses; then it is opened as before.
pub async fn set_access(
    services: &Services,
    actor: &Actor,
    store: StoreId,
    access: &StoreAccess,
    keys: TypedKeys,
) -> Result<()> {
    let db = services.db();
    audit::audited(db, actor, "store.access", &store.to_string(), |()| None, async {
        require_admin_sudo(actor)?;
        let (url, before) = access::row(services, store).await?;
        let access = typed::access(&url, access)?;
        let stay = access.auth == StoreAuth::Sealed
            && before.auth == StoreAuth::Sealed
            && keys.0.values().all(|value| value.trim().is_empty());
        let keys = match stay {
            true => access::sealed(services, store).await?,
            false => typed::keys(&url, &access, keys.0)?,
        };
        let opening = access::assemble(services, url, &access, keys.clone()).await?;
        probe::both(services, &opening).await.map_err(|words| Error::invalid("auth", words))?;
        let mut tx = db.begin().await?;
        keep(services, &mut tx, store, &access, &keys).await?;
        tx.commit().await?;
        Ok(())
    })
    .await
}

/// Writes down how a store is opened.
async fn keep(
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
        let text = Secret::new(serde_json::json!(keys).to_string());
        services.keys().keep(tx, Kind::StoreCredential, store.0, &text).await?;
    } else {
        Keyring::forget(tx, Kind::StoreCredential, store.0).await?;
    }
    Ok(())
}

/// Forgets a store that no image is in. What else is in it stays there.
///
/// # Errors
/// The caller may not, or images are in it or go there.
pub async fn forget(services: &Services, actor: &Actor, store: StoreId) -> Result<()> {
    let db = services.db();
    audit::audited(db, actor, "store.forget", &store.to_string(), |()| None, async {
        require_admin_sudo(actor)?;
        access::row(services, store).await?;
        let mut tx = db.begin().await?;
        let forgotten = sqlx::query!(
            "delete from toygres.store s where id = $1 and not is_default
                 and not exists (select from toygres.image i where i.store = s.id)",
            store.0
        )
        .execute(&mut *tx)
        .await?;
        if forgotten.rows_affected() == 0 {
            return Err(Error::Conflict(
                "Images are in this store, or new ones go there. Delete its images and choose another store for new ones first.".to_owned(),
            ));
        }
        Keyring::forget(&mut tx, Kind::StoreCredential, store.0).await?;
        tx.commit().await?;
        Ok(())
    })
    .await
}

/// Has new images go to a store.
///
/// # Errors
/// The caller may not, or there is no such store.
pub async fn set_default(services: &Services, actor: &Actor, store: StoreId) -> Result<()> {
    let db = services.db();
    audit::audited(db, actor, "store.default", &store.to_string(), |()| None, async {
        require_admin_sudo(actor)?;
        access::row(services, store).await?;
        let mut tx = db.begin().await?;
        sqlx::query!("update toygres.store set is_default = false where is_default")
            .execute(&mut *tx)
            .await?;
        sqlx::query!("update toygres.store set is_default = true where id = $1", store.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    })
    .await
}

/// Writes, reads, lists and deletes an object in a store, from the server and from a job.
///
/// # Errors
/// The caller may not, or the store refuses; the words say whom, the cause and the fix.
pub async fn test(services: &Services, actor: &Actor, store: StoreId) -> Result<()> {
    audit::audited(services.db(), actor, "store.test", &store.to_string(), |()| None, async {
        require_role(actor, model::Role::Operator)?;
        let opening = access::opening(services, store).await?;
        probe::both(services, &opening).await.map_err(Error::Conflict)
    })
    .await
}

/// An error as a sentence: its first letter large.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    first.into_iter().flatten().chain(letters).collect::<String>() + end
}
