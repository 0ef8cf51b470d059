//! The catalogue: searched, filtered, sorted and paged by its address, which forms and links make.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use model::{Image, ImageStatus};

use crate::api::images::{Catalogue, Wanted, list_images};
use crate::components::ask::escaped;
use crate::components::empty::Empty;
use crate::components::head::{Head, Panel};
use crate::components::icon::Icon;
use crate::components::pager::Pager;
use crate::components::shown::shown;
use crate::components::state::{self, State};
use crate::components::time::{Ago, AgoOr};
use crate::format;
use crate::live::use_live;

/// All images.
#[component]
pub fn Images() -> impl IntoView {
    let live = use_live();
    let query = use_query_map();
    let wanted = Memo::new(move |_| {
        let query = query.read();
        let text = |name: &str| query.get_str(name).unwrap_or_default().to_owned();
        Wanted {
            search: text("q"),
            status: text("status"),
            instance: text("instance"),
            sort: text("sort"),
            page: text("page").parse().unwrap_or(1),
        }
    });
    let catalogue = Resource::new(move || (wanted.get(), live.version()), |(wanted, _)| list_images(wanted));
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let wanted = wanted.get_untracked();
                shown(catalogue.await, move |catalogue| view! { <Whole catalogue wanted/> })
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn Whole(catalogue: Catalogue, wanted: Wanted) -> impl IntoView {
    let Catalogue { images, instances, may } = catalogue;
    let total = images.total;
    let pages = images.pages();
    let page = images.page;
    let filtered = wanted != Wanted { page: wanted.page, sort: wanted.sort.clone(), ..Wanted::default() };
    let sub = if filtered {
        format!("{} found", format::counted(total, "image", "images"))
    } else {
        format!("{}. Green is what was restored and compared.", format::counted(total, "image", "images"))
    };
    let paged = wanted.clone();
    let href = Callback::new(move |(page,): (i64,)| address(&Wanted { page, ..paged.clone() }));
    view! {
        <Head title="Images" sub=move || sub.clone()/>
        <Filters wanted=wanted.clone() instances/>
        <Panel id="catalogue" title="Catalogue">
            {match (images.rows.is_empty(), filtered) {
                (true, true) => {
                    Either::Left(Either::Left(
                        view! {
                            <Empty title="Nothing found" text="No image is like that.">
                                <a class="btn" href="/images">"Show all images"</a>
                            </Empty>
                        },
                    ))
                }
                (true, false) => {
                    Either::Left(Either::Right(
                        view! {
                            <Empty title="No images yet" text="Open an instance and press Back up; the image appears here.">
                                <a class="btn primary" href="/instances"><Icon name="instances"/>"To the instances"</a>
                            </Empty>
                        },
                    ))
                }
                _ => Either::Right(view! { <Table images=images.rows may wanted/> }),
            }}
            <Pager page pages total href/>
        </Panel>
    }
    .into_any()
}

fn address(wanted: &Wanted) -> String {
    let pairs = [
        ("q", &wanted.search),
        ("status", &wanted.status),
        ("instance", &wanted.instance),
        ("sort", &wanted.sort),
    ];
    let mut query: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    if wanted.page > 1 {
        query.push(format!("page={}", wanted.page));
    }
    if query.is_empty() { "/images".to_owned() } else { format!("/images?{}", query.join("&")) }
}

#[component]
fn Filters(wanted: Wanted, instances: Vec<String>) -> impl IntoView {
    let status = wanted.status.clone();
    let instance = wanted.instance.clone();
    view! {
        <form class="filters" method="get" action="/images" role="search" aria-label="Filter the images">
            <p class="field">
                <label for="q">"Search"</label>
                <input id="q" name="q" type="search" value=wanted.search placeholder="name, instance, description"/>
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
            <input type="hidden" name="sort" value=wanted.sort/>
            <button class="btn"><Icon name="search"/>"Show"</button>
        </form>
    }
    .into_any()
}

#[component]
fn Table(images: Vec<Image>, may: bool, wanted: Wanted) -> impl IntoView {
    let column = |key: &'static str, name: &'static str, class: &'static str| {
        view! { <SortHead key_=key name class wanted=wanted.clone()/> }
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
fn SortHead(key_: &'static str, name: &'static str, class: &'static str, wanted: Wanted) -> impl IntoView {
    let by = wanted.sort.trim_start_matches('-').to_owned();
    let active = by == key_ || (by.is_empty() && key_ == "created");
    let down = wanted.sort.starts_with('-') || wanted.sort.is_empty();
    let next = if active && down { key_.to_owned() } else { format!("-{key_}") };
    let sort = active.then_some(if down { "descending" } else { "ascending" });
    view! {
        <th scope="col" role="columnheader" class=class aria-sort=sort>
            <a href=address(&Wanted { sort: next, page: 1, ..wanted })>{name}{active.then_some(if down { " ↓" } else { " ↑" })}</a>
        </th>
    }
}

#[component]
fn Row(image: Image, may: bool) -> impl IntoView {
    let look = state::image(&image);
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
                <a class="name mono" href=href>{image.name.clone()}</a>
                <span class="sub two-lines">{sub}</span>
            </th>
            <td role="cell" data-k="State"><State look/></td>
            <td role="cell" data-k="Instance">
                {match source {
                    Some(href) => Either::Left(view! { <a href=href>{image.instance_name.clone()}</a> }),
                    None => Either::Right(view! { <span class="dim" title="This instance is gone">{image.instance_name.clone()}</span> }),
                }}
                <span class="sub">{image.version.map(|version| format!("PostgreSQL {version}"))}</span>
            </td>
            <td role="cell" class="num" data-k="Stored">{format::bytes_or_nothing(image.stored_bytes)}</td>
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
