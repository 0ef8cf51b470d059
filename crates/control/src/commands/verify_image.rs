//! Starting a verification, which reads every byte of an image back.

use model::{Actor, ImageId, ImageStatus, Role, RunId};

use crate::audit::entry;
use crate::error::{Error, Result, Started};
use crate::images;
use crate::runs::start::{RunLabels, start_run};
use crate::services::Services;
use crate::users::require_role;
use crate::workflows::VerifyImage;

/// Starts a verification of an image.
///
/// # Errors
/// The role does not allow it, the image has no objects, or another verification of it runs.
pub async fn verify_image(services: &Services, actor: &Actor, id: ImageId) -> Result<Started<ImageId>> {
    let entry = entry(actor, "image.verify", id.to_string());
    entry
        .perform(services.db(), async {
            require_role(actor, Role::Operator)?;
            let image = images::get(services, id).await?.image;
            if !matches!(image.status, ImageStatus::Available | ImageStatus::Corrupt) {
                return Err(Error::Conflict(format!(
                    "Image {} is {}. Only an available or corrupt image can be verified.",
                    image.name, image.status
                )));
            }
            let run = RunId::new();
            let mut tx = services.db().begin().await?;
            let labels = RunLabels {
                title: format!("Verify {}", image.name),
                started_by: actor.name.clone(),
                instance_name: Some(image.instance_name),
                image: Some(id),
                image_name: Some(image.name.clone()),
                ..RunLabels::default()
            };
            start_run(services, &mut tx, &VerifyImage { image: id }, run, &labels).await?;
            entry.succeed(&mut tx, Some(run)).await?;
            tx.commit().await?;
            Ok(Started { id, name: image.name, status: image.status.as_str(), run_id: run })
        })
        .await
}
