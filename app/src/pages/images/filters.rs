//! The form that filters the list of images.

use leptos::prelude::*;
use model::ImageStatus;

use crate::api::images::ImageFilter;
use crate::components::icon::Icon;

/// The form.
#[component]
pub(super) fn Filters(filter: ImageFilter, instances: Vec<String>) -> impl IntoView {
    let (status, instance) = (filter.status, filter.instance);
    view! {
        <form class="filters" method="get" action="/images" role="search" aria-label="Filter images">
            <p class="field grow">
                <label for="q">"Search"</label>
                <input id="q" name="q" type="search" value=filter.search placeholder="Name or description"/>
            </p>
            <p class="field">
                <label for="status">"State"</label>
                <select id="status" name="status">
                    <option value="">"Any"</option>
                    {ImageStatus::ALL
                        .iter()
                        .map(|one| {
                            let value = one.as_str();
                            view! { <option value=value selected=value == status>{label(*one)}</option> }
                        })
                        .collect_view()}
                </select>
            </p>
            <p class="field">
                <label for="instance">"Instance"</label>
                <select id="instance" name="instance">
                    <option value="">"Any"</option>
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
            <button class="btn"><Icon name="search"/>"Apply filter"</button>
        </form>
    }
    .into_any()
}

fn label(status: ImageStatus) -> &'static str {
    match status {
        ImageStatus::Creating => "creating",
        ImageStatus::Available => "available or proven",
        ImageStatus::Failed => "failed or cancelled",
        ImageStatus::Corrupt => "corrupt",
        ImageStatus::Deleting => "deleting",
    }
}
