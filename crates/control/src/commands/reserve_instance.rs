//! Reserving an instance's row, with its password and the run that creates it, in one transaction.

use model::instance::NewInstance;
use model::{Actor, ImageId, ImageType, InstanceId, InstanceStatus, Name, RunId};
use platform::Secret;
use workflow::Workflow;

use crate::audit::Entry;
use crate::error::{Error, Result, Started};
use crate::runs::start::{RunLabels, start_run};
use crate::secrets::Kind;
use crate::services::Services;

/// The values of the reserved row.
pub(super) struct Reservation<'a> {
    pub(super) name: &'a Name,
    pub(super) image_type: ImageType,
    pub(super) major: i32,
    pub(super) username: &'a str,
    pub(super) trust_loopback: bool,
    pub(super) preload: Vec<String>,
    pub(super) volume_bytes: Option<i64>,
    pub(super) data_bytes: Option<i64>,
    pub(super) source_image: Option<ImageId>,
    pub(super) password: Option<Secret>,
}

/// Writes the row, its password, the run and the success of `entry` in one transaction.
pub(super) async fn reserve_and_start<W: Workflow>(
    services: &Services,
    (actor, entry): (&Actor, &Entry<'_>),
    id: InstanceId,
    reserved: Reservation<'_>,
    new: &NewInstance,
    input: &W,
    title: &str,
) -> Result<Started<InstanceId>> {
    let run = RunId::new();
    let mut tx = services.db().begin().await?;
    sqlx::query!(
        "insert into toygres.instance (id, name, platform, origin, status, image_type, major, username, database, tls,
             trust_loopback, preload, dns_label, source_image, run, volume_bytes, size_bytes)
         values ($1, $2, $3, 'managed', 'creating', $4, $5, $6, 'postgres', 'disable', $7, $8, $9, $10, $11, $12, $13)",
        id.0,
        reserved.name.as_str(),
        services.platform_id().0,
        reserved.image_type.as_str(),
        reserved.major,
        reserved.username,
        reserved.trust_loopback,
        &reserved.preload,
        new.dns_label.as_deref(),
        reserved.source_image.map(|image| image.0),
        run.0,
        reserved.volume_bytes,
        reserved.data_bytes
    )
    .execute(&mut *tx)
    .await
    .map_err(|error| name_in_use(error, reserved.name))?;
    if let Some(password) = &reserved.password {
        services.keys().save(&mut tx, Kind::InstancePassword, id.0, password).await?;
    }
    // The request without its secret, so that a failed run can be repeated.
    let request = NewInstance { password: None, ..new.clone() };
    let labels = RunLabels {
        title: title.to_owned(),
        started_by: actor.name.clone(),
        instance: Some(id),
        instance_name: Some(reserved.name.to_string()),
        image: reserved.source_image,
        image_name: None,
        request: Some(serde_json::to_value(request)?),
    };
    start_run(services, &mut tx, input, run, &labels).await?;
    entry.succeed(&mut tx, Some(run)).await?;
    tx.commit().await?;
    Ok(Started {
        id,
        name: reserved.name.to_string(),
        status: InstanceStatus::Creating.as_str(),
        run_id: run,
    })
}

/// Turns the violated unique index of instance names into an error at the field.
pub(super) fn name_in_use(error: sqlx::Error, name: &Name) -> Error {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("instance_name") => {
            Error::invalid("name", format!("Instance {name} already exists. Enter another name."))
        }
        _ => error.into(),
    }
}
