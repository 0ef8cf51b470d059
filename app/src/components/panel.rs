//! A frame with a title for a table, a list or a form.

use leptos::prelude::*;

/// A frame with a title for a table, a list or a form; never inside another.
#[component]
pub fn Panel(
    /// The element's id, for links and for its heading's.
    id: &'static str,
    /// The title.
    #[prop(into)]
    title: String,
    /// What stands beside the title.
    #[prop(optional, into)]
    note: Option<ViewFn>,
    /// What stands at the title's right end.
    #[prop(optional, into)]
    end: Option<ViewFn>,
    /// What is in it.
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
