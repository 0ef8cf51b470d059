//! Server functions of the restore wizard: check and start.

use leptos::prelude::*;
use model::restore::RestorePlan;
use model::{ImageDetail, ImageId, PlatformInfo};
use serde::{Deserialize, Serialize};

use crate::error::{Result, UiError};

/// The requested settings of the new instance, as in the address of the wizard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRequest {
    /// Its name.
    pub name: String,
    /// Its major version; empty for the version of the source.
    pub major: String,
    /// The size of its volume in GiB; empty for a size derived from the data.
    pub volume_gib: String,
    /// Its DNS label, or empty.
    pub dns_label: String,
    /// Whether the settings are being edited.
    pub change: bool,
}

/// The data of the wizard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestoreView {
    /// The image.
    pub image: ImageDetail,
    /// The platform of the new instance.
    pub place: PlatformInfo,
    /// The versions that the image can be restored into: major and full.
    pub versions: Vec<(i32, String)>,
    /// The requested settings, or the proposed ones.
    pub request: TargetRequest,
    /// The result of the checks; `None` while the settings are being edited.
    pub plan: Option<RestorePlan>,
    /// The error of an invalid setting.
    pub error: Option<UiError>,
}

/// The restore of an image with its checks, or with proposed settings if the request has no name.
#[server(prefix = "/api/fn", endpoint = "restore-plan")]
pub async fn get_restore(id: ImageId, request: TargetRequest) -> Result<RestoreView> {
    let (services, actor) = super::caller(model::Role::Operator)?;
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
    match plan(&services, &actor, id, &view.request).await {
        Ok(plan) => Ok(RestoreView { plan: Some(plan), ..view }),
        Err(error) if error.field.is_some() => Ok(RestoreView { error: Some(error), ..view }),
        Err(error) => Err(error),
    }
}

/// Proposes an unused name and a volume size where the request has none.
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
        view.request.volume_gib = (control::volumes::suggested(data) / super::platform::GIB).to_string();
    }
    Ok(view)
}

#[cfg(feature = "ssr")]
async fn plan(
    services: &control::Services,
    actor: &model::Actor,
    id: ImageId,
    request: &TargetRequest,
) -> Result<RestorePlan> {
    let target = control::Target {
        name: &request.name,
        major: super::instances::parse_choice("major", &request.major)?,
        volume_bytes: super::platform::parse_volume_gib(&request.volume_gib)?,
        dns_label: Some(request.dns_label.trim()).filter(|label| !label.is_empty()),
    };
    control::restore_plan::check(services, actor, id, target).await.map_err(super::platform::map_volume_field)
}

/// Starts a restore and redirects to its run.
#[server(prefix = "/api/fn", endpoint = "restore-image")]
pub async fn restore_image(
    /// The image.
    id: ImageId,
    /// The name of the new instance.
    name: String,
    /// Its major version; empty for the version of the source.
    #[server(default)]
    major: String,
    /// The size of its volume in GiB; empty for a size derived from the data.
    #[server(default)]
    volume_gib: String,
    /// Its DNS label, or empty.
    #[server(default)]
    dns_label: String,
) -> Result<()> {
    let (services, actor) = super::caller(model::Role::Operator)?;
    let new = model::instance::NewInstance {
        name: name.clone(),
        source_image_id: Some(id),
        major: super::instances::parse_choice("major", &major)?,
        volume_bytes: super::platform::parse_volume_gib(&volume_gib)?,
        dns_label: Some(dns_label).filter(|label| !label.trim().is_empty()),
        ..Default::default()
    };
    let started = control::commands::create_instance(&services, &actor, new)
        .await
        .inspect_err(super::redirect_if_sudo_required)
        .map_err(|error| super::platform::map_volume_field(error).with_input([("name", &*name)]))?;
    leptos_axum::redirect(&format!("/runs/{}", started.run_id));
    Ok(())
}
