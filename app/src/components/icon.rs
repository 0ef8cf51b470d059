//! Icons and the logo, as references to one sprite at the end of the document.

use leptos::prelude::*;

/// All symbols, once a document. Only the server renders it.
#[component]
pub fn Sprite() -> impl IntoView {
    view! { <svg class="sprite" aria-hidden="true" focusable="false" inner_html=include_str!("sprite.svg")></svg> }
}

/// An icon in the color of the surrounding text. It is hidden from screen readers and needs a label beside it.
#[component]
pub fn Icon(
    /// The symbol's id without the prefix `i-`, which keeps symbols apart from elements of the page.
    #[prop(into)]
    name: &'static str,
) -> impl IntoView {
    view! { <svg class="i" aria-hidden="true" inner_html=format!("<use href=\"#i-{name}\"/>")></svg> }
}

/// The logo: an elephant made of blocks.
#[component]
pub fn Mark(
    /// Whether it is dashed, for pages without content.
    #[prop(optional)]
    plan: bool,
) -> impl IntoView {
    view! { <svg class="mark" class:plan=plan aria-hidden="true" inner_html="<use href=\"#i-mark\"/>"></svg> }
}
