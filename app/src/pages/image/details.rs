//! Facts about an image, what it was restored to, and its details.

use leptos::either::Either;
use leptos::prelude::*;
use model::{Image, ImageDetail};

use crate::components::code::CopyButton;
use crate::components::panel::Panel;
use crate::components::time::AgoOr;
use crate::format;
use crate::labels;

/// The most important numbers.
#[component]
pub(super) fn Facts(image: Image) -> impl IntoView {
    let dash = || format::DASH.to_owned();
    let databases =
        labels::partial_count(&image).or_else(|| image.databases.map(format::count)).unwrap_or_else(dash);
    view! {
        <dl class="facts">
            <div><dt>"Source version"</dt><dd>{image.version.map_or_else(dash, |version| format!("PostgreSQL {}", format::version(&version)))}</dd></div>
            <div><dt>"Databases"</dt><dd>{databases}</dd></div>
            <div><dt title="Size of the databases in the image when it was created">"Source size"</dt><dd>{format::bytes_or_dash(image.source_bytes)}</dd></div>
            <div><dt title="Size of the objects in the store">"Stored"</dt><dd>{format::bytes_or_dash(image.stored_bytes)}</dd></div>
            <div><dt>"Tables"</dt><dd>{image.tables.map_or_else(dash, format::count)}</dd></div>
            <div><dt>"Rows"</dt><dd>{image.rows.map_or_else(dash, format::count)}</dd></div>
            <div>
                <dt title="When every byte was last read back and matched its SHA-256">"Verified"</dt>
                <dd><AgoOr at=image.verified_at/></dd>
            </div>
            <div>
                <dt title="When the image was last restored and the restored content compared equal">"Proven"</dt>
                <dd><AgoOr at=image.proven_at never="not yet"/></dd>
            </div>
        </dl>
    }
    .into_any()
}

/// The panel of the instances that were restored from the image, and of the runs that use it.
#[component]
pub(super) fn UsesPanel(detail: ImageDetail) -> impl IntoView {
    let restored = detail.restored_to;
    let runs = detail.in_use_by;
    view! {
        <Panel id="uses" title="Restored instances">
            <div class="body stack">
                {if restored.is_empty() && runs.is_empty() {
                    Either::Left(view! { <p class="sub">"No existing instance was restored from this image."</p> })
                } else {
                    Either::Right(
                        view! {
                            <ul>
                                {runs
                                    .into_iter()
                                    .map(|run| view! { <li><a href=format!("/runs/{run}")>"Run in progress"</a></li> })
                                    .collect_view()}
                                {restored
                                    .into_iter()
                                    .map(|name| view! { <li>"Instance " <a href=format!("/instances/{name}")>{name.clone()}</a></li> })
                                    .collect_view()}
                            </ul>
                        },
                    )
                }}
            </div>
        </Panel>
    }
    .into_any()
}

/// The panel of details.
#[component]
pub(super) fn DetailsPanel(detail: ImageDetail) -> impl IntoView {
    let dash = || format::DASH.to_owned();
    let image = detail.image;
    let id = image.id.to_string();
    let description = Some(image.description).filter(|text| !text.is_empty());
    let tools = detail.manifest.map(|manifest| manifest.tools).unwrap_or_default();
    view! {
        <Panel id="about" title="Details">
            <dl class="props body">
                <dt>"ID"</dt>
                <dd class="mono">{id.clone()}" "<CopyButton text=id what="the ID"/></dd>
                <dt>"Description"</dt>
                <dd>{description.unwrap_or_else(dash)}</dd>
                <dt>"Type"</dt>
                <dd>{format!("{}, {}", image.kind, labels::image_type(image.image_type))}</dd>
                <dt>"Duration"</dt>
                <dd>{image.duration_ms.map_or_else(dash, format::duration)}</dd>
                <dt>"Store"</dt>
                <dd>{detail.store_name}</dd>
                <dt>"Path"</dt>
                <dd class="mono">{detail.prefix.unwrap_or_else(dash)}</dd>
                {image
                    .run
                    .map(|run| view! { <dt>"Created by"</dt> <dd><a href=format!("/runs/{run}")>"Backup run"</a></dd> })}
                {tools.into_iter().map(|(tool, version)| view! { <dt>{tool}</dt> <dd>{version}</dd> }).collect_view()}
            </dl>
        </Panel>
    }
    .into_any()
}
