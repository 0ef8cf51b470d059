//! Panels: bordered sections with a title.

use leptos::prelude::*;

/// A bordered section with a title, for a table, a list or a form. Panels are not nested.
#[component]
pub fn Panel(
    /// The element's id, from which the id of the heading is derived.
    id: &'static str,
    /// The title.
    #[prop(into)]
    title: String,
    /// The note beside the title.
    #[prop(optional, into)]
    note: Option<ViewFn>,
    /// The content at the right end of the title.
    #[prop(optional, into)]
    end: Option<ViewFn>,
    /// The content.
    children: Children,
) -> impl IntoView {
    let heading = format!("{id}-h");
    let labelled = heading.clone();
    view! {
        <section class="panel" id=id aria-labelledby=labelled>
            <div class="title">
                <h2 id=heading>{title}</h2>
                {note.map(|note| view! { <p>{note.run()}</p> })}
                {end.map(|end| view! { <div class="push row">{end.run()}</div> })}
            </div>
            {children()}
        </section>
    }
    .into_any()
}
