//! Server functions of images: list, get, verify, delete.

use leptos::prelude::*;
use model::page::Page;
use model::{Image, ImageDetail, ImageId};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// The filter, order and page of the catalogue, as in its address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFilter {
    /// A part of a name or description.
    pub search: String,
    /// A state, or empty.
    pub status: String,
    /// The name of an instance, or empty.
    pub instance: String,
    /// The column to sort by; a leading hyphen sorts in descending order.
    pub sort: String,
    /// The page, from 1.
    pub page: i64,
}

/// A page of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Catalogue {
    /// The images of the page.
    pub images: Page<Image>,
    /// The names of all instances, for the filter.
    pub instances: Vec<String>,
    /// How many backups failed or were cancelled, under the same search and instance.
    pub failed_attempts: i64,
    /// Whether the user may restore images.
    pub may: bool,
}

/// A page of the catalogue.
#[server(prefix = "/api/fn", endpoint = "images")]
pub async fn list_images(filter: ImageFilter) -> Result<Catalogue> {
    let (services, actor) = super::caller(model::Role::Viewer)?;
    let all = control::instances::list(&services).await?;
    let instance = all.iter().find(|instance| instance.name == filter.instance).map(|instance| instance.id);
    let query = control::images::ImageQuery {
        // The images of a deleted instance still carry its name.
        search: match (filter.instance.as_str(), instance) {
            (name, None) if !name.is_empty() => Some(name.to_owned()),
            _ => Some(filter.search).filter(|text| !text.trim().is_empty()),
        },
        status: filter.status.parse().ok(),
        instance,
        descending: filter.sort.starts_with('-'),
        sort: filter.sort.trim_start_matches('-').to_owned(),
        page: filter.page,
        per_page: 25,
    };
    let failed_attempts = control::images::failed_attempts(&services, &query).await?;
    let images = control::images::list(&services, query).await?;
    let instances = all.into_iter().map(|instance| instance.name).collect();
    Ok(Catalogue { images, instances, failed_attempts, may: actor.is(model::Role::Operator) })
}

/// One image.
#[server(prefix = "/api/fn", endpoint = "image")]
pub async fn get_image(id: ImageId) -> Result<ImageDetail> {
    let (services, _) = super::caller(model::Role::Viewer)?;
    Ok(control::images::get(&services, id).await?)
}

/// Starts a verification of an image and redirects to its run.
#[server(prefix = "/api/fn", endpoint = "verify-image")]
pub async fn verify_image(id: ImageId) -> Result<()> {
    let (services, actor) = super::caller(model::Role::Operator)?;
    let started = control::commands::verify_image(&services, &actor, id).await?;
    leptos_axum::redirect(&format!("/runs/{}", started.run_id));
    Ok(())
}

/// Starts the deletion of an image and redirects to its run. Requires sudo mode and the name of the image as confirmation.
#[server(prefix = "/api/fn", endpoint = "delete-image")]
pub async fn delete_image(id: ImageId, confirm: String) -> Result<()> {
    let (services, actor) = super::caller(model::Role::Admin)?;
    let deleted = control::commands::delete_image(&services, &actor, id, &confirm).await;
    let started =
        super::redirect_to_sudo(deleted).map_err(|error| error.with_input([("confirm", &*confirm)]))?;
    leptos_axum::redirect(&format!("/runs/{}", started.run_id));
    Ok(())
}
