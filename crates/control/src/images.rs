//! Images: queries of the catalogue. The commands on images are in `commands/`.

pub(crate) mod damage;

use model::image::Manifest;
use model::page::{Page, existing_page};
use model::{
    Failure, Image, ImageDetail, ImageId, ImageKind, ImageStatus, ImageType, InstanceId, RunId, RunState,
    StoreId,
};

use crate::error::{Error, Result};
use crate::locks::image_key;
use crate::search;
use crate::services::Services;

/// Which images to list, and in which order.
#[derive(Clone, Debug, Default)]
pub struct ImageQuery {
    /// Part of the name, the description or the name of the instance.
    pub search: Option<String>,
    /// The status; without one, failed attempts are left out.
    pub status: Option<ImageStatus>,
    /// The instance.
    pub instance: Option<InstanceId>,
    /// `created`, `name`, `instance`, `size` or `rows`; any other value is `created`.
    pub sort: String,
    /// Descending order. Without a sort column, the newest image is always first.
    pub descending: bool,
    /// The page, from 1.
    pub page: i64,
    /// Rows on a page; 0 is 25, the maximum is 200.
    pub per_page: i64,
}

/// A `query_as!` of images with the given tail; its rows convert into [`Image`].
macro_rules! images {
    ($tail:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            $crate::images::ImageColumns,
            r#"select id as "id!: model::ImageId", name, description, instance as "instance: model::InstanceId", instance_name,
                   kind as "kind!: model::ImageKind", image_type as "image_type!: model::ImageType",
                   status as "status!: model::ImageStatus", version, major, source_bytes, stored_bytes, databases,
                   source_databases, tables, rows, duration_ms, store as "store!: model::StoreId", run as "run: model::RunId",
                   (select r.state from toygres.run r where r.id = image.run) as "run_state: model::RunState",
                   created_by, created_at, verified_at, proven_at, error, error_code, error_subject
               from toygres.image "# + $tail
            $(, $value)*
        )
    };
}
pub(crate) use images;

/// The columns of an image.
pub(crate) struct ImageColumns {
    pub(crate) id: ImageId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) instance_name: String,
    pub(crate) kind: ImageKind,
    pub(crate) image_type: ImageType,
    pub(crate) status: ImageStatus,
    pub(crate) version: Option<String>,
    pub(crate) major: Option<i32>,
    pub(crate) source_bytes: Option<i64>,
    pub(crate) stored_bytes: Option<i64>,
    pub(crate) databases: Option<i32>,
    pub(crate) source_databases: Option<i32>,
    pub(crate) tables: Option<i64>,
    pub(crate) rows: Option<i64>,
    pub(crate) duration_ms: Option<i64>,
    pub(crate) store: StoreId,
    pub(crate) run: Option<RunId>,
    pub(crate) run_state: Option<RunState>,
    pub(crate) created_by: String,
    pub(crate) created_at: chrono::DateTime<chrono::Utc>,
    pub(crate) verified_at: Option<chrono::DateTime<chrono::Utc>>,
    pub(crate) proven_at: Option<chrono::DateTime<chrono::Utc>>,
    pub(crate) error: Option<String>,
    pub(crate) error_code: Option<String>,
    pub(crate) error_subject: Option<String>,
}

impl From<ImageColumns> for Image {
    fn from(row: ImageColumns) -> Self {
        let code = row.error_code;
        Self {
            id: row.id,
            name: row.name,
            description: row.description,
            instance: row.instance,
            instance_name: row.instance_name,
            kind: row.kind,
            image_type: row.image_type,
            status: row.status,
            version: row.version,
            major: row.major,
            source_bytes: row.source_bytes,
            stored_bytes: row.stored_bytes,
            databases: row.databases,
            source_databases: row.source_databases,
            tables: row.tables,
            rows: row.rows,
            duration_ms: row.duration_ms,
            store: row.store,
            run: row.run,
            run_state: row.run_state,
            created_by: row.created_by,
            created_at: row.created_at,
            verified_at: row.verified_at,
            proven_at: row.proven_at,
            error: row.error.map(|detail| Failure::from_columns(code.as_deref(), row.error_subject, detail)),
        }
    }
}

