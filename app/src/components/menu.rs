//! A menu button: a `details` element, so that it opens without WASM. WASM adds closing on Escape and on focus loss.

use leptos::ev::{FocusEvent, KeyboardEvent, MouseEvent};
use leptos::html::Details;
use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use leptos::web_sys::{Element, Node};

/// A menu. The children are its items, each a `li`.
#[component]
pub fn Menu(
    /// The label for screen readers.
    #[prop(into)]
    label: String,
    /// The class of the button.
    #[prop(default = "")]
    class: &'static str,
    /// The content of the button.
    #[prop(into)]
    button: ViewFn,
    /// The items.
    children: Children,
) -> impl IntoView {
    let menu = NodeRef::<Details>::new();
    let close = move || {
        if let Some(menu) = menu.get_untracked() {
            menu.set_open(false);
        }
    };
    let on_key = move |event: KeyboardEvent| {
        if event.key() == "Escape" {
            close();
            if let Some(Ok(Some(summary))) = menu.get_untracked().map(|menu| menu.query_selector("summary")) {
                super::focus::focus(&summary);
            }
        }
    };
    let on_leave = move |event: FocusEvent| {
        let to = event.related_target().and_then(|to| to.dyn_into::<Node>().ok());
        if menu.get_untracked().is_some_and(|menu| !menu.contains(to.as_ref())) {
            close();
        }
    };
    let on_click = move |event: MouseEvent| {
        let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        if target.is_some_and(|target| matches!(target.closest("a"), Ok(Some(_)))) {
            close();
        }
    };
    view! {
        <details class="menu" node_ref=menu on:keydown=on_key on:focusout=on_leave on:click=on_click>
            <summary class=class aria-label=label>
                {button.run()}
            </summary>
            // The list is focusable, so that a click beside its items does not close the menu.
            <ul tabindex="-1">{children()}</ul>
        </details>
    }
    .into_any()
}
