//! From page to page of a long list, by plain links.

use leptos::prelude::*;

use super::icon::Icon;
use crate::format;

/// Which page this is, and the ways to the ones beside it. Nothing if there is one page only.
#[component]
pub fn Pager(
    /// The page, from 1.
    page: i64,
    /// How many there are.
    pages: i64,
    /// How many rows all have together.
    total: i64,
    /// The address of a page.
    #[prop(into)]
    href: Callback<(i64,), String>,
) -> impl IntoView {
    (pages > 1).then(|| {
        view! {
            <nav class="more row apart pager" aria-label="Pages">
                <span class="sub">{format!("Page {} of {}, {} in all", page, pages, format::count(total))}</span>
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
