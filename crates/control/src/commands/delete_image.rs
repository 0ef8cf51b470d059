//! Starting the deletion of an image.

use model::{Actor, ImageId, ImageStatus, RunId};

use crate::audit::entry;
use crate::error::{Error, Result, Started};
use crate::images;
use crate::runs::start::{RunLabels, start_run};
use crate::services::Services;
use crate::users::require_admin_sudo;
use crate::workflows::DeleteImage;

/// Starts the deletion of an image.
///
/// # Errors
/// The role does not allow it, the password must be confirmed, the typed name differs, or a run uses the image.
pub async fn delete_image(
    services: &Services,
    actor: &Actor,
    id: ImageId,
    typed: &str,
) -> Result<Started<ImageId>> {
    let entry = entry(actor, "image.delete", id.to_string());
    entry
        .perform(services.db(), async {
            require_admin_sudo(actor)?;
            let image = images::get(services, id).await?.image;
            if typed.trim() != image.name {
                return Err(Error::invalid(
                    "confirm",
                    format!("Enter the name of the image: {}.", image.name),
                ));
            }
            let run = RunId::new();
            let mut tx = services.db().begin().await?;
            let labels = RunLabels {
                title: format!("Delete image {}", image.name),
                started_by: actor.name.clone(),
                instance_name: Some(image.instance_name),
                image: Some(id),
                image_name: Some(image.name.clone()),
                ..RunLabels::default()
            };
            start_run(services, &mut tx, &DeleteImage { image: id }, run, &labels).await?;
            sqlx::query!("update toygres.image set status = 'deleting', run = $2 where id = $1", id.0, run.0)
                .execute(&mut *tx)
                .await?;
            entry.succeed(&mut tx, Some(run)).await?;
            tx.commit().await?;
            Ok(Started { id, name: image.name, status: ImageStatus::Deleting.as_str(), run_id: run })
        })
        .await
}
