//! Images: the catalogue, and what a person may do with an image. How a run makes one is in `workflows/`.

use model::image::{Manifest, NewImage};
use model::page::Page;
use model::{
    Actor, Health, Image, ImageDetail, ImageId, ImageKind, ImageStatus, ImageType, InstanceId,
    InstanceStatus, Name, Origin, Role, RunId, StoreId,
};
use serde_json::json;
use sqlx::PgConnection;

use crate::audit;
use crate::error::{Error, Result, Started};
use crate::instances::start_run;
use crate::search;
use crate::services::Services;
use crate::users::{require_role, require_admin_sudo};
use crate::workflows::{CreateImage, DeleteImage, VerifyImage};

/// The longest description, in characters.
const LONGEST_DESCRIPTION: usize = 2000;

/// Which images to list, and how.
#[derive(Clone, Debug, Default)]
pub struct ImageQuery {
    /// Only those with this in their name, description or instance's name.
    pub search: Option<String>,
    /// Only of this state.
    pub status: Option<ImageStatus>,
    /// Only of this instance.
    pub instance: Option<InstanceId>,
    /// `created`, `name`, `instance`, `size` or `rows`; `created` if none of these.
    pub sort: String,
    /// The greatest first; the newest first needs no saying.
    pub descending: bool,
    /// The page, from 1.
    pub page: i64,
    /// Rows of a page; 25 if 0, at most 200.
    pub per_page: i64,
}

/// A `query_as!` of [`Image`]s with the given tail.
macro_rules! images {
    ($tail:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            Image,
            r#"select id as "id!: ImageId", name, description, instance as "instance: InstanceId", instance_name,
                   kind as "kind!: ImageKind", image_type as "image_type!: ImageType", status as "status!: ImageStatus",
                   version, major, source_bytes, stored_bytes, databases, tables, rows, duration_ms,
                   store as "store!: StoreId", run as "run: RunId", created_by, created_at, verified_at, proven_at, error
               from toygres.image "# + $tail
            $(, $value)*
        )
    };
}
pub(crate) use images;

/// A page of the catalogue.
///
/// # Errors
/// The CMS does not answer.
pub async fn list(services: &Services, query: ImageQuery) -> Result<Page<Image>> {
    let per_page = if query.per_page <= 0 { 25 } else { query.per_page.min(200) };
    let page = query.page.clamp(1, 1_000_000);
    let search = search::pattern(query.search.as_deref());
    let (status, instance) = (query.status.map(ImageStatus::as_str), query.instance.map(|id| id.0));
    let sort =
        if ["name", "instance", "size", "rows"].contains(&&*query.sort) { &*query.sort } else { "created" };
    let descending = query.descending || query.sort.is_empty();
    let rows = images!(
        "where ($1::text is null or name ilike $1 or description ilike $1 or instance_name ilike $1)
           and ($2::text is null or status = $2) and ($3::uuid is null or instance = $3)
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
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from toygres.image
           where ($1::text is null or name ilike $1 or description ilike $1 or instance_name ilike $1)
             and ($2::text is null or status = $2) and ($3::uuid is null or instance = $3)"#,
        search,
        status,
        instance
    )
    .fetch_one(services.db())
    .await?;
    Ok(Page { rows, total, page, per_page })
}

/// An image with its manifest and its users.
///
/// # Errors
/// There is none.
pub async fn get(services: &Services, id: ImageId) -> Result<ImageDetail> {
    let db = services.db();
    let image = images!("where id = $1", id.0).fetch_optional(db).await?.ok_or_else(|| unknown(id))?;
    let rest = sqlx::query!(
        r#"select i.manifest as "manifest: sqlx::types::Json<Manifest>", i.prefix, s.name as store_name
           from toygres.image i join toygres.store s on s.id = i.store where i.id = $1"#,
        id.0
    )
    .fetch_one(db)
    .await?;
    let restored_to = sqlx::query_scalar!(
        "select name from toygres.instance where source_image = $1 order by created_at",
        id.0
    )
    .fetch_all(db)
    .await?;
    let in_use_by = sqlx::query_scalar!("select run_id from toygres.run_lock where key = $1", image_key(id))
        .fetch_all(db)
        .await?;
    Ok(ImageDetail {
        image,
        manifest: rest.manifest.map(|manifest| manifest.0),
        store_name: rest.store_name,
        prefix: rest.prefix,
        restored_to,
        in_use_by: in_use_by.into_iter().map(RunId).collect(),
    })
}

fn unknown(id: ImageId) -> Error {
    Error::NotFound(format!("There is no image {id}."))
}

/// The key of the lock on an image.
pub(crate) fn image_key(id: ImageId) -> String {
    format!("image/{id}")
}

