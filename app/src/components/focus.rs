//! Where the keyboard is: moved only when a person went somewhere, never because something was drawn anew.

use leptos::prelude::*;

/// Puts the focus on an element, without scrolling to it.
#[cfg(feature = "hydrate")]
pub fn focus(element: &leptos::web_sys::Element) {
    use wasm_bindgen::JsCast;
    let options = web_sys::FocusOptions::new();
    options.set_prevent_scroll(true);
    if let Some(element) = element.dyn_ref::<web_sys::HtmlElement>() {
        // An element that cannot take the focus leaves it where it is.
        let _ = element.focus_with_options(&options);
    }
}

/// On the server nothing has the focus.
#[cfg(not(feature = "hydrate"))]
pub fn focus(_: &leptos::web_sys::Element) {}

/// Puts the focus on the heading of a question when the address begins to ask it.
pub fn focus_question(ask: Memo<Option<String>>) {
    Effect::new(move |before: Option<Option<String>>| {
        let now = ask.get();
        if now.is_some() && before.flatten() != now {
            // The question is drawn after this.
            request_animation_frame(|| {
                if let Some(heading) = document().get_element_by_id("ask-h") {
                    focus(&heading);
                }
            });
        }
        now
    });
}
