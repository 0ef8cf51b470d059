//! Starting a backup: reserves the image's row and starts the run in one transaction.

use model::image::NewImage;
use model::{Actor, Health, ImageId, ImageStatus, Instance, InstanceStatus, Name, Origin, Role, RunId};
use sqlx::PgConnection;

use crate::audit::entry;
use crate::error::{Error, Result, Started};
use crate::instances;
use crate::runs::start::{RunLabels, start_run};
use crate::services::Services;
use crate::users::require_role;
use crate::workflows::CreateImage;

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 2000;

/// Starts a backup of an instance.
///
/// # Errors
/// The role does not allow it, the instance is not running, a field is invalid, or the name is in use.
pub async fn back_up(services: &Services, actor: &Actor, new: NewImage) -> Result<Started<ImageId>> {
    let subject = if new.name.is_empty() { "(default name)".to_owned() } else { new.name.clone() };
    let entry = entry(actor, "image.create", &*subject);
    entry.perform(services.db(), async {
        require_role(actor, Role::Operator)?;
        let instance = source(services, &new).await?;
        let (description, databases) = (description(&new)?, databases(&new)?);
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
        .map_err(|error| name_in_use(error, &name))?;
        let labels = RunLabels {
            title: format!("Back up {}", instance.name),
            started_by: actor.name.clone(),
            instance: Some(instance.id),
            instance_name: Some(instance.name),
            image: Some(id),
            image_name: Some(name.to_string()),
            request: Some(serde_json::to_value(NewImage { databases, ..new.clone() })?),
        };
        start_run(services, &mut tx, &CreateImage { instance: instance.id, image: id }, run, &labels).await?;
        entry.succeed(&mut tx, Some(run)).await?;
        tx.commit().await?;
        Ok(Started { id, name: name.to_string(), status: ImageStatus::Creating.as_str(), run_id: run })
    })
    .await
}

/// The instance to back up; a stopped or unresponsive one is refused.
async fn source(services: &Services, new: &NewImage) -> Result<Instance> {
    let id = new.instance_id.ok_or_else(|| Error::invalid("instance_id", "Enter the id of an instance."))?;
    let instance = instances::by_id(services.db(), id).await?;
    instances::ensure_here(services, &instance)?;
    if instance.status != InstanceStatus::Running {
        return Err(Error::Conflict(format!(
            "Instance {} is {}. Only a running instance can be backed up.",
            instance.name, instance.status
        )));
    }
    if instance.origin == Origin::Managed && instance.health == Health::Down {
        let reason = instance.health_detail.map(|failure| format!(" ({failure})")).unwrap_or_default();
        return Err(Error::Conflict(format!(
            "Instance {} does not respond{reason}. Start it, then back it up.",
            instance.name
        )));
    }
    Ok(instance)
}

fn description(new: &NewImage) -> Result<String> {
    let description = new.description.as_deref().unwrap_or_default().trim();
    if description.chars().count() > MAX_DESCRIPTION {
        return Err(Error::invalid("description", "A description has at most 2,000 characters."));
    }
    if description.contains('\0') {
        return Err(Error::invalid("description", "Remove the NUL character from the description."));
    }
    Ok(description.to_owned())
}

fn databases(new: &NewImage) -> Result<Vec<String>> {
    let databases: Vec<String> = new.databases.iter().filter(|name| !name.is_empty()).cloned().collect();
    if databases.iter().any(|name| name.len() > 63 || name.contains('\0')) {
        return Err(Error::invalid("databases", "The name of a database has at most 63 bytes."));
    }
    Ok(databases)
}

fn name_in_use(error: sqlx::Error, name: &Name) -> Error {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("image_name") => {
            Error::invalid("name", format!("Image {name} already exists. Enter another name."))
        }
        _ => error.into(),
    }
}

/// `orders-20261124-0930`, with a number appended if that name is in use. An advisory lock keeps concurrent backups from
/// choosing the same name.
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
    Err(Error::invalid("name", "Enter a name for the image."))
}
