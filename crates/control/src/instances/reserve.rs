//! Reserving an instance's row, with its password and the run that makes it, in one transaction.

use model::instance::NewInstance;
use model::{Actor, ImageId, ImageType, InstanceId, InstanceStatus, Name, RunId};
use platform::Secret;
use serde_json::json;
use workflow::Workflow;

use super::start_run;
use crate::error::{Error, Result, Started};
use crate::secrets::Kind;
use crate::services::Services;

/// What a row is reserved with.
pub(super) struct Reserved<'a> {
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

/// One transaction: the row, its password, the run.
pub(super) async fn reserve_and_start<W: Workflow>(
    services: &Services,
    actor: &Actor,
    id: InstanceId,
    reserved: Reserved<'_>,
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
    .map_err(|error| name_taken(error, reserved.name))?;
    if let Some(password) = &reserved.password {
        services.keys().keep(&mut tx, Kind::InstancePassword, id.0, password).await?;
    }
    // What is asked for again is this without its secret.
    let request = NewInstance { password: None, ..new.clone() };
    let labels = json!({
        "title": title, "started_by": actor.name, "instance": id, "instance_name": reserved.name.as_str(),
        "image": reserved.source_image, "request": request,
    });
    start_run(services, &mut tx, input, run, labels).await?;
    tx.commit().await?;
    Ok(Started {
        id,
        name: reserved.name.to_string(),
        status: InstanceStatus::Creating.as_str(),
        run_id: run,
    })
}

pub(super) fn name_taken(error: sqlx::Error, name: &Name) -> Error {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("instance_name") => {
            Error::invalid("name", format!("There is an instance {name} already. Choose another name."))
        }
        _ => error.into(),
    }
}
