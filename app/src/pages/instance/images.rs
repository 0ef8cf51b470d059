//! The newest images of an instance.

use leptos::either::Either;
use leptos::prelude::*;
use model::{Actor, Image, ImageStatus, InstanceStatus, Role};

use crate::api::instances::InstanceView;
use crate::components::back_up::can_back_up;
use crate::components::empty_state::EmptyState;
use crate::components::icon::Icon;
use crate::components::panel::Panel;
use crate::components::status_badge::{self, StatusBadge};
use crate::components::time::Ago;
use crate::format;
use crate::labels;

/// The panel of the newest images.
#[component]
pub(super) fn ImagesPanel(view: InstanceView, actor: Option<Actor>) -> impl IntoView {
    let can_restore = actor.is_some_and(|actor| actor.is(Role::Operator));
    let instance = view.instance;
    let (total, failed) = (view.images_total, view.failed_attempts);
    let name = instance.name.clone();
    view! {
        <Panel id="images" title="Images" note=move || format::count(total)>
            {if view.images.is_empty() {
                let text = match instance.status {
                    InstanceStatus::Failed => "The instance was not created and cannot be backed up.",
                    _ if can_back_up(&instance) => "An image is a backup. Press Back up to create the first one.",
                    _ => "An image is a backup. The instance can be backed up while it is running.",
                };
                Either::Left(view! { <EmptyState title="No images yet" text/> })
            } else {
                Either::Right(view! { <ImageTable images=view.images can_restore name=name.clone()/> })
            }}
            {(total > 5)
                .then(|| {
                    view! { <a class="more" href=format!("/images?instance={name}")>"View all images"</a> }
                })}
            {(failed > 0)
                .then(|| {
                    let href = format!("/images?instance={name}&status=failed");
                    view! { <a class="more" href=href>{labels::failed_backups(failed)}</a> }
                })}
        </Panel>
    }
    .into_any()
}

#[component]
fn ImageTable(images: Vec<Image>, can_restore: bool, name: String) -> impl IntoView {
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">{format!("Images of {name}, newest first")}</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"Image"</th>
                        <th scope="col" role="columnheader">"State"</th>
                        <th scope="col" role="columnheader" class="num">"Source size"</th>
                        <th scope="col" role="columnheader" class="num">"Stored"</th>
                        <th scope="col" role="columnheader">"Created"</th>
                        <th scope="col" role="columnheader"><span class="vh">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    {images.into_iter().map(|image| view! { <ImageRow image can_restore/> }).collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn ImageRow(image: Image, can_restore: bool) -> impl IntoView {
    let can_restore = can_restore && image.status == ImageStatus::Available;
    let partial = labels::partial(&image);
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                <a class="name mono" href=format!("/images/{}", image.id) title=image.name.clone()>{image.name.clone()}</a>
            </th>
            <td role="cell" data-k="State">
                <StatusBadge style=status_badge::image(&image) title=image.error.as_ref().map(ToString::to_string)/>
                {partial.map(|partial| view! { <span class="sub">{partial}</span> })}
            </td>
            <td role="cell" class="num" data-k="Source size">{format::bytes_or_dash(image.source_bytes)}</td>
            <td role="cell" class="num" data-k="Stored">{format::bytes_or_dash(image.stored_bytes)}</td>
            <td role="cell" data-k="Created"><Ago at=image.created_at/></td>
            <td role="cell" class="num act">
                {can_restore
                    .then(|| {
                        view! {
                            <a
                                class="btn small"
                                href=format!("/images/{}/restore", image.id)
                                aria-label=format!("Restore image {}…", image.name)
                            >
                                <Icon name="restore"/>
                                "Restore…"
                            </a>
                        }
                    })}
            </td>
        </tr>
    }
    .into_any()
}
