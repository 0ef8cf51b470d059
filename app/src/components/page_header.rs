//! The header of a page: breadcrumb, title, state and actions.

use leptos::prelude::*;
use leptos_meta::Title;

/// The header of a page. The children are its actions, the primary one first.
#[component]
pub fn PageHeader(
    /// The title.
    #[prop(into)]
    title: String,
    /// The breadcrumb: addresses and names.
    #[prop(optional)]
    crumbs: Vec<(String, String)>,
    /// The states beside the title.
    #[prop(optional, into)]
    states: Option<ViewFn>,
    /// The line below the title.
    #[prop(optional, into)]
    sub: Option<ViewFn>,
    /// The actions.
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
                <h1>{title}{states.map(|states| view! { " " {states.run()} })}</h1>
                {sub.map(|sub| view! { <p class="sub">{sub.run()}</p> })}
            </div>
            {children.map(|children| view! { <div class="actions">{children()}</div> })}
        </header>
    }
    .into_any()
}
