//! Server functions of the restore wizard: what would happen, and doing it.

use leptos::prelude::*;
use model::restore::RestorePlan;
use model::{ImageDetail, ImageId, Place};
use serde::{Deserialize, Serialize};

use crate::error::{Result, UiError};

/// What the wizard's address has: the instance to be, as far as somebody chose it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRequest {
    /// Its name.
    pub name: String,
    /// Its major version; the source's if empty.
    pub major: String,
    /// The size of its volume in GiB; from the data's size if empty.
    pub volume_gib: String,
    /// A DNS label to ask for.
    pub dns_label: String,
    /// Whether it is to be chosen anew.
    pub change: bool,
}

/// The wizard's page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestoreView {
    /// The image.
    pub image: ImageDetail,
    /// Where the instance will live.
    pub place: Place,
    /// The versions that can take the image: major, and in full.
    pub versions: Vec<(i32, String)>,
    /// What the address has, or what is proposed.
    pub request: TargetRequest,
    /// What would happen, once a name was given.
    pub plan: Option<RestorePlan>,
    /// What of the address cannot be.
    pub error: Option<UiError>,
}

/// What a restore of an image would do; with a name, what stands in its way.
#[server(prefix = "/api/fn", endpoint = "restore-plan")]
pub async fn get_restore(id: ImageId, request: TargetRequest) -> Result<RestoreView> {
    let (services, _) = super::caller(model::Role::Operator)?;
    let image = control::images::get(&services, id).await?;
    let source = image.image.major.unwrap_or(0);
    let versions = control::instances::versions(&services).await?;
    let versions = versions
        .into_iter()
        .filter(|installed| installed.major >= source)
        .map(|installed| (installed.major, installed.version))
        .rev()
        .collect();
    let place = services.place();
    let view = RestoreView { image, place, versions, request, plan: None, error: None };
    if view.request.name.is_empty() || view.request.change {
        return proposed(&services, view).await;
    }
    match plan(&services, id, &view.request).await {
        Ok(plan) => Ok(RestoreView { plan: Some(plan), ..view }),
        Err(error) if error.field.is_some() => Ok(RestoreView { error: Some(error), ..view }),
        Err(error) => Err(error),
    }
}

/// A free name and the usual size, where none was typed.
#[cfg(feature = "ssr")]
async fn proposed(services: &control::Services, mut view: RestoreView) -> Result<RestoreView> {
    if view.request.name.is_empty() {
        let names = control::instances::list(services).await?;
        let stem: String = view.image.image.instance_name.chars().take(52).collect();
        let free = (1..1000)
            .map(|n| if n == 1 { format!("{stem}-restored") } else { format!("{stem}-restored-{n}") })
            .find(|name| !names.iter().any(|instance| instance.name == *name));
        view.request.name = free.unwrap_or_default();
    }
    if view.request.volume_gib.is_empty() && view.place.is_kubernetes() {
        let data = view.image.manifest.as_ref().map(|manifest| manifest.source.bytes);
        view.request.volume_gib = (control::volumes::suggested(data) / super::place::GIB).to_string();
    }
    Ok(view)
}

#[cfg(feature = "ssr")]
async fn plan(services: &control::Services, id: ImageId, request: &TargetRequest) -> Result<RestorePlan> {
    let target = control::Target {
        name: &request.name,
        major: super::instances::parse_choice("major", &request.major)?,
        volume_bytes: super::place::parse_volume_gib(&request.volume_gib)?,
        dns_label: Some(request.dns_label.trim()).filter(|label| !label.is_empty()),
    };
    control::instances::restore_plan(services, id, target).await.map_err(super::place::map_volume_field)
}

/// Starts the restore, then shows the run.
#[server(prefix = "/api/fn", endpoint = "restore-image")]
pub async fn restore_image(
    /// The image.
    id: ImageId,
    /// The name of the instance to be.
    name: String,
    /// Its major version; the source's if empty.
    #[server(default)]
    major: String,
    /// The size of its volume in GiB; from the data's size if empty.
    #[server(default)]
    volume_gib: String,
    /// A DNS label to ask for.
    #[server(default)]
    dns_label: String,
) -> Result<()> {
    let (services, actor) = super::caller(model::Role::Operator)?;
    let new = model::instance::NewInstance {
        name: name.clone(),
        source_image_id: Some(id),
        major: super::instances::parse_choice("major", &major)?,
        volume_bytes: super::place::parse_volume_gib(&volume_gib)?,
        dns_label: Some(dns_label).filter(|label| !label.trim().is_empty()),
        ..Default::default()
    };
    let started = control::instances::create(&services, &actor, new)
        .await
        .map_err(|error| super::place::map_volume_field(error).with_input([("name", &*name)]))?;
    leptos_axum::redirect(&format!("/runs/{}", started.run_id));
    Ok(())
}
