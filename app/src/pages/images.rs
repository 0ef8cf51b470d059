//! The catalogue: searched, filtered, sorted and paged by its address, which forms and links make.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use model::{Image, ImageStatus};

use crate::api::images::{Catalogue, ImageFilter, list_images};
use crate::components::empty_state::EmptyState;
use crate::components::icon::Icon;
use crate::components::page_header::PageHeader;
use crate::components::pager::Pager;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::components::status_badge::{self, StatusBadge};
use crate::components::time::{Ago, AgoOr};
use crate::format;
use crate::live::use_live;
use crate::url;

/// All images.
#[component]
pub fn Images() -> impl IntoView {
    let live = use_live();
    let query = use_query_map();
    let filter = Memo::new(move |_| {
        let query = query.read();
        let text = |name: &str| query.get_str(name).unwrap_or_default().to_owned();
        ImageFilter {
            search: text("q"),
            status: text("status"),
            instance: text("instance"),
            sort: text("sort"),
            page: text("page").parse().unwrap_or(1),
        }
    });
    let catalogue = Resource::new(move || (filter.get(), live.version()), |(filter, _)| list_images(filter));
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let filter = filter.get_untracked();
                view_or_error(catalogue.await, move |catalogue| view! { <PageContent catalogue filter/> })
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn PageContent(catalogue: Catalogue, filter: ImageFilter) -> impl IntoView {
    let Catalogue { images, instances, may } = catalogue;
    let total = images.total;
    let pages = images.pages();
    let page = images.page;
    let filtered =
        filter != ImageFilter { page: filter.page, sort: filter.sort.clone(), ..ImageFilter::default() };
    let sub = if filtered {
        format!("{} found", format::quantity(total, "image", "images"))
    } else {
        format!("{}. Green is what was restored and compared.", format::quantity(total, "image", "images"))
    };
    let paged = filter.clone();
    let href = Callback::new(move |(page,): (i64,)| address(&ImageFilter { page, ..paged.clone() }));
    view! {
        <PageHeader title="Images" sub=move || sub.clone()/>
        <Filters filter=filter.clone() instances/>
        <Panel id="catalogue" title="Catalogue">
            {match (images.rows.is_empty(), filtered) {
                (true, true) => {
                    Either::Left(Either::Left(
                        view! {
                            <EmptyState title="Nothing found" text="No image is like that.">
                                <a class="btn" href="/images">"Show all images"</a>
                            </EmptyState>
                        },
                    ))
                }
                (true, false) => {
                    Either::Left(Either::Right(
                        view! {
                            <EmptyState title="No images yet" text="Open an instance and press Back up; the image appears here.">
                                <a class="btn primary" href="/instances"><Icon name="instances"/>"To the instances"</a>
                            </EmptyState>
                        },
                    ))
                }
                _ => Either::Right(view! { <Table images=images.rows may filter/> }),
            }}
            <Pager page pages total href/>
        </Panel>
    }
    .into_any()
}

fn address(filter: &ImageFilter) -> String {
    let pairs = [
        ("q", &filter.search),
        ("status", &filter.status),
        ("instance", &filter.instance),
        ("sort", &filter.sort),
    ];
    let mut query: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", url::encode(value)))
        .collect();
    if filter.page > 1 {
        query.push(format!("page={}", filter.page));
    }
    if query.is_empty() { "/images".to_owned() } else { format!("/images?{}", query.join("&")) }
}

#[component]
fn Filters(filter: ImageFilter, instances: Vec<String>) -> impl IntoView {
    let status = filter.status.clone();
    let instance = filter.instance.clone();
    view! {
        <form class="filters" method="get" action="/images" role="search" aria-label="Filter the images">
            <p class="field">
                <label for="q">"Search"</label>
                <input id="q" name="q" type="search" value=filter.search placeholder="name, instance, description"/>
            </p>
            <p class="field">
                <label for="status">"State"</label>
                <select id="status" name="status">
                    <option value="">"any"</option>
                    {ImageStatus::ALL
                        .iter()
                        .map(|one| {
                            let word = one.as_str();
                            view! { <option value=word selected=word == status>{word}</option> }
                        })
                        .collect_view()}
                </select>
            </p>
            <p class="field">
                <label for="instance">"Instance"</label>
                <select id="instance" name="instance">
                    <option value="">"any"</option>
                    {instances
                        .into_iter()
                        .map(|name| {
                            let selected = name == instance;
                            view! { <option value=name.clone() selected=selected>{name.clone()}</option> }
                        })
                        .collect_view()}
                </select>
            </p>
            <input type="hidden" name="sort" value=filter.sort/>
            <button class="btn"><Icon name="search"/>"Show"</button>
        </form>
    }
    .into_any()
}

#[component]
fn Table(images: Vec<Image>, may: bool, filter: ImageFilter) -> impl IntoView {
    let column = |key: &'static str, name: &'static str, class: &'static str| {
        view! { <SortHead key_=key name class filter=filter.clone()/> }
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
                        {column("created", "Made", "")}
                        <th scope="col" role="columnheader" class="spare">"Read back"</th>
                        <th scope="col" role="columnheader"><span class="vh">"What one can do"</span></th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{images.into_iter().map(|image| view! { <Row image may/> }).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn SortHead(
    key_: &'static str,
    name: &'static str,
    class: &'static str,
    filter: ImageFilter,
) -> impl IntoView {
    let by = filter.sort.trim_start_matches('-').to_owned();
    let active = by == key_ || (by.is_empty() && key_ == "created");
    let down = filter.sort.starts_with('-') || filter.sort.is_empty();
    let next = if active && down { key_.to_owned() } else { format!("-{key_}") };
    let sort = active.then_some(if down { "descending" } else { "ascending" });
    view! {
        <th scope="col" role="columnheader" class=class aria-sort=sort>
            <a href=address(&ImageFilter { sort: next, page: 1, ..filter })>{name}{active.then_some(if down { " ↓" } else { " ↑" })}</a>
        </th>
    }
}

#[component]
fn Row(image: Image, may: bool) -> impl IntoView {
    let style = status_badge::image(&image);
    let href = format!("/images/{}", image.id);
    let restore = (may && image.status == ImageStatus::Available).then(|| format!("{href}/restore"));
    let source = image.instance.map(|_| format!("/instances/{}", image.instance_name));
    let sub = match (&image.error, image.description.is_empty()) {
        (Some(error), _) => error.clone(),
        (None, false) => image.description.clone(),
        _ => format!("by {}", image.created_by),
    };
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                <a class="name mono" href=href title=image.name.clone()>{image.name.clone()}</a>
                <span class="sub two-lines">{sub}</span>
            </th>
            <td role="cell" data-k="State"><StatusBadge style/></td>
            <td role="cell" data-k="Instance">
                {match source {
                    Some(href) => Either::Left(view! { <a href=href>{image.instance_name.clone()}</a> }),
                    None => Either::Right(view! { <span class="dim" title="The instance was deleted">{image.instance_name.clone()}</span> }),
                }}
                <span class="sub">{image.version.map(|version| format!("PostgreSQL {version}"))}</span>
            </td>
            <td role="cell" class="num" data-k="Stored">{format::bytes_or_dash(image.stored_bytes)}</td>
            <td role="cell" class="num" data-k="Rows">{image.rows.map_or_else(|| "–".to_owned(), format::count)}</td>
            <td role="cell" data-k="Made"><Ago at=image.created_at/></td>
            <td role="cell" class="spare" data-k="Read back"><AgoOr at=image.verified_at/></td>
            <td role="cell" class="act">
                {restore
                    .map(|href| {
                        view! { <a class="btn small" href=href aria-label=format!("Restore {}", image.name)><Icon name="restore"/>"Restore"</a> }
                    })}
            </td>
        </tr>
    }
    .into_any()
}
