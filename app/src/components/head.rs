//! The head of a page: where one is, what it is, how it is; beside it what one can do.

use leptos::prelude::*;
use leptos_meta::Title;

/// The head of a page. The children are its actions, the primary one first.
#[component]
pub fn Head(
    /// The page's name.
    #[prop(into)]
    title: String,
    /// The way here: addresses and names.
    #[prop(optional)]
    crumbs: Vec<(String, String)>,
    /// States beside the name.
    #[prop(optional, into)]
    states: Option<ViewFn>,
    /// The quiet line below.
    #[prop(optional, into)]
    sub: Option<ViewFn>,
    /// What one can do.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    let has_crumbs = !crumbs.is_empty();
    view! {
        <Title text=title.clone()/>
        <header class="head">
            <div>
                {has_crumbs
                    .then(|| {
                        view! {
                            <nav aria-label="Breadcrumb">
                                <ol class="crumbs">
                                    {crumbs
                                        .into_iter()
                                        .map(|(href, name)| view! { <li><a href=href>{name}</a></li> })
                                        .collect_view()}
                                </ol>
                            </nav>
                        }
                    })}
                <h1>{title}{states.map(|states| states.run())}</h1>
                {sub.map(|sub| view! { <p class="sub">{sub.run()}</p> })}
            </div>
            {children.map(|children| view! { <div class="actions">{children()}</div> })}
        </header>
    }
    .into_any()
}

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
