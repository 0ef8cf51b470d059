//! Icons and the mark: one sprite at the end of the document, referred to by name.

use leptos::prelude::*;

/// Every symbol, once a document. It is rendered by the server alone.
#[component]
pub fn Sprite() -> impl IntoView {
    view! { <svg class="sprite" aria-hidden="true" focusable="false" inner_html=include_str!("sprite.svg")></svg> }
}

/// An icon of the sprite; it takes the colour of its text and means nothing without a word beside it.
#[component]
pub fn Icon(
    /// The symbol's id without its `i-`, which keeps symbols and the parts of pages apart.
    #[prop(into)]
    name: &'static str,
) -> impl IntoView {
    view! { <svg class="i" aria-hidden="true" inner_html=format!("<use href=\"#i-{name}\"/>")></svg> }
}

/// The elephant made of blocks; dashed where nothing is built yet.
#[component]
pub fn Mark(
    /// Dashed: for what is still to build.
    #[prop(optional)]
    plan: bool,
) -> impl IntoView {
    view! { <svg class="mark" class:plan=plan aria-hidden="true" inner_html="<use href=\"#i-mark\"/>"></svg> }
}
