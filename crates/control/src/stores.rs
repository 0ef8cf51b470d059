//! Stores: the object stores that hold images.

pub(crate) mod access;
pub(crate) mod endpoints;
pub(crate) mod reading;
pub(crate) mod validate;

use std::collections::BTreeMap;

use model::{Failure, Seal, Store, StoreAccess, StoreAuth, StoreId, Transfer, UnusedPrefix};

use crate::error::{Error, Result};
use crate::services::Services;

pub use self::access::KEYS;

/// Access keys from a form, by the names in [`KEYS`]; other names are ignored. There is no `Debug` output.
#[derive(Clone, Default)]
pub struct TypedKeys(pub BTreeMap<String, String>);

/// The address of a store in the form that is stored: without surrounding spaces and trailing slashes.
///
/// # Errors
/// The address has no scheme of a store.
pub fn address(typed: &str) -> Result<String> {
    validate::url(typed)
}

/// All stores, the default first.
///
/// # Errors
/// The state database is unavailable.
pub async fn list(services: &Services) -> Result<Vec<Store>> {
    let rows = sqlx::query!(
        r#"select s.id as "id: StoreId", s.name, s.url, s.is_default, s.auth as "auth: sqlx::types::Json<StoreAuth>",
               s.endpoint, s.region, s.root_certificate, s.transfer as "transfer: Transfer",
               count(i.id) filter (where i.status <> 'failed') as "images!",
               coalesce(sum(i.stored_bytes) filter (where i.status <> 'failed'), 0)::bigint as "stored_bytes!",
               s.check_error, s.check_error_code, s.check_error_subject,
               (select coalesce(sum(u.objects), 0)::bigint from toygres.unused_prefix u
                where u.store = s.id and u.quarantined_at is not null) as "unused_objects!",
               (select coalesce(sum(u.bytes), 0)::bigint from toygres.unused_prefix u
                where u.store = s.id and u.quarantined_at is not null) as "unused_bytes!"
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
        check_failure: row.check_error.map(|detail| {
            Failure::from_columns(row.check_error_code.as_deref(), row.check_error_subject, detail)
        }),
        unused_objects: row.unused_objects,
        unused_bytes: row.unused_bytes,
    });
    Ok(rows.collect())
}

/// The objects that no image uses, since the second time that they were seen: the largest prefixes first, at most `limit`.
///
/// # Errors
/// The state database is unavailable.
pub async fn unused_prefixes(services: &Services, limit: i64) -> Result<Vec<UnusedPrefix>> {
    Ok(sqlx::query_as!(
        UnusedPrefix,
        r#"select s.name as store, u.prefix, u.objects, u.bytes, u.seal as "seal: Seal", u.first_seen, u.last_seen
           from toygres.unused_prefix u join toygres.store s on s.id = u.store
           where u.quarantined_at is not null order by u.bytes desc, s.name, u.prefix limit $1"#,
        limit
    )
    .fetch_all(services.db())
    .await?)
}

/// The store that new images are written to.
///
/// # Errors
/// [`Error::Conflict`]: no store is the default.
pub(crate) async fn default(services: &Services) -> Result<StoreId> {
    find_default(services).await?.ok_or_else(|| {
        Error::Conflict(
            "No store is the default for new images. Add a store, or make one the default, under Settings."
                .to_owned(),
        )
    })
}

/// Whether a store is the default for new images.
///
/// # Errors
/// The state database is unavailable.
pub async fn has_default(services: &Services) -> Result<bool> {
    Ok(find_default(services).await?.is_some())
}

async fn find_default(services: &Services) -> Result<Option<StoreId>> {
    let id = sqlx::query_scalar!("select id from toygres.store where is_default")
        .fetch_optional(services.db())
        .await?;
    Ok(id.map(StoreId))
}

/// The store of an image.
pub(crate) async fn of_image(services: &Services, image: model::ImageId) -> sqlx::Result<StoreId> {
    let id = sqlx::query_scalar!("select store from toygres.image where id = $1", image.0);
    id.fetch_one(services.db()).await.map(StoreId)
}
