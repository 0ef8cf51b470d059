//! The list of images; its address holds the search, the filter, the order and the page.

mod address;
mod filters;
mod table;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use model::ImageStatus;

use self::address::{address, from_query};
use self::filters::Filters;
use self::table::ImageTable;
use crate::api::images::{Catalogue, ImageFilter, list_images};
use crate::components::empty_state::EmptyState;
use crate::components::icon::Icon;
use crate::components::page_header::PageHeader;
use crate::components::pager::Pager;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::format;
use crate::labels;
use crate::live::use_live;

/// The page of all images.
#[component]
pub fn Images() -> impl IntoView {
    let live = use_live();
    let query = use_query_map();
    let filter = Memo::new(move |_| query.with(from_query));
    let catalogue = Resource::new(move || (filter.get(), live.version()), |(filter, _)| list_images(filter));
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let filter = filter.get_untracked();
                view_or_error(catalogue.await, move |catalogue| view! { <ImagesView catalogue filter/> })
            })}
        </Transition>
    }
    .into_any()
}

/// The view of all images.
#[component]
pub fn ImagesView(
    /// The images of one page.
    catalogue: Catalogue,
    /// The filter of the address.
    filter: ImageFilter,
) -> impl IntoView {
    let Catalogue { images, instances, failed_attempts, may } = catalogue;
    let shows_failed = filter.status == ImageStatus::Failed.as_str();
    let failed = ImageFilter { status: ImageStatus::Failed.to_string(), page: 1, ..filter.clone() };
    let (total, pages, page) = (images.total, images.pages(), images.page);
    let is_filtered =
        filter != ImageFilter { page: filter.page, sort: filter.sort.clone(), ..ImageFilter::default() };
    let sub = summary(total, is_filtered);
    let paged = filter.clone();
    let href = Callback::new(move |(page,): (i64,)| address(&ImageFilter { page, ..paged.clone() }));
    view! {
        <PageHeader title="Images" sub=move || sub.clone()/>
        <Filters filter=filter.clone() instances/>
        <Panel id="catalogue" title=if is_filtered { "Matching images" } else { "All images" } note=move || format::count(total)>
            {if images.rows.is_empty() {
                view! { <NoImages is_filtered/> }.into_any()
            } else {
                view! { <ImageTable images=images.rows can_restore=may filter/> }.into_any()
            }}
            {(failed_attempts > 0 && !shows_failed)
                .then(|| view! { <a class="more" href=address(&failed)>{labels::failed_backups(failed_attempts)}</a> })}
            <Pager page pages total href/>
        </Panel>
    }
    .into_any()
}

fn summary(total: i64, is_filtered: bool) -> String {
    let count = format::quantity(total, "image", "images");
    let found = if is_filtered { " found" } else { "" };
    let legend = "Green images are proven: they were restored, and the restored content compared equal.";
    if total > 0 { format!("{count}{found}. {legend}") } else { format!("{count}{found}.") }
}

#[component]
fn NoImages(is_filtered: bool) -> impl IntoView {
    if is_filtered {
        view! {
            <EmptyState title="No images found" text="No image matches the filter.">
                <a class="btn" href="/images">"View all images"</a>
            </EmptyState>
        }
        .into_any()
    } else {
        view! {
            <EmptyState title="No images yet" text="An image is a backup. Open an instance and press Back up.">
                <a class="btn primary" href="/instances"><Icon name="instances"/>"View instances"</a>
            </EmptyState>
        }
        .into_any()
    }
}
