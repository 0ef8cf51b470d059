//! The header of an image's page: its name, its state, the actions on it, and what is wrong with it.

use leptos::prelude::*;
use model::{Image, ImageStatus, Role};

use crate::api::images::VerifyImage;
use crate::components::confirm::confirm_href;
use crate::components::field::action_error;
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::page_header::PageHeader;
use crate::components::status_badge::{self, StatusBadge};
use crate::components::time::Ago;

/// The header.
#[component]
pub(super) fn ImageHeader(
    image: Image,
    role: Role,
    sudo: bool,
    verify: ServerAction<VerifyImage>,
) -> impl IntoView {
    let style = status_badge::image(&image);
    let explanation = (image.proven_at.is_some() && image.status == ImageStatus::Available)
        .then(|| "The image was restored, and the restored content compared equal".to_owned());
    let states = move || view! { <StatusBadge style=style.clone() pill=true title=explanation.clone()/> };
    let verb = match image.status {
        ImageStatus::Creating | ImageStatus::Failed => "started",
        ImageStatus::Available | ImageStatus::Corrupt | ImageStatus::Deleting => "created",
    };
    let (source, created_at, by) = (image.instance_name.clone(), image.created_at, image.created_by.clone());
    let sub =
        move || view! { {format!("Image of {source}, {verb} ")} <Ago at=created_at/> " by " {by.clone()} };
    view! {
        <PageHeader title=image.name.clone() crumbs=vec![("/images".into(), "Images".into())] states sub>
            <ImageActions image role sudo verify/>
        </PageHeader>
    }
    .into_any()
}

#[component]
fn ImageActions(image: Image, role: Role, sudo: bool, verify: ServerAction<VerifyImage>) -> impl IntoView {
    let page = format!("/images/{}", image.id);
    let restore = format!("{page}/restore");
    let id = image.id.to_string();
    let is_available = image.status == ImageStatus::Available;
    let can_verify = matches!(image.status, ImageStatus::Available | ImageStatus::Corrupt);
    let can_delete = !matches!(image.status, ImageStatus::Creating | ImageStatus::Deleting);
    view! {
        {(role >= Role::Operator && is_available)
            .then(|| view! { <a class="btn primary" href=restore><Icon name="restore"/>"Restore image…"</a> })}
        {(role >= Role::Operator && can_verify)
            .then(|| {
                view! {
                    <ActionForm action=verify>
                        <input type="hidden" name="id" value=id/>
                        <button
                            class="btn"
                            title="Reads back every byte and compares it with its SHA-256"
                            disabled=move || verify.pending().get()
                        >
                            <Icon name="prove"/>
                            "Verify image"
                        </button>
                    </ActionForm>
                }
            })}
        {(role >= Role::Admin && can_delete)
            .then(|| view! { <a class="btn danger" href=confirm_href(sudo, &page, "delete")><Icon name="trash"/>"Delete image…"</a> })}
        <FormError error=action_error(verify)/>
    }
    .into_any()
}

/// The alert about a corrupt image or a failed backup; nothing for other images.
#[component]
pub(super) fn Problem(image: Image) -> impl IntoView {
    let (tone, icon, title, effect) = match image.status {
        ImageStatus::Corrupt => (
            "fail",
            "s-fail",
            "Stored objects do not match their checksums",
            "The image cannot be restored. Create a new image, and check the store.",
        ),
        ImageStatus::Failed if image.was_cancelled() => {
            ("warn", "s-cancel", "Backup cancelled", "Nothing is stored. The source was only read.")
        }
        ImageStatus::Failed => (
            "fail",
            "s-fail",
            "Backup failed",
            "Nothing is stored. The source was only read, and earlier images are unchanged.",
        ),
        _ => return None,
    };
    let error = image.error.filter(|_| tone == "fail");
    let explanation = error.as_ref().map(|error| error.code.explanation());
    Some(view! {
        <section class=format!("alert {tone}")>
            <h2><Icon name=icon/>{title}</h2>
            <dl>
                {explanation
                    .map(|explanation| {
                        view! { <dt>"Cause"</dt> <dd>{explanation.cause}</dd> <dt>"Fix"</dt> <dd>{explanation.fix}</dd> }
                    })}
                {error.map(|error| view! { <dt>"Error"</dt> <dd>{error.to_string()}</dd> })}
                <dt>"Effect"</dt>
                <dd>{effect}</dd>
                {image
                    .run
                    .map(|run| view! { <dt>"Run"</dt> <dd><a href=format!("/runs/{run}")>"View steps and log"</a></dd> })}
            </dl>
        </section>
    })
}