/// A page of the catalogue.
///
/// # Errors
/// The state database is unavailable.
pub async fn list(services: &Services, query: ImageQuery) -> Result<Page<Image>> {
    let per_page = if query.per_page <= 0 { 25 } else { query.per_page.min(200) };
    let total = count(services, &query, query.status).await?;
    let page = existing_page(query.page, total, per_page);
    let search = search::pattern(query.search.as_deref());
    let (status, instance) = (query.status.map(ImageStatus::as_str), query.instance.map(|id| id.0));
    let sort =
        if ["name", "instance", "size", "rows"].contains(&&*query.sort) { &*query.sort } else { "created" };
    let descending = query.descending || query.sort.is_empty();
    let rows = images!(
        "where ($1::text is null or name ilike $1 or description ilike $1 or instance_name ilike $1)
           and (status = $2 or ($2::text is null and status <> 'failed')) and ($3::uuid is null or instance = $3)
         order by
           case when $5 and $4 = 'name' then name when $5 and $4 = 'instance' then instance_name end desc nulls last,
           case when not $5 and $4 = 'name' then name when not $5 and $4 = 'instance' then instance_name end nulls last,
           case when $5 and $4 = 'size' then stored_bytes when $5 and $4 = 'rows' then rows end desc nulls last,
           case when not $5 and $4 = 'size' then stored_bytes when not $5 and $4 = 'rows' then rows end nulls last,
           case when not $5 and $4 = 'created' then created_at end,
           created_at desc
         limit $6 offset $7",
        search,
        status,
        instance,
        sort,
        descending,
        per_page,
        (page - 1) * per_page
    )
    .fetch_all(services.db())
    .await?;
    Ok(Page { rows: rows.into_iter().map(Image::from).collect(), total, page, per_page })
}

/// How many backups failed or were cancelled, with the search text and the instance of the query.
///
/// # Errors
/// The state database is unavailable.
pub async fn failed_attempts(services: &Services, query: &ImageQuery) -> Result<i64> {
    count(services, query, Some(ImageStatus::Failed)).await
}

async fn count(services: &Services, query: &ImageQuery, status: Option<ImageStatus>) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from toygres.image
           where ($1::text is null or name ilike $1 or description ilike $1 or instance_name ilike $1)
             and (status = $2 or ($2::text is null and status <> 'failed')) and ($3::uuid is null or instance = $3)"#,
        search::pattern(query.search.as_deref()),
        status.map(ImageStatus::as_str),
        query.instance.map(|id| id.0)
    );
    Ok(count.fetch_one(services.db()).await?)
}

/// An image with its manifest and the runs and instances that use it.
///
/// # Errors
/// The image does not exist.
pub async fn get(services: &Services, id: ImageId) -> Result<ImageDetail> {
    let db = services.db();
    let image = images!("where id = $1", id.0).fetch_optional(db).await?;
    let image = image.ok_or_else(|| Error::NotFound(format!("Image {id} does not exist.")))?;
    let rest = sqlx::query!(
        r#"select i.manifest as "manifest: sqlx::types::Json<Manifest>", i.prefix, s.name as store_name
           from toygres.image i join toygres.store s on s.id = i.store where i.id = $1"#,
        id.0
    )
    .fetch_one(db)
    .await?;
    let restored_to = sqlx::query_scalar!(
        "select name from toygres.instance where source_image = $1 and status <> 'failed' order by created_at",
        id.0
    )
    .fetch_all(db)
    .await?;
    let in_use_by = sqlx::query_scalar!("select run_id from toygres.run_lock where key = $1", image_key(id))
        .fetch_all(db)
        .await?;
    Ok(ImageDetail {
        image: image.into(),
        manifest: rest.manifest.map(|manifest| manifest.0),
        store_name: rest.store_name,
        prefix: rest.prefix,
        restored_to,
        in_use_by: in_use_by.into_iter().map(RunId).collect(),
    })
}
