//! One image: what it holds, how far it is proven, who uses it, and what one can do with it.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use model::image::{Database, Manifest};
use model::{ImageDetail, ImageStatus, Role};

use crate::api::images::{DeleteImage, VerifyImage, get_image};
use crate::components::code::CopyButton;
use crate::components::confirm::{ConfirmDialog, confirm_href};
use crate::components::field::{TextField, action_error};
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::layout::use_current_user;
use crate::components::page_header::PageHeader;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::components::status_badge::{self, StatusBadge};
use crate::components::time::{Ago, AgoOr};
use crate::error::UiError;
use crate::format;
use crate::live::use_live;

/// One image.
#[component]
pub fn ImagePage() -> impl IntoView {
    let live = use_live();
    let me = use_current_user();
    let params = use_params_map();
    let id = Memo::new(move |_| params.read().get("id").unwrap_or_default());
    let detail = Resource::new(
        move || (id.get(), live.version()),
        |(id, _)| async move {
            let id = id.parse().map_err(|_| UiError::new("not_found", "There is no such image."))?;
            get_image(id).await
        },
    );
    let query = use_query_map();
    let ask = Memo::new(move |_| query.read().get("ask"));
    let delete = ServerAction::<DeleteImage>::new();
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let role = me.role().await;
                let sudo = me.sudo().await;
                view_or_error(detail.await, move |detail| view! { <PageContent detail role sudo ask delete/> })
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn PageContent(
    detail: ImageDetail,
    role: Role,
    sudo: bool,
    ask: Memo<Option<String>>,
    delete: ServerAction<DeleteImage>,
) -> impl IntoView {
    let asked = detail.clone();
    view! {
        <ImageHead detail=detail.clone() role sudo/>
        {move || {
            (ask.get().as_deref() == Some("delete")).then(|| view! { <Delete detail=asked.clone() action=delete/> })
        }}
        <Problem detail=detail.clone()/>
        <Facts detail=detail.clone()/>
        <div class="cols">
            <div>
                {match detail.manifest.clone() {
                    Some(manifest) => Either::Left(view! { <Contents manifest/> }),
                    None => {
                        Either::Right(
                            view! {
                                <Panel id="contents" title="Contents">
                                    <p class="body sub">"What the image holds is known once it is made."</p>
                                </Panel>
                            },
                        )
                    }
                }}
            </div>
            <div><Uses detail=detail.clone()/><About detail/></div>
        </div>
    }
    .into_any()
}

#[component]
fn ImageHead(detail: ImageDetail, role: Role, sudo: bool) -> impl IntoView {
    let image = detail.image;
    let style = status_badge::image(&image);
    let verify = ServerAction::<VerifyImage>::new();
    let available = image.status == ImageStatus::Available;
    let page = format!("/images/{}", image.id);
    let restore = format!("{page}/restore");
    let id = image.id.to_string();
    let (source, made, by) = (image.instance_name.clone(), image.created_at, image.created_by.clone());
    let states = move || view! { <StatusBadge style=style.clone() pill=true/> };
    let sub = move || view! { "of " {source.clone()} ", made " <Ago at=made/> " by " {by.clone()} };
    let verifiable = matches!(image.status, ImageStatus::Available | ImageStatus::Corrupt);
    let deletable = !matches!(image.status, ImageStatus::Creating | ImageStatus::Deleting);
    view! {
        <PageHeader title=image.name.clone() crumbs=vec![("/images".into(), "Images".into())] states sub>
            {(role >= Role::Operator && available)
                .then(|| view! { <a class="btn primary" href=restore><Icon name="restore"/>"Restore…"</a> })}
            {(role >= Role::Operator && verifiable)
                .then(|| {
                    view! {
                        <ActionForm action=verify>
                            <input type="hidden" name="id" value=id.clone()/>
                            <button class="btn" disabled=move || verify.pending().get()><Icon name="prove"/>"Verify"</button>
                        </ActionForm>
                    }
                })}
            {(role >= Role::Admin && deletable)
                .then(|| view! { <a class="btn danger" href=confirm_href(sudo, &page, "delete")><Icon name="trash"/>"Delete…"</a> })}
            <FormError error=action_error(verify)/>
        </PageHeader>
    }
    .into_any()
}

#[component]
fn Delete(detail: ImageDetail, action: ServerAction<DeleteImage>) -> impl IntoView {
    let error = action_error(action);
    let image = detail.image;
    let back = format!("/images/{}", image.id);
    let size = format::bytes_or_dash(image.stored_bytes);
    view! {
        <ConfirmDialog title=format!("Delete {}?", image.name) danger=true>
            <p>{format!("Its objects in the store ({size}) go, for good. Instances that were restored from it stay as they are.")}</p>
            <FormError error fields=&["typed_name"]/>
            <ActionForm action=action attr:class="form">
                <input type="hidden" name="id" value=image.id.to_string()/>
                <TextField name="typed_name" label=format!("Type {} to go on", image.name) error required=true mono=true/>
                <div class="actions">
                    <button class="btn danger primary" disabled=move || action.pending().get()><Icon name="trash"/>"Delete the image"</button>
                    <a class="btn" href=back>"Keep it"</a>
                </div>
            </ActionForm>
        </ConfirmDialog>
    }
    .into_any()
}

#[component]
fn Problem(detail: ImageDetail) -> impl IntoView {
    let image = detail.image;
    let title = match image.status {
        ImageStatus::Corrupt => "The store does not hold what was written",
        ImageStatus::Failed => "This image was not made",
        _ => return None,
    };
    let error = image.error.unwrap_or_default();
    let run = image.run.map(|run| format!("/runs/{run}"));
    let meaning = match image.status {
        ImageStatus::Corrupt => "It must not be restored. Make a new image, and look at the store's disk.",
        _ => "The source was only read; older images are as they were.",
    };
    Some(view! {
        <section class="alert fail">
            <h2><Icon name="s-fail"/>{title}</h2>
            <dl>
                <dt>"Cause"</dt>
                <dd>{error}</dd>
                <dt>"What it means"</dt>
                <dd>{meaning}</dd>
                {run.map(|href| view! { <dt>"Its run"</dt> <dd><a href=href>"Steps and log"</a></dd> })}
            </dl>
        </section>
    })
}

#[component]
fn Facts(detail: ImageDetail) -> impl IntoView {
    let image = detail.image;
    view! {
        <dl class="facts">
            <div><dt>"Source"</dt><dd>{image.version.map_or_else(|| "–".to_owned(), |version| format!("PostgreSQL {version}"))}</dd></div>
            <div><dt>"Databases at the source"</dt><dd>{format::bytes_or_dash(image.source_bytes)}</dd></div>
            <div><dt>"In the store"</dt><dd>{format::bytes_or_dash(image.stored_bytes)}</dd></div>
            <div><dt>"Tables"</dt><dd>{image.tables.map_or_else(|| "–".to_owned(), format::count)}</dd></div>
            <div><dt>"Rows"</dt><dd>{image.rows.map_or_else(|| "–".to_owned(), format::count)}</dd></div>
            <div><dt>"Every byte read back"</dt><dd><AgoOr at=image.verified_at/></dd></div>
            <div><dt>"Proven by a restore"</dt><dd><AgoOr at=image.proven_at never="not yet"/></dd></div>
        </dl>
    }
    .into_any()
}

#[component]
fn Contents(manifest: Manifest) -> impl IntoView {
    let objects = manifest.objects.clone();
    let count = objects.len();
    view! {
        {manifest.databases.clone().into_iter().map(|database| view! { <DatabasePanel database/> }).collect_view()}
        <details class="panel fold">
            <summary class="title"><h2>"Objects in the store"</h2><span class="sub">{format::count(count as u64)}</span><span class="push"><Icon name="chevron"/></span></summary>
            <div class="wrap">
                <table class="cards" role="table">
                    <caption class="vh">"The objects of the image with their checksums"</caption>
                    <thead role="rowgroup">
                        <tr role="row">
                            <th scope="col" role="columnheader">"Object"</th>
                            <th scope="col" role="columnheader" class="num">"Size"</th>
                            <th scope="col" role="columnheader">"SHA-256"</th>
                        </tr>
                    </thead>
                    <tbody role="rowgroup">
                        {objects
                            .into_iter()
                            .map(|object| {
                                view! {
                                    <tr role="row">
                                        <th scope="row" role="rowheader" class="mono">{object.key}<span class="sub">{object.format}</span></th>
                                        <td role="cell" class="num" data-k="Size">{format::bytes(object.bytes)}</td>
                                        <td role="cell" class="mono" data-k="SHA-256" title=object.sha256.clone()>
                                            {format!("{}…", object.sha256.chars().take(16).collect::<String>())}
                                        </td>
                                    </tr>
                                }
                            })
                            .collect_view()}
                    </tbody>
                </table>
            </div>
        </details>
    }
    .into_any()
}

/// How many tables a database shows at once; the largest come first.
const TABLES: usize = 200;

#[component]
fn DatabasePanel(database: Database) -> impl IntoView {
    let mut tables = database.tables;
    tables.sort_by_key(|table| std::cmp::Reverse((table.bytes, table.rows)));
    let rows: u64 = tables.iter().map(|table| table.rows).sum();
    let more = tables.len().saturating_sub(TABLES);
    let extensions: Vec<String> = database
        .extensions
        .iter()
        .map(|extension| format!("{} {}", extension.name, extension.version))
        .collect();
    let summary = format!(
        "{}, {}, {}, {}, {}",
        format::quantity(tables.len() as u64, "table", "tables"),
        format::quantity(rows, "row", "rows"),
        format::quantity(database.sequences, "sequence", "sequences"),
        format::quantity(database.large_objects, "large object", "large objects"),
        format::bytes_or_dash(Some(database.bytes))
    );
    view! {
        <details class="panel fold" open>
            <summary class="title"><h2 class="mono">{database.name}</h2><span class="sub">{summary}</span><span class="push"><Icon name="chevron"/></span></summary>
            <p class="body sub">
                {format!("Owner {}, {}, {} {}", database.owner, database.encoding, database.locale_provider, database.collate)}
                {(!extensions.is_empty()).then(|| format!("; extensions: {}", extensions.join(", ")))} "."
            </p>
            <div class="wrap">
                <table class="cards" role="table">
                    <caption class="vh">"Tables and their rows"</caption>
                    <thead role="rowgroup">
                        <tr role="row">
                            <th scope="col" role="columnheader">"Table"</th>
                            <th scope="col" role="columnheader" class="num">"Rows"</th>
                            <th scope="col" role="columnheader" class="num">"As text"</th>
                        </tr>
                    </thead>
                    <tbody role="rowgroup">
                        {tables
                            .into_iter()
                            .take(TABLES)
                            .map(|table| {
                                view! {
                                    <tr role="row">
                                        <th scope="row" role="rowheader" class="mono">{format!("{}.{}", table.schema, table.name)}</th>
                                        <td role="cell" class="num" data-k="Rows">{format::count(table.rows)}</td>
                                        <td role="cell" class="num" data-k="As text">{format::bytes(table.bytes)}</td>
                                    </tr>
                                }
                            })
                            .collect_view()}
                    </tbody>
                </table>
            </div>
            {(more > 0).then(|| view! { <p class="more sub">{format!("and {} smaller ones, all in the manifest", format::count(more as u64))}</p> })}
        </details>
    }
    .into_any()
}

#[component]
fn Uses(detail: ImageDetail) -> impl IntoView {
    let restored = detail.restored_to;
    let used = detail.in_use_by;
    view! {
        <Panel id="uses" title="Who uses it">
            <div class="body stack">
                {if restored.is_empty() && used.is_empty() {
                    Either::Left(view! { <p class="sub">"Nobody. It was never restored into an instance that is still here."</p> })
                } else {
                    Either::Right(
                        view! {
                            <ul>
                                {used
                                    .into_iter()
                                    .map(|run| view! { <li><a href=format!("/runs/{run}")>"A run that has not ended"</a></li> })
                                    .collect_view()}
                                {restored
                                    .into_iter()
                                    .map(|name| view! { <li>"restored into " <a href=format!("/instances/{name}")>{name.clone()}</a></li> })
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

#[component]
fn About(detail: ImageDetail) -> impl IntoView {
    let image = detail.image;
    let tools = detail.manifest.map(|manifest| manifest.tools).unwrap_or_default();
    view! {
        <Panel id="about" title="About">
            <dl class="props body">
                <dt>"Id"</dt>
                <dd class="mono">{image.id.to_string()}" "<CopyButton text=image.id.to_string() what="the id"/></dd>
                <dt>"Description"</dt>
                <dd>{if image.description.is_empty() { "–".to_owned() } else { image.description }}</dd>
                <dt>"Kind"</dt>
                <dd>{format!("{}, {}", image.kind, image.image_type)}</dd>
                <dt>"Took"</dt>
                <dd>{image.duration_ms.map_or_else(|| "–".to_owned(), format::duration)}</dd>
                <dt>"Store"</dt>
                <dd>{detail.store_name}</dd>
                <dt>"Prefix"</dt>
                <dd class="mono">{detail.prefix.unwrap_or_else(|| "–".to_owned())}</dd>
                {image.run.map(|run| view! { <dt>"Made by"</dt> <dd><a href=format!("/runs/{run}")>"its run"</a></dd> })}
                {tools.into_iter().map(|(tool, version)| view! { <dt>{tool}</dt> <dd>{version}</dd> }).collect_view()}
            </dl>
        </Panel>
    }
    .into_any()
}