/// Starts copying an instance into an image.
///
/// # Errors
/// The caller may not, the instance is not running, what was typed cannot be, or the name is taken.
pub async fn create(services: &Services, actor: &Actor, new: NewImage) -> Result<Started<ImageId>> {
    let subject = if new.name.is_empty() { "(named by Toygres)".to_owned() } else { new.name.clone() };
    audit::audited(services.db(), actor, "image.create", &subject, |started: &Started<_>| Some(started.run_id), async {
        require_role(actor, Role::Operator)?;
        let source = new.instance_id.ok_or_else(|| Error::invalid("instance_id", "Name the instance to back up, by its id."))?;
        let instance = crate::instances::get(services, &source.to_string())
            .await
            .map_err(|_| Error::NotFound(format!("There is no instance {source}.")))?;
        if instance.status != InstanceStatus::Running {
            return Err(Error::Conflict(format!("{} is {}; only a running instance can be backed up.", instance.name, instance.status)));
        }
        if instance.origin == Origin::Managed && instance.health == Health::Down {
            let words = instance.health_detail.unwrap_or_default();
            let words = format!("{} does not answer. {words} Start it, then back it up.", instance.name);
            return Err(Error::Conflict(words));
        }
        let description = new.description.clone().unwrap_or_default().trim().to_owned();
        if description.chars().count() > LONGEST_DESCRIPTION || description.contains('\0') {
            return Err(Error::invalid("description", "A description has at most 2,000 characters."));
        }
        let databases: Vec<String> = new.databases.iter().filter(|name| !name.is_empty()).cloned().collect();
        if databases.iter().any(|name| name.len() > 63 || name.contains('\0')) {
            return Err(Error::invalid("databases", "A database's name has at most 63 bytes."));
        }
        let (id, run) = (ImageId::new(), RunId::new());
        let store = crate::stores::default(services).await?;
        let mut tx = services.db().begin().await?;
        let name = match new.name.trim() {
            "" => default_name(&mut tx, &instance.name).await?,
            typed => Name::parse(typed).map_err(|error| Error::invalid("name", error.to_string()))?,
        };
        sqlx::query!(
            "insert into toygres.image (id, name, description, instance, instance_name, image_type, status, username,
                 selection, trust_loopback, store, run, created_by)
             values ($1, $2, $3, $4, $5, $6, 'creating', $7, $8, $9, $10, $11, $12)",
            id.0,
            name.as_str(),
            description,
            instance.id.0,
            instance.name,
            instance.image_type.as_str(),
            instance.username,
            &databases,
            instance.trust_loopback,
            store.0,
            run.0,
            actor.name
        )
        .execute(&mut *tx)
        .await
        .map_err(|error| match error.as_database_error().and_then(|error| error.constraint()) {
            Some("image_name") => Error::invalid("name", format!("There is an image {name} already. Choose another name.")),
            _ => error.into(),
        })?;
        let labels = json!({
            "title": format!("Back up {}", instance.name), "started_by": actor.name, "instance": instance.id,
            "instance_name": instance.name, "image": id, "image_name": name.as_str(),
            "request": NewImage { databases, ..new.clone() },
        });
        start_run(services, &mut tx, &CreateImage { instance: instance.id, image: id }, run, labels).await?;
        tx.commit().await?;
        Ok(Started { id, name: name.to_string(), status: ImageStatus::Creating.as_str(), run_id: run })
    })
    .await
}

/// `orders-20261124-0930`, with a number behind it if that is taken. Until the transaction ends nobody else makes one up.
async fn default_name(tx: &mut PgConnection, instance: &str) -> Result<Name> {
    sqlx::query!("select pg_advisory_xact_lock(hashtext('toygres.image.name'))").execute(&mut *tx).await?;
    let stem: String = instance.chars().take(44).collect();
    let stem = format!("{}-{}", stem.trim_end_matches('-'), chrono::Utc::now().format("%Y%m%d-%H%M"));
    for n in 1..1000 {
        let name = if n == 1 { stem.clone() } else { format!("{stem}-{n}") };
        let taken = sqlx::query_scalar!(
            r#"select exists (select from toygres.image where name = $1 and status <> 'failed') as "taken!""#,
            name
        );
        if !taken.fetch_one(&mut *tx).await? {
            return Name::parse(&name).map_err(|error| Error::Internal(error.into()));
        }
    }
    Err(Error::invalid("name", "Type a name for the image."))
}

/// Starts reading every byte of an image back.
///
/// # Errors
/// The caller may not, or the image is not there to be read.
pub async fn verify(services: &Services, actor: &Actor, id: ImageId) -> Result<Started<ImageId>> {
    audit::audited(services.db(), actor, "image.verify", &id.to_string(), |started: &Started<_>| Some(started.run_id), async {
        require_role(actor, Role::Operator)?;
        let image = get(services, id).await?.image;
        if !matches!(image.status, ImageStatus::Available | ImageStatus::Corrupt) {
            return Err(Error::Conflict(format!("The image {} is {}; there is nothing to verify.", image.name, image.status)));
        }
        let run = RunId::new();
        let mut tx = services.db().begin().await?;
        let labels = json!({
            "title": format!("Verify {}", image.name), "started_by": actor.name, "instance_name": image.instance_name,
            "image": id, "image_name": image.name,
        });
        start_run(services, &mut tx, &VerifyImage { image: id }, run, labels).await?;
        tx.commit().await?;
        Ok(Started { id, name: image.name, status: image.status.as_str(), run_id: run })
    })
    .await
}

/// Starts deleting an image.
///
/// # Errors
/// The caller may not or must give the password again, the name is not typed right, or a run reads the image.
pub async fn delete(
    services: &Services,
    actor: &Actor,
    id: ImageId,
    typed: &str,
) -> Result<Started<ImageId>> {
    audit::audited(services.db(), actor, "image.delete", &id.to_string(), |started: &Started<_>| Some(started.run_id), async {
        require_admin_sudo(actor)?;
        let image = get(services, id).await?.image;
        if typed.trim() != image.name {
            return Err(Error::invalid("typed_name", format!("Type the name of the image, {}.", image.name)));
        }
        let run = RunId::new();
        let mut tx = services.db().begin().await?;
        let labels = json!({
            "title": format!("Delete image {}", image.name), "started_by": actor.name, "instance_name": image.instance_name,
            "image": id, "image_name": image.name,
        });
        start_run(services, &mut tx, &DeleteImage { image: id }, run, labels).await?;
        sqlx::query!("update toygres.image set status = 'deleting', run = $2 where id = $1", id.0, run.0).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Started { id, name: image.name, status: ImageStatus::Deleting.as_str(), run_id: run })
    })
    .await
}
