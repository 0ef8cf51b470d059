//! Stores: where images go. It knows no format.

use model::{Actor, StoreId};
use uuid::Uuid;

use crate::audit;
use crate::error::{Error, Result};
use crate::services::Services;
use crate::users::{need, need_admin_in_sudo};

/// A store with what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Its id.
    pub id: StoreId,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Whether new images go there.
    pub is_default: bool,
    /// How many images are there.
    pub images: i64,
    /// Bytes of them.
    pub stored_bytes: i64,
}

/// All stores, the one that new images go to first.
///
/// # Errors
/// The CMS does not answer.
pub async fn list(services: &Services) -> Result<Vec<Store>> {
    Ok(sqlx::query_as!(
        Store,
        r#"select s.id as "id: StoreId", s.name, s.url, s.is_default,
               count(i.id) filter (where i.prefix is not null) as "images!",
               coalesce(sum(i.stored_bytes), 0)::bigint as "stored_bytes!"
           from toygres.store s left join toygres.image i on i.store = s.id
           group by s.id order by s.is_default desc, s.name"#
    )
    .fetch_all(services.db())
    .await?)
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

/// Where a store is.
pub(crate) async fn url(services: &Services, store: StoreId) -> Result<String> {
    let url = sqlx::query_scalar!("select url from toygres.store where id = $1", store.0)
        .fetch_optional(services.db())
        .await?;
    url.ok_or_else(|| Error::NotFound("There is no such store.".to_owned()))
}

/// Adds a store, if it can be written and read.
///
/// # Errors
/// The caller may not, the name or the address is taken or of no known kind, or the store refuses.
pub async fn add(services: &Services, actor: &Actor, name: &str, url: &str) -> Result<StoreId> {
    let db = services.db();
    audit::witnessed(db, actor, "store.add", name, |_| None, async {
        need_admin_in_sudo(actor)?;
        let name = model::Name::parse(name).map_err(|error| Error::invalid("name", error.to_string()))?;
        let url = url.trim().trim_end_matches('/');
        probe(url).await.map_err(|error| Error::invalid("url", error.to_string()))?;
        let id = StoreId::new();
        let added = sqlx::query!(
            "insert into toygres.store (id, name, url, is_default) select $1, $2, $3, not exists (select from toygres.store) on conflict do nothing",
            id.0,
            name.as_str(),
            url
        )
        .execute(db)
        .await?;
        if added.rows_affected() == 0 {
            return Err(Error::Conflict("There is a store of this name or address already.".to_owned()));
        }
        Ok(id)
    })
    .await
}

/// Has new images go to a store.
///
/// # Errors
/// The caller may not, or there is no such store.
pub async fn set_default(services: &Services, actor: &Actor, store: StoreId) -> Result<()> {
    let db = services.db();
    audit::witnessed(db, actor, "store.default", &store.to_string(), |()| None, async {
        need_admin_in_sudo(actor)?;
        url(services, store).await?;
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

/// Writes, reads, lists and deletes an object in a store.
///
/// # Errors
/// The caller may not, or the store refuses; its words name the cause and the fix.
pub async fn test(services: &Services, actor: &Actor, store: StoreId) -> Result<()> {
    audit::witnessed(services.db(), actor, "store.test", &store.to_string(), |()| None, async {
        need(actor, model::Role::Operator)?;
        let url = url(services, store).await?;
        probe(&url).await.map_err(|error| Error::Conflict(sentence(&error.to_string())))
    })
    .await
}

async fn probe(url: &str) -> image::Result<()> {
    let store = image::Store::open(url)?;
    let prefix = format!("probe/{}", Uuid::now_v7());
    let key = format!("{prefix}/object");
    store.put(&key, "toygres").await?;
    let read = store.get(&key).await;
    let listed = store.list(&prefix).await;
    store.delete_image(&prefix).await?;
    let (read, listed) = (read?, listed?);
    if read != "toygres" || listed.len() != 1 {
        return Err(image::Error::Corrupt { key, why: "what was written was not read or listed".to_owned() });
    }
    Ok(())
}

/// An error as a sentence: its first letter large.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    first.into_iter().flatten().chain(letters).collect::<String>() + end
}
