//! The table of images, ordered by the links in its head.

use leptos::either::Either;
use leptos::prelude::*;
use model::{Image, ImageStatus};

use super::address::address;
use crate::api::images::ImageFilter;
use crate::components::icon::Icon;
use crate::components::status_badge::{self, StatusBadge};
use crate::components::time::{Ago, AgoOr};
use crate::format;
use crate::labels;

/// The table.
#[component]
pub(super) fn ImageTable(images: Vec<Image>, can_restore: bool, filter: ImageFilter) -> impl IntoView {
    let column = |key: &'static str, name: &'static str, class: &'static str| {
        view! { <SortHead column=key name class filter=filter.clone()/> }
    };
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"Images with their states"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        {column("name", "Image", "")}
                        <th scope="col" role="columnheader">"State"</th>
                        {column("instance", "Instance", "")}
                        {column("size", "Stored", "num")}
                        {column("rows", "Rows", "num")}
                        {column("created", "Created", "")}
                        <th
                            scope="col"
                            role="columnheader"
                            class="spare"
                            title="When every byte was last read back and matched its SHA-256"
                        >
                            "Verified"
                        </th>
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
fn SortHead(
    column: &'static str,
    name: &'static str,
    class: &'static str,
    filter: ImageFilter,
) -> impl IntoView {
    let by = filter.sort.trim_start_matches('-');
    let active = by == column || (by.is_empty() && column == "created");
    let descending = filter.sort.starts_with('-') || filter.sort.is_empty();
    let next = if active && descending { column.to_owned() } else { format!("-{column}") };
    let sort = active.then_some(if descending { "descending" } else { "ascending" });
    let arrow = active.then_some(if descending { " ↓" } else { " ↑" });
    view! {
        <th scope="col" role="columnheader" class=class aria-sort=sort>
            <a href=address(&ImageFilter { sort: next, page: 1, ..filter })>{name}{arrow}</a>
        </th>
    }
}

#[component]
fn ImageRow(image: Image, can_restore: bool) -> impl IntoView {
    let style = status_badge::image(&image);
    let href = format!("/images/{}", image.id);
    let restore = (can_restore && image.status == ImageStatus::Available).then(|| format!("{href}/restore"));
    let sub = match (&image.error, image.description.is_empty()) {
        (Some(error), _) if !image.was_cancelled() => error.message(),
        (None, false) => image.description.clone(),
        _ => format!("by {}", image.created_by),
    };
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                <a class="name mono" href=href title=image.name.clone()>{image.name.clone()}</a>
                <span class="sub two-lines">{sub}</span>
            </th>
            <td role="cell" data-k="State">
                <StatusBadge style/>
                {labels::partial(&image).map(|partial| view! { <span class="sub">{partial}</span> })}
            </td>
            <td role="cell" data-k="Instance"><Source image=image.clone()/></td>
            <td role="cell" class="num" data-k="Stored">{format::bytes_or_dash(image.stored_bytes)}</td>
            <td role="cell" class="num" data-k="Rows">{image.rows.map_or_else(|| format::DASH.to_owned(), format::count)}</td>
            <td role="cell" data-k="Created"><Ago at=image.created_at/></td>
            <td role="cell" class="spare" data-k="Verified"><AgoOr at=image.verified_at/></td>
            <td role="cell" class="num act">
                {restore
                    .map(|href| {
                        view! { <a class="btn small" href=href aria-label=format!("Restore image {}…", image.name)><Icon name="restore"/>"Restore…"</a> }
                    })}
            </td>
        </tr>
    }
    .into_any()
}

/// The instance that the image copies, and its version.
#[component]
fn Source(image: Image) -> impl IntoView {
    let name = image.instance_name;
    let version = image.version.map(|version| format!("PostgreSQL {}", format::version(&version)));
    view! {
        {match image.instance {
            Some(_) => Either::Left(view! { <a href=format!("/instances/{name}")>{name.clone()}</a> }),
            None => Either::Right(view! { <span class="dim" title="This instance was deleted">{name}</span> }),
        }}
        <span class="sub">{version}</span>
    }
}
