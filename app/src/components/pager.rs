//! Links between the pages of a long list.

use leptos::prelude::*;

use super::icon::Icon;
use crate::format;

/// The page number and the links to the previous and next page. Renders nothing if there is only one page.
#[component]
pub fn Pager(
    /// The page, from 1.
    page: i64,
    /// The number of pages.
    pages: i64,
    /// The number of rows on all pages.
    total: i64,
    /// The address of a page.
    #[prop(into)]
    href: Callback<(i64,), String>,
) -> impl IntoView {
    (pages > 1).then(|| {
        view! {
            <nav class="more row apart pager" aria-label="Pages">
                <span class="sub">{format!("Page {} of {}, {} in total", page, pages, format::count(total))}</span>
                <span class="row">
                    {(page > 1)
                        .then(|| view! { <a class="btn small" rel="prev" href=href.run((page - 1,))><Icon name="left"/>"Previous"</a> })}
                    {(page < pages)
                        .then(|| view! { <a class="btn small" rel="next" href=href.run((page + 1,))>"Next"<Icon name="right"/></a> })}
                </span>
            </nav>
        }
    })
}
