//! A menu behind a button: `details`, so that it opens without WASM; with it, it closes as menus do.

use leptos::ev::{FocusEvent, KeyboardEvent, MouseEvent};
use leptos::html::Details;
use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use leptos::web_sys::{Element, Node};

/// A menu. The children are its items, each a `li`.
#[component]
pub fn Menu(
    /// What the button is called, for who does not see it.
    #[prop(into)]
    label: String,
    /// How the button looks.
    #[prop(default = "")]
    class: &'static str,
    /// What the button shows.
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
        let pressed = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        if pressed.is_some_and(|pressed| matches!(pressed.closest("a"), Ok(Some(_)))) {
            close();
        }
    };
    view! {
        <details class="menu" node_ref=menu on:keydown=on_key on:focusout=on_leave on:click=on_click>
            <summary class=class aria-label=label>
                {button.run()}
            </summary>
            // It takes the focus when it is pressed beside its items, so that this is not leaving it.
            <ul tabindex="-1">{children()}</ul>
        </details>
    }
    .into_any()
}
